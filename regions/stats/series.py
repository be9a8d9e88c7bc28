"""The series: minutes of all regions put together, second by second, and rows of any step made of
them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from relay.core.minute import SECONDS, Column, EdgeMinute, Minute

CARRY_S = 2  # a second without a frame has the value of the last, so many in a row
SILENT_S = 90  # for so long an edge that went silent is told of, as it was when last heard
FIGURES = ("connections", "sessions", "users", "visits")
TOTAL = "total"


class Spread(msgspec.Struct, frozen=True):
    """Values of many seconds."""

    max: int
    p95: int  # nearest rank
    mean: float


class Silent(msgspec.Struct, frozen=True):
    """Edges that went silent, as they were when last heard: in none of the sums."""

    edges: int = 0
    sessions: int = 0
    visits: int = 0


class Row(msgspec.Struct, frozen=True):
    """What was counted in a step. None: nothing was."""

    at_s: int  # Unix time of its begin
    step_s: int
    scope: str  # a region, or `total`
    edges: int  # that were heard in one second, at most
    connections: Spread | None
    sessions: Spread | None
    users: Spread | None  # different ones
    visits: Spread | None
    opened: int | None  # sessions; None where a step is no whole minute
    closed: int | None
    users_error: float = 0.0  # standard error of `users`, as a share; 0.0: exact
    silent: Silent = Silent()  # in one second, at most


@dataclass(slots=True)
class _Life:
    """The last value of an edge's figures, and how long ago that was."""

    values: dict[str, int]
    age_s: int


@dataclass(slots=True)
class _Columns:
    """An edge's figures in each second of a minute; None where it was not heard."""

    figures: dict[str, Column]
    silent: list[dict[str, int] | None]  # as it was when last heard, where it is silent


@dataclass(slots=True)
class _Step:
    """Seconds that were gathered for one scope."""

    values: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in FIGURES})
    edges: int = 0
    opened: int = 0
    closed: int = 0
    error: float = 0.0
    silent: Silent = field(default_factory=Silent)


class Series:
    """Minutes in, rows out. Minutes of one time come together, times in order.

    Args:
        step_s: seconds of a row; a multiple of 60, or a divisor of it.
        regions: all regions; each has rows of its own, besides the total.
        end_s: Unix time; what is later has not happened yet.

    Raises:
        ValueError: such a step does not fit into minutes.
    """

    def __init__(self, step_s: int, regions: Sequence[str], end_s: float = math.inf) -> None:
        if step_s < 1 or (SECONDS % step_s and step_s % SECONDS):
            raise ValueError(f"a step of {step_s} s does not fit into minutes")
        self._step_s = step_s
        self._regions = list(regions)
        self._end_s = end_s
        self._lives: dict[tuple[str, str], _Life] = {}
        self._steps: dict[str, _Step] = {}
        self._begin_s: int | None = None
        self._last: int | None = None

    def add(self, minute: int, of: Mapping[str, Minute]) -> Iterator[Row]:
        """The rows that are whole after a minute.

        Args:
            minute: Unix time in minutes.
            of: region -> its minute, where it has one.
        """
        if self._last is not None and minute != self._last + 1:
            self._lives.clear()  # what was before the gap is not carried over it
        self._last = minute
        absent = {region for region, _ in self._lives} - of.keys()
        columns = {
            region: self._columns(region, of[region].edges if region in of else ())
            for region in (*of, *sorted(absent))
        }
        all_users = _largest([one.all_users for one in of.values()])
        for second in range(SECONDS):
            at_s = minute * SECONDS + second
            if at_s >= self._end_s:
                break
            begin_s = at_s - at_s % self._step_s
            if begin_s != self._begin_s:
                yield from self._finish()
                self._begin_s = begin_s
            self._gather(columns, of, all_users, second)
        for scope in (TOTAL, *of):
            step = self._steps.setdefault(scope, _Step())
            minutes = list(of.values()) if scope == TOTAL else [of[scope]]
            step.opened += sum(sum(one.opened.values()) for one in minutes)
            step.closed += sum(sum(one.closed.values()) for one in minutes)
            step.error = max([step.error, *(one.users_error for one in minutes)])

    def end(self) -> Iterator[Row]:
        """The row that has only begun."""
        yield from self._finish()

    def _columns(self, region: str, edges: Sequence[EdgeMinute]) -> list[_Columns]:
        """Of each edge that was heard, now or before: its figures in each second."""
        lives: dict[str, list[EdgeMinute]] = {}
        for life in edges:
            lives.setdefault(life.edge, []).append(life)
        known = {edge for of, edge in self._lives if of == region}
        return [self._edge(region, edge, lives.get(edge, [])) for edge in sorted({*lives, *known})]

    def _edge(self, region: str, edge: str, lives: Sequence[EdgeMinute]) -> _Columns:
        last = self._lives.get((region, edge))
        columns: dict[str, Column] = {name: [None] * SECONDS for name in FIGURES}
        silent: list[dict[str, int] | None] = [None] * SECONDS
        for second in range(SECONDS):
            for life in reversed(lives):
                if life.sessions[second] is not None:
                    values = {name: getattr(life, name)[second] or 0 for name in FIGURES}
                    last = _Life(values, 0)
                    break
            else:
                if last is not None:
                    last.age_s += 1
            if last is not None and last.age_s <= CARRY_S:
                for name in FIGURES:
                    columns[name][second] = last.values[name]
            elif last is not None and last.age_s <= SILENT_S and any(last.values.values()):
                silent[second] = last.values
        if last is None or last.age_s > SILENT_S:
            self._lives.pop((region, edge), None)
        else:
            self._lives[region, edge] = last
        return _Columns(columns, silent)

    def _gather(
        self,
        columns: Mapping[str, list[_Columns]],
        of: Mapping[str, Minute],
        all_users: Column,
        second: int,
    ) -> None:
        for scope in (TOTAL, *columns):
            step = self._steps.setdefault(scope, _Step())
            edges = (
                [edge for each in columns.values() for edge in each]
                if scope == TOTAL
                else columns[scope]
            )
            silent = [one for edge in edges if (one := edge.silent[second]) is not None]
            if silent:
                step.silent = _larger(step.silent, silent)
            there = [edge.figures for edge in edges if edge.figures["sessions"][second] is not None]
            step.edges = max(step.edges, len(there))
            if not there:
                continue
            for name in FIGURES:
                if name != "users":
                    step.values[name].append(sum(edge[name][second] or 0 for edge in there))
            users = all_users[second] if scope == TOTAL else _users(of.get(scope), second)
            if users is not None:
                step.values["users"].append(users)

    def _finish(self) -> Iterator[Row]:
        if self._begin_s is not None:
            whole = self._step_s >= SECONDS
            for scope in (TOTAL, *self._regions):
                step = self._steps.get(scope, _Step())
                spreads = {name: spread(step.values[name]) for name in FIGURES}
                yield Row(
                    at_s=self._begin_s,
                    step_s=self._step_s,
                    scope=scope,
                    edges=step.edges,
                    **spreads,
                    opened=step.opened if whole else None,
                    closed=step.closed if whole else None,
                    users_error=step.error,
                    silent=step.silent,
                )
        self._steps, self._begin_s = {}, None


def _users(minute: Minute | None, second: int) -> int | None:
    return None if minute is None else minute.users[second]


def _larger(known: Silent, edges: Sequence[dict[str, int]]) -> Silent:
    """The second in which more was silent: the one that is known, or that of these edges."""
    sessions, visits = (sum(one[name] for one in edges) for name in ("sessions", "visits"))
    now = Silent(len(edges), sessions, visits)
    return max(known, now, key=lambda one: (one.sessions + one.visits, one.edges))


def spread(values: Sequence[int]) -> Spread | None:
    """Maximum, 95th percentile by nearest rank, and mean; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    rank = math.ceil(0.95 * len(ordered))
    return Spread(ordered[-1], ordered[rank - 1], sum(ordered) / len(ordered))


def _largest(columns: Iterable[Column]) -> Column:
    """Second by second: a region that is cut off counts fewer than the others."""
    largest: Column = [None] * SECONDS
    for column in columns:
        for second, value in enumerate(column):
            if value is not None:
                largest[second] = max(value, largest[second] or 0)
    return largest

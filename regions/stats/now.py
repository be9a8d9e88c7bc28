"""One moment: the newest frame of every edge, summed. Who is silent stands apart."""

from collections.abc import Iterable, Mapping

import msgspec

from relay.core.minute import FRESH_MS, SECONDS, Column, EdgeMinute, Heard, Minute
from relay.core.telemetry import ENDED, EdgeFrame

FIGURES = ("connections", "sessions", "users", "visits")
VISITS_MS = 90_000  # for so long visits wait for an edge that is not heard; then it is gone


class Figures(msgspec.Struct, frozen=True):
    """Counts of one moment."""

    connections: int = 0
    sessions: int = 0
    users: int | None = 0  # different ones; None: nobody counts them
    visits: int = 0
    edges: int = 0


class EdgeFigures(msgspec.Struct, frozen=True):
    """One edge, as its newest frame says."""

    region: str
    edge: str
    state: str  # of its frame; empty where only the minute is known
    age_ms: int
    connections: int
    sessions: int
    users: int
    visits: int


class Users(msgspec.Struct, frozen=True):
    """How different users were counted."""

    counted_by: str | None  # an edge; None: nobody does
    exact: bool
    error: float  # standard error, as a share of the count


class Now(msgspec.Struct, frozen=True):
    """What was counted at a moment, as known in one region."""

    at_ms: int
    seen_from: str
    total: Figures
    regions: dict[str, Figures]
    edges: list[EdgeFigures]
    silent: list[EdgeFigures]  # in none of the sums: as they were when last heard
    users: Users
    countries: dict[str, int]
    transports: dict[str, int]
    opened: dict[str, int]  # how -> sessions since the edges' start; of that minute alone where
    closed: dict[str, int]  # close code -> sessions         only minutes are known of it


def count(heard: Iterable[Heard], at_ms: int, seen_from: str) -> Now:
    """The sums at a moment.

    Args:
        heard: the newest frame of each edge, and when it was stored (Unix ms).
        at_ms: the moment, by the same clock.
        seen_from: the region whose stream it is.
    """
    newest: dict[tuple[str, str], Heard] = {}
    for each in heard:
        key = (each.frame.region, each.frame.edge)
        if key not in newest or each.at_ms >= newest[key].at_ms:
            newest[key] = each
    alive, silent = list[Heard](), list[Heard]()
    for each in newest.values():
        ended = each.frame.state == ENDED
        if at_ms - each.at_ms <= FRESH_MS and not ended:
            alive.append(each)
        elif at_ms - each.at_ms <= VISITS_MS and (each.frame.visits or not ended):
            silent.append(each)  # one that ended may come back and go on with its visits
    names = sorted({region for region, _ in newest})
    edges = [_edge(each, at_ms) for each in sorted(alive, key=_name)]
    census = _census(alive, seen_from)
    users = census.census if census is not None else None
    return Now(
        at_ms=at_ms,
        seen_from=seen_from,
        total=_total(edges, users.users if users is not None else None),
        regions={
            name: _total(
                [one for one in edges if one.region == name],
                users.regions.get(name, 0) if users is not None else None,
            )
            for name in names
        },
        edges=edges,
        silent=[_edge(each, at_ms) for each in sorted(silent, key=_name)],
        users=Users(
            census.edge if census is not None else None,
            users.exact if users is not None else False,
            users.error if users is not None else 0.0,
        ),
        countries=_labels({k: t[0] for k, t in each.frame.countries.items()} for each in alive),
        transports=_labels({k: t[0] for k, t in each.frame.transports.items()} for each in alive),
        opened=_labels(each.frame.opened for each in alive),
        closed=_labels(each.frame.closed for each in alive),
    )


def count_minute(
    of: Mapping[str, Minute], before: Mapping[str, Minute], at_ms: int, seen_from: str
) -> Now:
    """The sums at a moment of which the frames are not kept any more.

    Args:
        of: region -> its minute then.
        before: region -> the minute before that, where it has one.
        at_ms: the moment.
        seen_from: the region whose streams they are.
    """
    second = SECONDS + at_ms // 1000 % SECONDS
    edges: list[EdgeFigures] = []
    users: dict[str, int | None] = {}
    everybody: list[int] = []
    for region, minute in sorted(of.items()):
        last = before.get(region)
        newest: dict[str, EdgeFigures] = {}
        lives = {(one.edge, one.epoch): one for one in last.edges} if last is not None else {}
        for life in minute.edges:  # one that was heard later counts
            had = lives.get((life.edge, life.epoch))
            told = [_joined(had, life, name) for name in FIGURES]
            at = _last(told[0], second)
            if at is not None:
                figures = [column[at] or 0 for column in told]
                age_ms = (second - at) * 1000
                newest[life.edge] = EdgeFigures(region, life.edge, "", age_ms, *figures)
        edges += [newest[name] for name in sorted(newest)]
        users[region] = _value(_joined(last, minute, "users"), second)
        if (all_users := _value(_joined(last, minute, "all_users"), second)) is not None:
            everybody.append(all_users)
    error = max((minute.users_error for minute in of.values()), default=0.0)
    return Now(
        at_ms=at_ms,
        seen_from=seen_from,
        total=_total(edges, max(everybody, default=None)),
        regions={
            region: _total([one for one in edges if one.region == region], users[region])
            for region in users
        },
        edges=edges,
        silent=[],
        users=Users(None, bool(everybody) and not error, error),
        countries=_labels({k: t[0] for k, t in m.countries.items()} for m in of.values()),
        transports=_labels({k: t[0] for k, t in m.transports.items()} for m in of.values()),
        opened=_labels(minute.opened for minute in of.values()),
        closed=_labels(minute.closed for minute in of.values()),
    )


def _joined(before: EdgeMinute | Minute | None, now: EdgeMinute | Minute, name: str) -> Column:
    """A column of two minutes."""
    first: Column = [None] * SECONDS if before is None else getattr(before, name)
    following: Column = getattr(now, name)
    return [*first, *following]


def _last(column: Column, second: int) -> int | None:
    """The last second up to this one that has a value, if it is fresh."""
    upto = range(second, second - FRESH_MS // 1000 - 1, -1)
    return next((at for at in upto if column[at] is not None), None)


def _value(column: Column, second: int) -> int | None:
    at = _last(column, second)
    return None if at is None else column[at]


def _total(edges: list[EdgeFigures], users: int | None) -> Figures:
    return Figures(
        connections=sum(one.connections for one in edges),
        sessions=sum(one.sessions for one in edges),
        users=users,
        visits=sum(one.visits for one in edges),
        edges=len(edges),
    )


def _name(heard: Heard) -> tuple[str, str]:
    return heard.frame.region, heard.frame.edge


def _census(alive: Iterable[Heard], seen_from: str) -> EdgeFrame | None:
    """The frame with the count of users: of the region that is asked, else of any."""
    counted = [each.frame for each in alive if each.frame.census is not None]
    return min(counted, key=lambda frame: (frame.region != seen_from, frame.edge), default=None)


def _edge(heard: Heard, at_ms: int) -> EdgeFigures:
    frame = heard.frame
    return EdgeFigures(
        frame.region,
        frame.edge,
        frame.state,
        max(0, at_ms - heard.at_ms),
        frame.connections,
        frame.sessions,
        frame.users,
        frame.visits,
    )


def _labels(each: Iterable[Mapping[str, int]]) -> dict[str, int]:
    summed: dict[str, int] = {}
    for counts in each:
        for label, value in counts.items():
            summed[label] = summed.get(label, 0) + value
    kept = [(label, value) for label, value in summed.items() if value]
    return dict(sorted(kept, key=lambda pair: (-pair[1], pair[0])))

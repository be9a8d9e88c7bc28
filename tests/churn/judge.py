"""What views and counts were, against the ledger. Values in, values out."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.churn.crowd import Entry

WITHIN_S = {
    "": 4.0, "open": 4.0, "resume": 4.0, "close": 4.0, "cut": 14.0, "lost": 14.0, "mute": 60.0
}  # fmt: skip


class Seen(NamedTuple):
    """What a view said of a user from then on. Unix seconds."""

    at_s: float
    user: int
    online: bool


class Disagreement(NamedTuple):
    """A view and the truth differed from then till then.

    `why`: what the truth changed by; `edges`: where the user was before it began, and went to
    until it ended.
    """

    begin_s: float
    end_s: float
    user: int
    why: str
    edges: frozenset[str] = frozenset()


class Span(NamedTuple):
    """A fault: all that begins in it must be over by then.

    `apart`: only what concerns users of these edges; None: of all.
    """

    begin_s: float
    end_s: float
    by_s: float
    apart: frozenset[str] | None = None

    def holds(self, one: Disagreement) -> bool:
        """Whether it may be the cause of that."""
        if not (one.begin_s < self.end_s and one.end_s > self.begin_s):
            return False
        return self.apart is None or not one.edges or not self.apart.isdisjoint(one.edges)


def disagreements(
    truth: Sequence[Entry], seen: Sequence[Seen], begin_s: float, end_s: float
) -> list[Disagreement]:
    """Where one view of a room differed from its users' ledger.

    Args:
        truth: of the room's users, in order.
        seen: of the view, in order.
        begin_s: from when the view is judged.
        end_s: until when.
    """
    found: list[Disagreement] = []
    by_user: dict[int, list[tuple[float, int, str, str]]] = defaultdict(list)
    for entry in truth:
        by_user[entry.user].append((entry.at_s, 1 if entry.step > 0 else 0, entry.why, entry.edge))
    for one in seen:
        by_user[one.user].append((one.at_s, 3 if one.online else 2, "", ""))
    for user, changes in by_user.items():
        here = shown = False
        last = why = at_edge = ""
        edges = frozenset[str]()
        since_s = 0.0
        for at_s, what, reason, edge in sorted(changes):
            differed = here != shown
            if what >= 2:
                shown = what == 3
            else:
                here, last, before, at_edge = what == 1, reason, at_edge, edge
                edges |= {before, edge} - {""}
                if here != shown:  # else it ends what began for another reason
                    why = reason
            if not differed and here != shown:
                since_s, why = at_s, last
            elif differed and here == shown:
                found.append(Disagreement(since_s, at_s, user, why, edges))
            if here == shown and what >= 2:  # else what it shows is true by chance
                edges = frozenset({at_edge} - {""})
        if here != shown:
            found.append(Disagreement(since_s, end_s, user, why, edges))
    return [one for one in found if one.end_s > begin_s]


def while_up(
    found: Iterable[Disagreement], downs: Sequence[tuple[float, float]]
) -> list[Disagreement]:
    """Disagreements as they count for one who looks: while he has no connection, nothing does.

    Args:
        found: disagreements of his view.
        downs: from when till when he had none.
    """
    kept: list[Disagreement] = []
    for one in found:
        begin_s = one.begin_s
        for down_s, up_s in downs:
            if down_s <= begin_s < up_s or begin_s <= down_s < one.end_s:
                begin_s = max(begin_s, min(up_s, one.end_s))
        if begin_s < one.end_s:
            kept.append(one._replace(begin_s=begin_s))
    return kept


class Delays(NamedTuple):
    """How long views differed, by what the truth changed by."""

    times: int
    p50_s: float
    p99_s: float
    max_s: float


def delays(found: Iterable[Disagreement]) -> Mapping[str, Delays]:
    """By reason."""
    by: dict[str, list[float]] = defaultdict(list)
    for one in found:
        by[one.why].append(one.end_s - one.begin_s)
    return {
        why: Delays(len(s), _nearest(s, 0.5), _nearest(s, 0.99), max(s)) for why, s in by.items()
    }


def _nearest(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def late(found: Iterable[Disagreement], spans: Sequence[Span]) -> list[Disagreement]:
    """Those that lasted longer than they may, and than faults excuse."""
    over: list[Disagreement] = []
    for one in found:
        excused = [span.by_s for span in spans if span.holds(one)]
        until_s = max([one.begin_s + WITHIN_S[one.why], *excused])
        if one.end_s > until_s:
            over.append(one)
    return over


class Off(NamedTuple):
    """How far the live sum was from the ledger in a second."""

    at_s: int
    live: int
    truth: int


def offs(
    ledger: Sequence[Entry], live: Iterable[tuple[int, int]], slack_s: float = 0.02
) -> list[Off]:
    """Second by second.

    Args:
        ledger: of all users, in order.
        live: Unix second and the sum of all edges that were heard.
        slack_s: after the full second, when edges say their figures.
    """
    times = [entry.at_s for entry in ledger]
    counts, count = [0], 0
    for entry in ledger:
        count += entry.step
        counts.append(count)
    return [Off(at, sum_, counts[bisect_right(times, at + slack_s)]) for at, sum_ in live]

"""How many were at a region's edges in each second of a minute: made from their frames.

Values are an edge's own, of the moment of its frame; a second without a frame has none. The sum
over edges and regions is made by who reads, so that a region that was cut off is in it afterwards.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from relay.core.telemetry import EdgeFrame

SECONDS = 60
MINUTE_MS = 60_000
FRESH_MS = 3_000  # a frame counts for so long: after that its edge is silent
PART_EDGES = 32  # of which the widest columns fit into a message of the stream, also unpacked
MOST_BYTES = 1 << 20  # of a part, unpacked
Column = list[int | None]


class Heard(NamedTuple):
    """A frame, and when the region's stream stored it (Unix ms): its clock counts, no edge's."""

    at_ms: int
    frame: EdgeFrame


class EdgeMinute(msgspec.Struct, frozen=True):
    """One life of one edge in one minute."""

    edge: str
    epoch: int
    connections: Column
    sessions: Column
    users: Column
    visits: Column
    changes: Column  # comings and goings since its start: which of the log the count includes


class Minute(msgspec.Struct, frozen=True):
    """A region's minute."""

    region: str
    minute: int  # Unix time in minutes
    edges: list[EdgeMinute]
    opened: dict[str, int]  # how -> sessions in this minute
    closed: dict[str, int]  # close code -> sessions
    countries: dict[str, tuple[int, int, int]]  # open at the end, opened, closed
    transports: dict[str, tuple[int, int, int]]
    users: Column  # different users of the region, where they were counted
    all_users: Column  # of all regions, as counted here
    users_error: float = 0.0  # standard error of both, as a share; 0.0: exact
    part: int = 0  # a minute of many edges is stored in parts; the first has all but their columns
    parts: int = 1
    v: int = 1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Minute)


def encode_minute(minute: Minute) -> list[bytes]:
    """As it is stored: packed msgpack, in as many parts as it takes."""
    edges = minute.edges
    cut = [edges[at : at + PART_EDGES] for at in range(0, len(edges), PART_EDGES)] or [[]]
    first = msgspec.structs.replace(minute, edges=cut[0], parts=len(cut))
    others = [
        Minute(minute.region, minute.minute, part, {}, {}, {}, {}, [], [], part=at, parts=len(cut))
        for at, part in enumerate(cut[1:], 1)
    ]
    return [zlib.compress(_encoder.encode(part)) for part in (first, *others)]


def decode_minute(data: bytes) -> Minute:
    """A part of a minute.

    Raises:
        msgspec.DecodeError: it is none.
    """
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise msgspec.DecodeError("it is not packed") from error
    return _decoder.decode(plain)


def joined(parts: Sequence[Minute]) -> Minute:
    """The whole minute of all its parts, in order."""
    edges = [edge for part in parts for edge in part.edges]
    return msgspec.structs.replace(parts[0], edges=edges, parts=1)


def minute_of(region: str, minute: int, heard: Iterable[Heard]) -> Minute:
    """A region's minute from the frames of its edges.

    Args:
        region: whose edges.
        minute: Unix time in minutes.
        heard: their frames in it, and before these the newest of each edge from before it, however
            long ago; in the stream's order.
    """
    lives: dict[tuple[str, int], list[Heard]] = {}
    for each in heard:
        if each.frame.region == region:
            lives.setdefault((each.frame.edge, each.frame.epoch), []).append(each)
    begin_ms = minute * MINUTE_MS
    within = {
        life: [one for one in frames if one.at_ms >= begin_ms] for life, frames in lives.items()
    }
    counted = [one for frames in within.values() for one in frames if _counts_users(one.frame)]
    return Minute(
        region=region,
        minute=minute,
        edges=[_edge(life, frames, begin_ms) for life, frames in within.items() if frames],
        opened=_growth(lives, begin_ms, lambda frame: frame.opened),
        closed=_growth(lives, begin_ms, lambda frame: frame.closed),
        countries=_labels(lives, begin_ms, lambda frame: frame.countries),
        transports=_labels(lives, begin_ms, lambda frame: frame.transports),
        users=_column(
            counted, begin_ms, lambda f: f.census.regions.get(region, 0) if f.census else 0
        ),
        all_users=_column(counted, begin_ms, lambda f: f.census.users if f.census else 0),
        users_error=max(
            (one.frame.census.error for one in counted if one.frame.census), default=0.0
        ),
    )


def _counts_users(frame: EdgeFrame) -> bool:
    """Whether it says how many different users there are: not while they are counted anew."""
    return frame.census is not None and (frame.census.exact or frame.census.error > 0)


def _edge(life: tuple[str, int], heard: list[Heard], begin_ms: int) -> EdgeMinute:
    edge, epoch = life
    return EdgeMinute(
        edge,
        epoch,
        connections=_column(heard, begin_ms, lambda frame: frame.connections),
        sessions=_column(heard, begin_ms, lambda frame: frame.sessions),
        users=_column(heard, begin_ms, lambda frame: frame.users),
        visits=_column(heard, begin_ms, lambda frame: frame.visits),
        changes=_column(heard, begin_ms, lambda frame: frame.changes),
    )


def _column(heard: Iterable[Heard], begin_ms: int, value: Callable[[EdgeFrame], int]) -> Column:
    column: Column = [None] * SECONDS
    for at_ms, frame in heard:
        second = (at_ms - begin_ms) // 1000
        if 0 <= second < SECONDS:
            column[second] = value(frame)
    return column


def _growth(
    lives: Mapping[tuple[str, int], list[Heard]],
    begin_ms: int,
    totals: Callable[[EdgeFrame], Mapping[str, int]],
) -> dict[str, int]:
    """By how much counters have grown in the minute: an edge that is new has grown from nothing."""
    grown: dict[str, int] = {}
    first: dict[str, int] = {}  # edge -> its life that was heard first
    for edge, epoch in lives:
        first.setdefault(edge, epoch)
    for (edge, epoch), frames in lives.items():
        for before, after in pairwise([None, *frames]):
            if after is None or after.at_ms < begin_ms:
                continue
            if before is None and after.frame.frame > 1 and epoch == first[edge]:
                continue  # what it counted before it could be heard is unknown
            had = totals(before.frame) if before is not None else {}
            for label, total in totals(after.frame).items():
                if total > had.get(label, 0):
                    grown[label] = grown.get(label, 0) + total - had.get(label, 0)
    return grown


def _labels(
    lives: Mapping[tuple[str, int], list[Heard]],
    begin_ms: int,
    tallies: Callable[[EdgeFrame], Mapping[str, tuple[int, int, int]]],
) -> dict[str, tuple[int, int, int]]:
    opened = _growth(lives, begin_ms, lambda f: {k: t[1] for k, t in tallies(f).items()})
    closed = _growth(lives, begin_ms, lambda f: {k: t[2] for k, t in tallies(f).items()})
    now: dict[str, int] = {}
    newest: dict[str, Heard] = {}
    for (edge, _), frames in lives.items():
        if frames and (edge not in newest or frames[-1].at_ms >= newest[edge].at_ms):
            newest[edge] = frames[-1]
    for heard in newest.values():
        if heard.at_ms >= begin_ms + MINUTE_MS - FRESH_MS:
            for label, tally in tallies(heard.frame).items():
                now[label] = now.get(label, 0) + tally[0]
    return {
        label: (now.get(label, 0), opened.get(label, 0), closed.get(label, 0))
        for label in sorted({*now, *opened, *closed})
        if now.get(label) or opened.get(label) or closed.get(label)
    }

"""What a crowd's process is told on stdin and answers on stdout: a line of JSON each."""

from collections.abc import Sequence

import msgspec

Heads = dict[str, dict[str, tuple[int, int]]]  # room -> origin -> newest acknowledged (epoch, seq)


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """Comes first. This process plays every `processes`-th client from number `index` on."""

    state: str
    spec: msgspec.Raw  # a CrowdSpec
    ledger: str
    index: int


class Hush(msgspec.Struct, frozen=True, tag="hush"):
    """Publish no more; answered by `Hushed` when all publishes are answered, or after the time."""

    timeout_s: float


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Answered by `DrainedAll` when each client has got as far as `heads`, or after the time."""

    heads: Heads
    timeout_s: float


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Answered by `Status`."""


class Drop(msgspec.Struct, frozen=True, tag="drop"):
    """Break the connections of all clients that are in these regions now; answered by `Dropped`."""

    regions: tuple[str, ...]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Close all clients and end; answered by `Stopped`."""


class Playing(msgspec.Struct, frozen=True, tag="ready"):
    """Every client had its first READY; publishing begins."""

    clients: int


class Hushed(msgspec.Struct, frozen=True, tag="hushed"):
    """What was acknowledged; `open` publishes still have no answer."""

    heads: Heads
    open: int


class DrainedAll(msgspec.Struct, frozen=True, tag="drained"):
    """The clients that did not get as far, with the first place that each lacks.

    `heads`: what was acknowledged by now, of publishes that had no answer before as well.
    """

    short: dict[str, str]
    heads: Heads = {}


class Status(msgspec.Struct, frozen=True, tag="status"):
    """How it stands now."""

    clients: int = 0
    ready: int = 0
    away: int = 0  # ready, in another region than their home
    ended: int = 0
    asked: int = 0
    acked: int = 0
    open: int = 0
    skipped: int = 0  # turns to publish that were not taken: too many without an answer
    delivered: int = 0
    downs: int = 0  # connections that ended, so far
    tries: int = 0  # clients of them that have chosen where to go next
    backs: int = 0  # sessions resumed or begun anew, the first ones not counted
    cpu_s: float = 0.0
    on_edge: dict[str, int] = {}  # edge -> clients that are ready on it


class Dropped(msgspec.Struct, frozen=True, tag="dropped"):
    """So many connections were broken."""

    count: int


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    """The process has closed its clients and its file."""

    status: Status


Order = Begin | Hush | Drain | Ask | Drop | Stop
Answer = Playing | Hushed | DrainedAll | Status | Dropped | Stopped

encode = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(Order).decode
decode_answer = msgspec.json.Decoder(Answer).decode


def furthest(each: Sequence[Heads]) -> Heads:
    """Per room and origin the newest of all."""
    heads: Heads = {}
    for one in each:
        for room, places in one.items():
            mine = heads.setdefault(room, {})
            for origin, place in places.items():
                mine[origin] = max(place, mine.get(origin, (0, 0)))
    return heads

"""What a supervisor says: the JSON lines of `jetrelay up --headless`."""

from typing import Literal

import msgspec

EventName = Literal[
    "ready",
    "edge_up",
    "edge_down",
    "edge_hung",
    "nats_up",
    "nats_down",
    "nats_hung",
    "wan_up",
    "wan_down",
    "wan_hung",
    "streams_applied",
    "stopping",
    "stopped",
]


class ReadyNats(msgspec.Struct, frozen=True):
    """A nats-server that serves; the pid is null where it is not ours."""

    url: str
    pid: int | None


class ReadyEdge(msgspec.Struct, frozen=True):
    """An edge that serves."""

    name: str
    url: str
    http: str
    pid: int | None


class ReadyRegion(msgspec.Struct, frozen=True):
    """A region in which everything serves."""

    name: str
    nats: list[ReadyNats]
    edges: list[ReadyEdge]


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One line. Keys that do not concern an event are left out."""

    event: EventName
    regions: list[ReadyRegion] | None = None  # ready
    region: str | None = None
    edge: str | None = None  # edge_up, edge_down, edge_hung
    server: str | None = None  # nats_up, nats_down, nats_hung
    url: str | None = None
    pid: int | None = None
    code: int | None = None  # exit code; negative: the signal that ended it
    # exited | killed | held | stopped | restarted | hung, or its last words; with *_up, `answers
    # again` where it was hung
    reason: str | None = None
    retry_in_s: float | None = None  # until it is started again; absent: it is not
    changes: list[str] | None = None  # streams_applied
    failures: list[str] | None = None

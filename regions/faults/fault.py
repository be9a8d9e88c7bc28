"""The faults that can be asked for, as they stand in a request."""

from typing import Literal

import msgspec

from regions.faults.flow import Change

# As operators and drills name them; what each does is in docs/faults.md.
FaultName = Literal[
    "cut", "one-way", "stall", "delay", "rate", "loss",
    "kill", "pause", "down",
    "fill-disk", "store-limit", "rewind", "wedge",
]  # fmt: skip


class LinkFault(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="fault", tag="link"
):
    """Change directions between regions."""

    pairs: list[tuple[str, str]]  # (from, to)
    change: Change


class DownFault(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="fault", tag="down"
):
    """SIGKILL processes at once, and keep them down until it is healed."""

    processes: list[str]


class PauseFault(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="fault", tag="pause"
):
    """Stop processes where they are (SIGSTOP) until it is healed."""

    processes: list[str]


class KillFault(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="fault", tag="kill"
):
    """SIGKILL processes at once; the supervisor starts them again, so nothing is to be healed."""

    processes: list[str]


class FillDiskFault(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="fault", tag="fill-disk"
):
    """Leave a nats-server no room to store anything.

    `how`: `disk` fills the small file system of its own on which its store lies; `limit` lets
    JetStream refuse by its own limit. Healed, the server has room again and is restarted: after a
    full disk it refuses to store until then.
    """

    server: str
    how: Literal["disk", "limit"]


class RewindFault(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="fault", tag="rewind"
):
    """SIGKILL the nats-servers of a region and start them with the store of the last snapshot.

    `witnesses`: leave the region's edges, which know what was there, running; `mirrors`: leave the
    region its links, over which it could get its tail back. What is not left comes back when the
    fault is healed.
    """

    region: str
    witnesses: bool = True
    mirrors: bool = True


class WedgeFault(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="fault", tag="wedge"
):
    """Stop what feeds the mirror of `origin` in `region`, without NATS seeing anything wrong."""

    region: str
    origin: str


Fault = LinkFault | DownFault | PauseFault | KillFault | FillDiskFault | RewindFault | WedgeFault


class Held(msgspec.Struct, frozen=True):
    """A fault that is in effect, or was where nothing has to be healed."""

    number: int
    text: str  # for people
    at_s: float  # since when, on the machine's monotonic clock
    holder: int | None = None  # pid of the process that asked for it
    healed_s: float | None = None
    failed: str | None = None  # why healing it failed


class Possible(msgspec.Struct, frozen=True):
    """Whether a fault can be made in this world."""

    fault: FaultName
    why_not: str | None = None

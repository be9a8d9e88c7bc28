"""What a drill did and when, as it goes into the report. Values only."""

from typing import Literal

import msgspec

StageName = Literal[
    "start", "preflight", "calm", "snapshot", "fault", "detect", "decide", "reconnect", "hold",
    "heal", "converge", "home", "cursors", "drain", "scan", "check", "note",
]  # fmt: skip


class Stage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stage: `at_s` since the drill's begin, and what it took, where it took time."""

    name: StageName
    at_s: float
    text: str
    took_s: float | None = None


class Wait(msgspec.Struct, frozen=True):
    """What was waited for, by its objective's key: how long it took, or why it did not happen."""

    key: Literal["recovered_s", "home_s"]
    took_s: float | None
    why: str = ""


class Outage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A fault, from when it was in effect until it was healed (CLOCK_MONOTONIC, in ns).

    `planned`: a drain. `lost`: the region whose stream nobody could reach meanwhile. `excuses`:
    while it lasts, nobody has to be current after another one (a wedged mirror excuses nobody).
    """

    text: str
    from_ns: int
    to_ns: int | None = None
    planned: bool = False
    lost: str | None = None
    excuses: bool = True
    heal_ns: int | None = None  # when healing began, which takes until `to_ns`
    served_ns: int | None = None  # of a rewind: when its nats-servers served again
    repairable: bool = True  # of a rewind: the mirrors that hold what is gone can give it back

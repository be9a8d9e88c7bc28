"""The steps of a drill, and a plan of them. Values only.

A plan is carried out in order. The first step that disturbs anything begins the phase `fault` of
the ledger, and each healing one is called `healed`.
"""

from dataclasses import dataclass
from typing import Literal

from regions.faults.fault import Fault, FaultName


@dataclass(frozen=True, slots=True)
class Calm:
    """Nothing is broken for so long: what latency is without a fault."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Remember what a region has stored, for a rewind."""

    region: str


@dataclass(frozen=True, slots=True)
class TakeCursors:
    """Begin sessions on every edge, and leave them with their cursors."""


@dataclass(frozen=True, slots=True)
class PresentCursors:
    """Resume those sessions: of an origin with a new epoch, every old cursor is refused."""


@dataclass(frozen=True, slots=True)
class Break:
    """Make a fault and hold it under `key`."""

    key: str
    fault: Fault
    lost: str | None = None  # a region whose stream nobody can reach while it is held


@dataclass(frozen=True, slots=True)
class KillLeader:
    """SIGKILL the nats-server of a region that leads its events' stream."""

    region: str


@dataclass(frozen=True, slots=True)
class Hold:
    """What is broken stays broken for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Heal:
    """Heal what is held under `key`, and wait until the processes in `up` serve."""

    key: str
    up: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Up:
    """Wait until processes serve that the supervisor starts again by itself."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restart:
    """End an edge gently, which drains it, and start it again."""

    edge: str


@dataclass(frozen=True, slots=True)
class Operate:
    """What an operator does to a region, planned, carried out and recorded as by `jetrelay ctl`."""

    verb: Literal["evacuate", "return"]
    region: str
    over_s: float = 0.0  # of a return: until it takes all that would come


@dataclass(frozen=True, slots=True)
class Drop:
    """Break the connections of all the drill's clients in a region at once."""

    region: str


@dataclass(frozen=True, slots=True)
class Recover:
    """Wait until every client is connected and every mirror current (objective `recovered_s`)."""


@dataclass(frozen=True, slots=True)
class Home:
    """Wait until nobody is away from the home region (objective `home_s`)."""


Step = (
    Calm | Snapshot | TakeCursors | PresentCursors | Break | KillLeader | Hold | Heal | Up
    | Restart | Operate | Drop | Recover | Home
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What a drill does.

    `needs`: what must be possible. `home_after_s`: when clients that moved try to return.
    """

    steps: tuple[Step, ...]
    needs: tuple[FaultName, ...] = ()
    home_after_s: float = 60.0

    @property
    def seconds(self) -> float:
        """How long it takes at least."""
        rests = sum(step.seconds for step in self.steps if isinstance(step, Calm | Hold))
        return rests + sum(step.over_s for step in self.steps if isinstance(step, Operate))

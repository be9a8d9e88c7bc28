"""What can't be healed is said to whoever asked for it, and is not called healed."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from regions.control import Client, Request
from regions.drills.actor import Actor
from regions.drills.signs import Watchman
from regions.drills.step import Break, Heal, Plan
from regions.drills.timeline import Stage
from regions.errors import WorldError
from regions.faults.client import Faults
from regions.faults.desk import FaultDesk
from regions.faults.fault import FillDiskFault, Held, WedgeFault
from regions.ledger.orders import Status
from regions.objectives import Objectives
from regions.topology_file import parse_topology

ANA = Client(1, 100)
WEDGE = Held(1, "wedge the mirror of us in eu", 5.0)


class Stuck:
    """Servers that can be filled, and not be freed."""

    async def limit(self, _server: object, *, limited: bool) -> float:
        if not limited:
            raise WorldError("us-n1 does not start")
        return 5.0


class OneServer:
    """Processes: one nats-server."""

    def find(self, name: str) -> object:
        return SimpleNamespace(name=name, command=SimpleNamespace(kind="nats", region="us"))

    def of(self, kind: str) -> list[object]:
        return [self.find("us-n1")] if kind == "nats" else []


async def test_a_healing_that_fails_is_not_called_healed() -> None:
    told: list[str] = []
    topology = parse_topology('[[regions]]\nname = "us"\n', "w.toml")
    desk = FaultDesk(
        topology, cast("Any", OneServer()), None, cast("Any", Stuck()), {}, told.append
    )
    made = await desk.make(ANA, FillDiskFault("us-n1", "limit"))
    reply = await desk.handle(Request("heal", number=made.number), ANA)
    assert reply.faults is not None
    [held] = reply.faults
    assert held.healed_s is None
    assert held.failed == "us-n1 does not start"
    assert told == ["healing store at its limit: us-n1: us-n1 does not start"]


async def test_who_heals_is_told_what_could_not_be(tmp_path: Path) -> None:
    class Answering(Faults):
        async def _ask(self, request: Request) -> Any:
            held = Held(request.number or 0, "wedge", 1.0, 100, None, "no answer in time")
            return SimpleNamespace(faults=[held])

    faults = Answering(tmp_path)
    with pytest.raises(WorldError, match="wedge is not healed: no answer in time"):
        await faults.heal()
    with pytest.raises(WorldError, match="wedge is not healed: no answer in time"):
        await faults.heal(WEDGE)


@dataclass
class Watched:
    """A crowd of nobody."""

    marks: list[str] = field(default_factory=list)

    def mark(self, phase: str) -> None:
        self.marks.append(phase)

    async def status(self) -> Status:
        return Status()


class Wedged:
    """Faults that can be made and not healed."""

    async def make(self, _fault: object) -> Held:
        return WEDGE

    async def heal(self, *_held: Held) -> float:
        raise WorldError("no answer in time")


async def test_a_drill_goes_on_after_a_healing_that_failed_and_marks_nothing_healed() -> None:
    crowd, stages = Watched(), list[Stage]()
    actor = Actor(
        cast("Any", None), cast("Any", None), cast("Any", Wedged()), cast("Any", crowd),
        Watchman(), Objectives(), stages.append, 0.0,
    )  # fmt: skip
    await actor.perform(Plan((Break("wedge", WedgeFault("eu", "us")), Heal("wedge", ("eu-1",)))))
    assert crowd.marks == ["fault"]
    assert actor.outages[0].to_ns is None
    assert actor.unhealed == [f"{WEDGE.text} is not healed: no answer in time"]
    assert [stage.name for stage in stages] == ["fault", "note"]

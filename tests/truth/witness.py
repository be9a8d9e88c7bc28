"""Consoles without a screen, one in each region; what they say, written down once a second."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType

import msgspec

from console.clock import Clock
from console.feed import apply
from console.live import LiveFeed
from console.model import Fleet, expect, observe
from console.report import FleetReport, to_json
from regions.doors import Door
from regions.world import World
from relay.tasks import Tasks
from tests.truth.canary import Birds, Going

EVERY_S = 1.0
STEADY_S = 10.0  # that all is well before anything is broken: alerts last a while


class Sample(msgspec.Struct, frozen=True):
    """One second."""

    t_s: float  # monotonic
    reports: dict[str, FleetReport]  # by the region through which each console listens first
    flights: dict[str, float]  # `us>eu`: since when (s) no canary arrived
    doors: list[Going]  # tries that ended in it


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Sample).decode
_report = msgspec.json.Decoder(FleetReport).decode


class Console:
    """What `jetrelay console --once --format json` would print, at any time.

    Args:
        doors: the ways in, tried in turn.
        known: region -> its edges.
    """

    def __init__(self, doors: Sequence[Door], known: Mapping[str, Iterable[str]]) -> None:
        self._feed = LiveFeed(doors)
        self._clock = Clock()
        self._fleet = Fleet()
        for region, edges in known.items():
            self._fleet = expect(self._fleet, region, edges)

    async def listen(self) -> None:
        """Listen, for ever."""
        async with aclosing(self._feed.events()) as events:
            async for event in events:
                self._fleet = apply(self._fleet, event, self._clock.steady_ms())

    def says(self) -> FleetReport:
        """What it says now: its JSON, read again."""
        view = observe(self._fleet, self._clock.steady_ms())
        return _report(to_json(view, self._clock.wall_ms()))


class Witness:
    """Listens in every region, and writes down each second.

    Args:
        world: that is watched.
        path: of the file, a line of JSON a second.
    """

    def __init__(self, world: World, path: Path) -> None:
        known = {region.name: [edge.name for edge in region.edges] for region in world.regions}
        doors = world.doors("console")
        self._consoles = {
            door.region: Console(sorted(doors, key=lambda other: other is not door), known)
            for door in doors
        }
        self._path = path
        self._birds = Birds(world)
        self._tasks = Tasks("witness")
        self.samples: list[Sample] = []

    async def __aenter__(self) -> "Witness":
        for region, console in self._consoles.items():
            self._tasks.keep(console.listen, f"listen.{region}")
        await self._birds.__aenter__()
        self._tasks.keep(self._look, "look")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._birds.__aexit__(kind, error, trace)
        await self._tasks.close()

    async def green(self, patience_s: float) -> None:
        """Wait until canaries fly, and every console says for a while that all is well.

        Raises:
            TimeoutError: it did not become so.
        """
        async with asyncio.timeout(patience_s):
            await self._birds.settled()
            steady = 0
            while steady < STEADY_S / EVERY_S:
                says = [console.says() for console in self._consoles.values()]
                well = all(said.status == "ok" and said.keepers for said in says)
                steady = steady + 1 if well else 0
                await asyncio.sleep(EVERY_S)

    async def _look(self) -> None:
        with self._path.open("ab") as file:
            due_s = time.monotonic()
            while True:
                reports = {region: console.says() for region, console in self._consoles.items()}
                sample = Sample(
                    time.monotonic(), reports, self._birds.flights(), self._birds.taken()
                )
                self.samples.append(sample)
                file.write(encode(sample) + b"\n")
                file.flush()
                due_s = max(due_s + EVERY_S, time.monotonic())
                await asyncio.sleep(due_s - time.monotonic())

"""Carry out the table: look, compare, change. Idempotent; one region's failure stops no other."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from regions.forks import Fork, find_fork, save
from regions.holes import Extent, limits_of, must_rebuild
from regions.jetstream import JetStream
from regions.nats_config import MIRRORED
from regions.streams import (
    Change,
    ConsumerConfig,
    Declared,
    Step,
    compare,
    declare,
    extras,
    merged,
    mirror_consumers,
)
from regions.topology import Topology
from relay.config import NatsConfig
from relay.core.hole import Hole
from relay.core.names import events_stream, hole_subject
from relay.core.runs import NONE, joined
from relay.errors import RelayError, UnavailableError

REGION_DEADLINE_S = 20.0
HOLES = 64  # that are recorded of one mirror; of more, those that lie nearest become one
SAVING_DEADLINE_S = 300.0  # where what only a diverged mirror holds is saved, to the end or not


class Failure(msgspec.Struct, frozen=True):
    """What could not be done in a region."""

    region: str
    error: str


class Report(msgspec.Struct, frozen=True):
    """What differs or was changed, and where that is not known."""

    changes: list[Change]
    failures: list[Failure]

    @property
    def clean(self) -> bool:
        """Everything is as declared, in every region."""
        return not self.failures and all(change.action == "extra" for change in self.changes)


async def plan(topology: Topology, nats: Mapping[str, NatsConfig]) -> Report:
    """How every region differs from the table, extras included; changes nothing."""

    async with Regions(topology, nats) as regions:

        async def look(admin: JetStream) -> list[Change]:
            table = declare(topology, topology.region(admin.region))
            found = [compare(entry, await _actual(admin, entry)) for entry in table]
            changes = [change for change in found if change is not None]
            holed = await find_holed(topology, regions, admin)
            diverged = [fork.change for fork in await find_diverged(topology, regions, admin)]
            known = extras(admin.region, table, await admin.consumers())
            return changes + holed + diverged + known

        return await regions.ask(look)


async def apply(
    topology: Topology,
    nats: Mapping[str, NatsConfig],
    keep: Path | None = None,
    only: str | None = None,
) -> Report:
    """Make every region as declared: home streams and consumers of all regions, then mirrors.

    Args:
        topology: the world.
        nats: region -> how to reach it.
        keep: a directory for what only a diverged mirror holds; without one such a mirror is named
            and left as it is.
        only: the region that is made so; None: every one.
    """

    def carry_out(step: Step) -> Callable[[JetStream], Awaitable[list[Change]]]:
        async def run(admin: JetStream) -> list[Change]:
            table = declare(topology, topology.region(admin.region))
            found = [await _make(admin, entry, regions) for entry in table if entry.step == step]
            return [change for change in found if change is not None]

        return run

    async with Regions(topology, nats, only) as regions:
        home = await regions.ask(carry_out("home"))
        fresh = await regions.ask(
            lambda admin: start_over(topology, regions, admin, keep), SAVING_DEADLINE_S
        )
        mirrors = await regions.ask(carry_out("mirror"))
    reports = (mirrors, fresh, home)
    known = {failure.region: failure for report in reports for failure in report.failures}
    return Report([*home.changes, *fresh.changes, *mirrors.changes], list(known.values()))


async def silent_mirrors(topology: Topology, nats: Mapping[str, NatsConfig]) -> list[str]:
    """The mirrors that have not heard of their origin since their server started.

    A mirror that tries before its link is up tries again after 5 s. Regions that do not answer are
    left out.
    """

    async def look(admin: JetStream) -> list[Change]:
        table = declare(topology, topology.region(admin.region))
        silent: list[Change] = []
        for entry in table:
            if entry.step == "mirror":
                info = await admin.info(entry.stream)
                if info is None or info.get("mirror", {}).get("active", -1) < 0:
                    silent.append(Change(admin.region, entry.stream, "update"))
        return silent

    async with Regions(topology, nats) as regions:
        report = await regions.ask(look)
    return [f"{change.name} in {change.region}" for change in report.changes]


async def _actual(admin: JetStream, entry: Declared) -> dict[str, Any] | None:
    if isinstance(entry.config, ConsumerConfig):
        return await admin.config(entry.stream, entry.config.name)
    return await admin.config(entry.stream)


async def _make(
    admin: JetStream, entry: Declared, regions: "Regions | None" = None
) -> Change | None:
    actual = await _actual(admin, entry)
    change = compare(entry, actual)
    if change is None:
        return None
    config = merged(entry, actual or {})
    if isinstance(entry.config, ConsumerConfig):
        await admin.put_consumer(entry.stream, config, exists=actual is not None)
    else:
        if actual is None and regions is not None:
            config |= await _where_to_begin(admin.region, entry.stream, regions)
        await admin.put_stream(config, exists=actual is not None)
    return change


async def _where_to_begin(region: str, stream: str, regions: "Regions") -> dict[str, int]:
    """With which sequence a home stream begins that is made anew, and has mirrors.

    Events: where the oldest mirror begins. The edges write back what mirrors hold, under the same
    sequences; else that would begin with as many voids as there ever were events before. Records,
    log and book: above all that mirrors hold. Nobody writes them back, and their numbers only grow.
    """
    if stream not in {stream_of(region) for stream_of in MIRRORED}:
        return {}
    states: list[Mapping[str, Any]] = []
    for other in regions.others(region):
        info = await other.info(stream)
        if info is not None and info["state"]["last_seq"]:
            states.append(info["state"])
    if not states:
        return {}
    if stream != events_stream(region):
        return {"first_seq": max(int(state["last_seq"]) for state in states) + 1}
    first = min(int(state["first_seq"]) for state in states)
    return {"first_seq": first} if first > 1 else {}


async def start_over(
    topology: Topology, regions: "Regions", admin: JetStream, keep: Path | None
) -> list[Change]:
    """Make ready for their mirror step the mirrors of a region that must be filled from the start.

    A mirror that is not there (a region lost its disk) would be told by its old consumer to go on
    where the lost one was: the consumer starts over. A mirror that skipped events can't be mended
    in place, since a hole in a stream can't be filled: it goes, and is filled again, but only
    while its origin holds all that it holds.
    """
    done: list[Change] = []
    parted = await find_diverged(topology, regions, admin)
    skipped = await find_holed(topology, regions, admin)
    if (parted or skipped) and not await admin.has_room():
        # What is deleted could not be made again.
        raise UnavailableError(f"{admin.region}: mirrors are not filled anew: there is no room")
    for diverged in parted:
        if keep is None:
            done.append(diverged.change)
            continue
        path = await save(diverged.fork, diverged.home, admin, keep)
        done.append(msgspec.structs.replace(diverged.change, saved=str(path)))
    refill = {change.name for change in done if change.saved is not None}
    # What only a diverged mirror holds, and is not saved, is not deleted for what it skipped.
    kept = {diverged.fork.stream for diverged in parted} - refill
    holed = refill | {change.name for change in skipped if change.name not in kept}
    for stream, (origin, entry) in mirror_consumers(topology, admin.region).items():
        source = regions.admin(origin)
        assert isinstance(entry.config, ConsumerConfig)
        consumer = entry.config.name
        if source is None or (stream not in holed and await admin.info(stream) is not None):
            continue
        fed = await source.info(stream, consumer)
        if fed is not None and fed["delivered"]["stream_seq"] > 0:
            # First: without its consumer a mirror stands still, whatever fails after this.
            await source.delete_consumer(stream, consumer)
        if stream in holed:
            if stream not in refill and stream == events_stream(origin):
                await _record_skipped(origin, source, admin)
            await admin.delete_stream(stream)
            # Another keeper may have made it again, and fed the mirror that was.
            fed = await source.info(stream, consumer)
            if fed is not None and fed["delivered"]["stream_seq"] > 0:
                await source.delete_consumer(stream, consumer)
            if stream not in refill:
                done.append(Change(admin.region, stream, "rebuild"))
        await _make(source, entry)
    return done


async def _record_skipped(origin: str, home: JetStream, mirror: JetStream) -> None:
    """Say in the region's records what its mirror had skipped, while that can be told.

    Cursors of the region may have passed it. Its edges record that as well, if they live.
    """
    stream = events_stream(origin)
    here, there = await mirror.info(stream), await home.info(stream)
    skipped = None if here is None else await mirror.lacking(here)
    if not skipped:
        return
    if there is not None:
        skipped = skipped.within(int(there["state"]["first_seq"]), skipped.last)
        skipped -= await home.lacking(there) or NONE
    for first, last in joined(skipped.runs, HOLES):
        hole = Hole(mirror.region, origin, first, last, skipped=True)
        await mirror.store(hole_subject(mirror.region), msgspec.json.encode(hole))


@dataclass(frozen=True, slots=True)
class Diverged:
    """A mirror that parted from its origin."""

    fork: Fork
    home: JetStream
    change: Change


async def find_diverged(topology: Topology, regions: "Regions", admin: JetStream) -> list[Diverged]:
    """The mirrors of a region that hold other events than their origin."""
    found: list[Diverged] = []
    for origin in topology.others(admin.region):
        home = regions.admin(origin)
        if home is None or await admin.info(events_stream(origin)) is None:
            continue
        fork = await find_fork(origin, home, admin)
        if fork is not None:
            found.append(Diverged(fork, home, Change(admin.region, fork.stream, "diverged")))
    return found


async def find_holed(topology: Topology, regions: "Regions", admin: JetStream) -> list[Change]:
    """The mirrors of a region that skipped events which their origin holds."""
    holed: list[Change] = []
    for stream, (origin, _) in mirror_consumers(topology, admin.region).items():
        # The mirror is looked at first: its origin goes on meanwhile.
        source, mirror = regions.admin(origin), await admin.info(stream)
        home = await source.info(stream) if source is not None else None
        if source is None or mirror is None or home is None:
            continue
        lacking, gone = await admin.lacking(mirror), await source.lacking(home)
        if lacking is None or gone is None:
            continue  # so many that it can't be told: its region's edges read them at the origin
        here, there = Extent(mirror["state"], lacking), Extent(home["state"], gone)
        limits = limits_of(home["config"])
        # Nobody writes these back: a copy that is ahead of an origin that lost its end goes.
        stale = stream != events_stream(origin) and here.last > there.last
        if stale or must_rebuild(here, there, limits, datetime.now(UTC).timestamp()):
            holed.append(Change(admin.region, stream, "rebuild"))
    return holed


class Regions:
    """A connection to each region that can be reached, and why the others can't."""

    def __init__(
        self, topology: Topology, nats: Mapping[str, NatsConfig], only: str | None = None
    ) -> None:
        self._names = topology.names
        self._asked = topology.names if only is None else (only,)
        self._nats = nats
        self._admins: dict[str, JetStream] = {}
        self._unreached: dict[str, Failure] = {}

    async def __aenter__(self) -> "Regions":
        async def connect(region: str) -> None:
            try:
                self._admins[region] = await JetStream.connect(region, self._nats[region])
            except RelayError as error:
                self._unreached[region] = Failure(region, str(error))

        await asyncio.gather(*(connect(region) for region in self._names))
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.gather(*(admin.close() for admin in self._admins.values()))

    def admin(self, region: str) -> JetStream | None:
        """The connection to a region; None if it can't be reached."""
        return self._admins.get(region)

    def others(self, region: str) -> list[JetStream]:
        """The connections to all other regions that can be reached."""
        return [admin for name, admin in self._admins.items() if name != region]

    async def ask(
        self,
        question: Callable[[JetStream], Awaitable[list[Change]]],
        deadline_s: float = REGION_DEADLINE_S,
    ) -> Report:
        """Put `question` to every region that is asked at once, in the order of the topology."""
        changes: dict[str, list[Change]] = {}
        failures = dict(self._unreached)

        async def one(region: str, admin: JetStream) -> None:
            try:
                async with asyncio.timeout(deadline_s):
                    changes[region] = await question(admin)
            except RelayError as error:
                failures[region] = Failure(region, str(error))
            except TimeoutError:
                failures[region] = Failure(region, f"no answer within {deadline_s:.0f} s")

        asked = {name: self._admins[name] for name in self._asked if name in self._admins}
        await asyncio.gather(*(one(region, admin) for region, admin in asked.items()))
        return Report(
            [change for region in self._asked for change in changes.get(region, [])],
            [failures[region] for region in self._asked if region in failures],
        )

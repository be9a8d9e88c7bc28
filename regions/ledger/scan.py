"""The scans: what every region's copy of every origin's stream holds, before and in the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from regions.errors import AdminError, LedgerError
from regions.jetstream import JetStream
from regions.ledger.content import hash_of, number_of
from regions.ledger.files import Writer
from regions.ledger.record import Fork, Opening, Stored, Stream, Unread
from regions.ledger.spec import SPEC_FILE, read_spec, room_names
from regions.world import World
from relay.core.names import events_stream
from relay.errors import BusError, UnavailableError

BATCH = 1_000
REPLICA_WAITS, REPLICA_WAIT_S = 40, 0.05
LOOK_S = 0.25


async def look(world: World) -> list[Opening]:
    """Where every copy of every stream begins and ends now. Before the crowd comes, so that what
    the streams lose from their beginning meanwhile is found.

    Raises:
        AdminError, BusError: a copy can't be read.
    """
    origins = [region.name for region in world.regions]
    found: list[Opening] = []
    for region in origins:
        reader = await JetStream.connect(region, world.nats_config(region, "control"))
        try:
            for origin in origins:
                info = await _info(reader, origin)
                state = info["state"]
                first, last = int(state["first_seq"]), int(state["last_seq"])
                epoch = _epoch(info) if region == origin else 0
                found.append(Opening(time.monotonic_ns(), region, origin, first, last, epoch))
        finally:
            await reader.close()
    return found


def write_openings(ledger: Path, found: Sequence[Opening]) -> None:
    """Write down in the ledger where the streams began.

    Raises:
        LedgerError: it can't be written.
    """
    writer = Writer(ledger, "opening")
    try:
        for one in found:
            writer.write(one)
    finally:
        writer.close()


async def scan(
    world: World,
    ledger: Path,
    settle_s: float = 30.0,
    regions: Sequence[str] = (),
    openings: Sequence[Opening] = (),
) -> None:
    """Read the streams of `world`, and write the crowd's events in them to `ledger`/scan.jsonl.

    Waits up to `settle_s` until the mirrors hold what their origins hold. A copy that can't be
    read is written down as unread.

    Args:
        world: that the crowd was in.
        ledger: the directory of its ledger.
        settle_s: for mirrors that are behind, or are filled anew.
        regions: only what these hold; all regions' without.
        openings: what `look` found before the crowd came, none of which is the crowd's: a copy is
            read from where it ended then, unless its origin has begun an epoch since, which may
            lie before. Without: from its beginning.

    Raises:
        LedgerError: there is no crowd's ledger, or it can't be written.
    """
    spec = read_spec(ledger)
    if spec is None:
        raise LedgerError(f"{ledger / SPEC_FILE}: no crowd's ledger")
    writer = Writer(ledger, "scan")
    origins = [region.name for region in world.regions]
    try:
        async with _connections(world, regions or origins, writer, origins) as readers:
            infos = {
                origin: await _info(readers[origin], origin)
                for origin in origins
                if origin in readers
            }
            heads = {origin: int(info["state"]["last_seq"]) for origin, info in infos.items()}
            begins = begins_of(openings, {origin: _epoch(info) for origin, info in infos.items()})
            await _settle(readers, heads, settle_s)
            for region, reader in readers.items():
                for origin in origins:
                    one = _Scan(reader, region, origin, frozenset(room_names(spec)), writer)
                    await one.run(begins.get((region, origin), 1), heads.get(origin))
    finally:
        writer.close()


@asynccontextmanager
async def _connections(
    world: World, regions: Sequence[str], writer: Writer, origins: Sequence[str]
) -> AsyncIterator[dict[str, JetStream]]:
    readers: dict[str, JetStream] = {}
    async with AsyncExitStack() as stack:
        for region in regions:
            config = world.nats_config(region, "control")
            try:
                reader = await JetStream.connect(region, config)
                await _info(reader, region)
            except (BusError, AdminError) as error:
                for origin in origins:
                    writer.write(Unread(time.monotonic_ns(), region, origin, str(error)))
                continue
            stack.push_async_callback(reader.close)
            readers[region] = reader
        yield readers


async def _info(reader: JetStream, origin: str) -> dict[str, Any]:
    info = await reader.info(events_stream(origin))
    if info is None:
        raise UnavailableError(f"{reader.region}: there is no {events_stream(origin)}")
    return info


def _epoch(info: dict[str, Any]) -> int:
    return int(info["config"].get("metadata", {}).get("epoch", 1))


def begins_of(openings: Sequence[Opening], epochs: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """(region, origin) -> where to read a copy from, for origins whose epoch is what it was."""
    before = {one.origin: one.epoch for one in openings if one.region == one.origin}
    same = {origin for origin, epoch in epochs.items() if before.get(origin) == epoch}
    return {(one.region, one.origin): one.last + 1 for one in openings if one.origin in same}


async def _settle(readers: dict[str, JetStream], heads: dict[str, int], settle_s: float) -> None:
    """Wait until the mirrors hold what their origins held."""
    deadline = time.monotonic() + settle_s
    short = [(region, origin) for region in readers for origin in heads if region != origin]
    while short and time.monotonic() < deadline:
        short = [
            (region, origin)
            for region, origin in short
            if not await _holds(readers[region], origin, heads[origin])
        ]
        if short:
            await asyncio.sleep(LOOK_S)


async def _holds(reader: JetStream, origin: str, head: int) -> bool:
    try:
        state = (await _info(reader, origin))["state"]
    except (BusError, AdminError):
        return False
    return int(state["last_seq"]) >= head and not state.get("num_deleted")


class _Scan:
    """One region's copy of one origin's stream."""

    def __init__(
        self, reader: JetStream, region: str, origin: str, rooms: frozenset[str], writer: Writer
    ) -> None:
        self._reader = reader
        self._region = region
        self._origin = origin
        self._rooms = rooms
        self._writer = writer
        self._subject = f"ev.{origin}._.0."
        self._epochs: dict[int, int] = {}  # each with its first sequence

    async def run(self, begin: int, head: int | None) -> None:
        """Read it from `begin` or its own beginning on, up to `head`; None: up to its end."""
        now = time.monotonic_ns()
        try:
            info = await _info(self._reader, self._origin)
            state = info["state"]
            epoch = _epoch(info)
            first, last = int(state["first_seq"]), int(state["last_seq"])
            upto = last if head is None else min(head, last)
            if self._region != self._origin:
                # A mirror's own metadata is not kept: what it holds says the epoch.
                epoch = 0
            self._writer.write(Stream(now, self._region, self._origin, epoch, first, upto))
            await self._read(max(first, begin), upto, epoch)
            if epoch:
                self._epochs.setdefault(epoch, upto + 1)  # begun, and nothing was stored in it yet
            for found, begins in sorted(self._epochs.items()):
                self._writer.write(Fork(now, self._region, self._origin, found, begins))
        except (BusError, AdminError) as error:
            self._writer.write(Unread(now, self._region, self._origin, str(error)))

    async def _read(self, first: int, last: int, epoch: int) -> None:
        stream, seq = events_stream(self._origin), first
        waits = 0
        while seq <= last:
            page = await self._reader.messages(stream, seq, BATCH)
            if not page and waits < REPLICA_WAITS:
                waits += 1  # any replica answers: one that is behind shows nothing of the end
                await asyncio.sleep(REPLICA_WAIT_S)
                continue
            if not page:
                raise UnavailableError(f"{stream} does not show what it holds from {seq} on")
            for headers, data in page:
                seq = int(headers["Nats-Sequence"]) + 1
                if seq - 1 <= last:
                    self._message(headers, data, seq - 1, epoch)

    def _message(self, headers: dict[str, str], data: bytes, seq: int, epoch: int) -> None:
        if said := headers.get("Jr-Epoch"):  # also of what only fills sequences: nobody's event
            self._epochs.setdefault(int(said), seq)
        subject = headers.get("Nats-Subject", "")
        room = subject.removeprefix(self._subject)
        if room == subject or room not in self._rooms:
            return
        try:
            decoded = msgspec.json.decode(data)
        except msgspec.DecodeError:
            decoded = None
        self._writer.write(
            Stored(
                time.monotonic_ns(), self._region, self._origin,
                int(headers.get("Jr-Epoch") or epoch or 1), seq, room, headers.get("Jr-User"),
                headers.get("Jr-Id"), number_of(decoded), hash_of(decoded),
                int(headers.get("Jr-Ts") or 0),
            )
        )  # fmt: skip

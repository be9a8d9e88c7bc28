"""The home stream under repair: its lost tail is written back, or a new epoch starts."""

import logging

from relay.bus.ack import read_ack
from relay.bus.compare import Comparison
from relay.bus.connection import Headers
from relay.bus.events import EPOCH as EVENT_EPOCH
from relay.bus.events import MSG_ID, SEQUENCE, SUBJECT
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader, StreamInfo, remote_api
from relay.core.gate import Home, NoteFork, Repair, StartEpoch
from relay.core.names import DEFAULT_SHARD, SYSTEM_TENANT, event_subject, events_stream
from relay.errors import BusError

_log = logging.getLogger("jetrelay.gate")

VOID_ROOM = "void"  # fills the sequences that an epoch starts above
EPOCH, ABOVE, FORKS = "epoch", "epoch_above", "epoch_forks"
FORKS_KEPT = 8
EXPECTED_LAST = "Nats-Expected-Last-Sequence"


def home_of(info: StreamInfo) -> Home:
    """The home stream in its information."""
    forks = info.metadata.get(FORKS, "")
    return Home(
        epoch=int(info.metadata.get(EPOCH, "1")),
        last=info.last,
        created=info.created,
        above=int(info.metadata.get(ABOVE, "0")),
        forks=tuple(int(seq) for seq in forks.split(",") if seq),
    )


class HomeStream:
    """Writes to a region's home stream what its gate decided. One edge at a time may use it."""

    def __init__(self, inbox: Inbox, reader: Reader, region: str) -> None:
        self._inbox = inbox
        self._reader = reader
        self._region = region
        self._stream = events_stream(region)
        self.repaired = 0  # events written back

    async def carry_out(self, decision: Repair | StartEpoch | NoteFork, info: StreamInfo) -> None:
        """Do what was decided on the stream as it stands.

        Raises:
            BusError: it could not be done, or not all of it: look again.
        """
        match decision:
            case Repair():
                await self._repair(decision)
            case StartEpoch():
                await self._start_epoch(decision, info)
            case NoteFork(fork):
                _log.warning("a mirror differs from %d on: it is to be filled anew", fork)
                await self._remember(info, home_of(info), fork)

    # --- the lost tail -------------------------------------------------------------------------

    async def _repair(self, repair: Repair) -> None:
        _log.warning(
            "home stream ends at %d, the mirror in %s at %d: writing the tail back",
            repair.after,
            repair.region,
            repair.upto,
        )
        seq = repair.after
        while seq < repair.upto:
            page = await self._reader.page(
                self._stream, seq + 1, batch=256, api=remote_api(repair.region)
            )
            if not page.messages:
                raise BusError(f"the mirror in {repair.region} does not hold {seq + 1}")
            for headers, data in page.messages:
                wanted = int(headers[SEQUENCE])
                await self._fill(seq, wanted - 1, {})
                await self._write_back(headers, data, wanted)
                seq = wanted
                self.repaired += 1

    async def _write_back(self, headers: Headers, data: bytes, wanted: int) -> None:
        kept = {
            name: value
            for name, value in headers.items()
            if not name.startswith("Nats-") or name == MSG_ID
        }
        await self._put(headers[SUBJECT], data, kept, wanted)

    async def _fill(self, after: int, upto: int, headers: Headers) -> None:
        """Take the sequences that no mirror holds (deleted there): nothing else may get them."""
        subject = event_subject(self._region, SYSTEM_TENANT, DEFAULT_SHARD, VOID_ROOM)
        for seq in range(after + 1, upto + 1):
            await self._put(subject, b"{}", headers, seq)

    async def _put(self, subject: str, data: bytes, headers: Headers, wanted: int) -> None:
        expected = headers | {EXPECTED_LAST: str(wanted - 1)}
        ack = read_ack(*await self._inbox.request(subject, data, 2.0, expected))
        if ack.error is not None or ack.seq != wanted:
            raise BusError(f"writing {wanted} to the home stream: {ack}")

    # --- a new epoch ---------------------------------------------------------------------------

    async def _start_epoch(self, start: StartEpoch, info: StreamInfo) -> None:
        _log.error(
            "home stream may have lost events: epoch %d starts above %d", start.epoch, start.above
        )
        fork = start.fork
        if start.unlike:
            comparison = Comparison(self._reader)
            fork = await comparison.fork(self._region, info.last, remote_api(start.unlike))
        home = home_of(info)
        # It begins with one void at least, by which every reader knows it; and whoever still lacks
        # what stood here is told of it before passing them.
        above = max(start.above, info.last + 1)
        begun = Home(start.epoch, home.last, home.created, above, home.forks)
        await self._remember(info, begun, fork)
        await self._fill(info.last, above, {EVENT_EPOCH: str(start.epoch)})

    async def _remember(self, info: StreamInfo, home: Home, fork: int) -> None:
        forks = home.forks if fork in (0, *home.forks) else (*home.forks, fork)
        metadata = {
            key: value for key, value in info.metadata.items() if not key.startswith("_nats.")
        }
        metadata |= {EPOCH: str(home.epoch), ABOVE: str(home.above)}
        if forks:
            metadata[FORKS] = ",".join(map(str, forks[-FORKS_KEPT:]))
        await self._reader.api(
            f"STREAM.UPDATE.{self._stream}", {**info.config, "metadata": metadata}
        )

"""The home stream under repair: its lost tail is written back, or a new epoch starts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from relay.bus.ack import read_ack
from relay.bus.compare import Comparison
from relay.bus.connection import Headers
from relay.bus.events import EPOCH as EVENT_EPOCH
from relay.bus.events import MSG_ID, SEQUENCE, STAMP, SUBJECT, epoch_in, stamp_ms
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader, StreamInfo, remote_api
from relay.core.gate import Home, NoteEpoch, NoteFork, Repair, StartEpoch
from relay.core.names import events_stream, void_subject
from relay.errors import BusError

_log = logging.getLogger("jetrelay.gate")

Message = tuple[Headers, bytes]

EPOCH, ABOVE, FORKS = "epoch", "epoch_above", "epoch_forks"
RESTORED = "epoch_restored"
FORKS_KEPT = 32
DEDUP_MS = 120_000  # in which a stream takes an id once
WINDOW = 128  # messages that are written at once
EXPECTED_LAST = "Nats-Expected-Last-Sequence"


class Put(NamedTuple):
    """A message that is to get this sequence, and no other."""

    subject: str
    data: bytes
    headers: Headers
    seq: int


async def _true() -> bool:
    return True


def home_of(info: StreamInfo) -> Home:
    """The home stream in its information."""
    forks, restored = info.metadata.get(FORKS, ""), info.metadata.get(RESTORED, "")
    return Home(
        epoch=int(info.metadata.get(EPOCH, "1")),
        last=info.last,
        empty=info.messages == 0,
        created=info.created,
        above=int(info.metadata.get(ABOVE, "0")),
        forks=tuple(int(seq) for seq in forks.split(",") if seq),
        restored=tuple(
            (made, int(upto))
            for made, _, upto in (one.partition("@") for one in restored.split(",") if one)
        ),
    )


def _resumed(home: Home, epoch: int) -> Home:
    """A stream that goes on in an epoch, of which it does not know where it began."""
    return replace(home, epoch=epoch, above=0) if epoch > home.epoch else home


class HomeStream:
    """Writes to a region's home stream what its gate decided. One edge at a time may use it."""

    def __init__(self, inbox: Inbox, reader: Reader, region: str) -> None:
        self._inbox = inbox
        self._reader = reader
        self._region = region
        self._stream = events_stream(region)
        self._void = void_subject(region)
        self._said: tuple[str, int, int] | None = None  # the newest epoch that the stream says
        self.repaired = 0  # events written back
        self.started: Home | None = None  # as the epoch stands that was started here last
        # Called now and then while it works: who writes keeps the duty to.
        self.renew: Callable[[], Awaitable[bool]] = _true

    async def begun(self, info: StreamInfo) -> Home:
        """The home stream in its information. An epoch that was to begin, and of which the stream
        does not say so under the sequence kept for that, begins above all that it holds.

        Another edge may have stored there, while the one that began it wrote this down.

        Raises:
            BusError: the stream does not show what it holds there.
        """
        home = home_of(info)
        epoch = (home.created, home.epoch, home.above)
        if home.above == 0 or home.last < home.above or epoch == self._said:
            return home
        page = await self._reader.page(self._stream, home.above, batch=1)
        if not page.messages:
            if home.empty:
                return home
            raise BusError(f"the home stream does not show what it holds from {home.above} on")
        headers, _ = page.messages[0]
        if int(headers[SEQUENCE]) == home.above and epoch_in(headers) != home.epoch:
            return replace(home, above=home.last + 1)
        self._said = epoch
        return home

    async def carry_out(
        self, decision: Repair | StartEpoch | NoteFork | NoteEpoch, info: StreamInfo
    ) -> None:
        """Do what was decided on the stream as it stands.

        Raises:
            BusError: it could not be done, or not all of it: look again.
        """
        match decision:
            case Repair():
                lacking = await self._lacking(decision)
                if lacking:
                    _log.error("no mirror that answers holds %d, nor the home stream", lacking)
                    fork = decision.after + 1
                    await self._start_epoch(
                        StartEpoch(decision.epoch, decision.upto, fork=fork), info
                    )
                    return
                home = home_of(info)
                if decision.lost or decision.resumed > home.epoch:
                    # First: a look at what is half written back must not take it for another one.
                    restored = tuple((made, decision.upto) for made in decision.lost)
                    home = _resumed(
                        replace(home, restored=(*home.restored, *restored)), decision.resumed
                    )
                    await self._remember(info, home, 0)
                await self._repair(decision)
            case StartEpoch():
                await self._start_epoch(decision, info)
            case NoteEpoch(epoch):
                _log.warning("the home stream is in epoch %d, and did not say so any more", epoch)
                await self._remember(info, _resumed(home_of(info), epoch), 0)
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
        _, newest = await self._held(repair, repair.upto - 1)
        ended_ms = max(
            (stamp_ms(headers.get(STAMP, "")) for headers, _ in newest.values()), default=0
        )
        seq = repair.after
        while seq < repair.upto:
            last, found = await self._held(repair, seq)
            await self._write_back(seq, last, found, ended_ms - DEDUP_MS)
            seq = last

    async def _lacking(self, repair: Repair) -> int:
        """The first sequence of what is to be written back that is held nowhere; 0: all is held."""
        seq = repair.after
        while seq < repair.upto:
            last, found = await self._held(repair, seq)
            for each in range(seq + 1, last + 1):
                if each not in found:
                    return each
            seq = last
        return 0

    async def _held(self, repair: Repair, seq: int) -> tuple[int, dict[int, Message]]:
        """What follows a sequence, from the mirrors: up to where, and what they hold of it."""
        if not await self.renew():
            raise BusError("another edge has the duty to repair the home stream")
        page = await self._reader.page(
            self._stream, seq + 1, batch=256, api=remote_api(repair.region)
        )
        if not page.messages:
            raise BusError(f"the mirror in {repair.region} does not hold {seq + 1}")
        found = {int(headers[SEQUENCE]): (headers, data) for headers, data in page.messages}
        if page.last - seq > len(found):
            lacking = [n for n in range(seq + 1, page.last) if n not in found]
            found |= await self._held_elsewhere(repair.others, lacking)
        return page.last, found

    async def _held_elsewhere(
        self, others: Sequence[str], lacking: Sequence[int]
    ) -> dict[int, Message]:
        """What one mirror skipped, from others."""
        found: dict[int, Message] = {}
        for region in others if lacking else ():
            seq, stale = lacking[0], False
            try:
                while seq <= lacking[-1]:
                    page = await self._reader.page(
                        self._stream, seq, batch=256, api=remote_api(region)
                    )
                    for headers, data in page.messages:
                        found.setdefault(int(headers[SEQUENCE]), (headers, data))
                    if not page.messages:
                        stale = await self._hides(region, seq, lacking[-1])
                        break
                    seq = page.last + 1
            except BusError as error:
                _log.info("the mirror in %s does not say what another skipped: %s", region, error)
            if stale:
                raise BusError(
                    f"a replica of the mirror in {region} does not show all that it holds"
                )
        wanted = set(lacking)
        return {seq: message for seq, message in found.items() if seq in wanted}

    async def _hides(self, region: str, first: int, last: int) -> bool:
        """Whether the leader of a mirror holds something of what a replica did not show."""
        held = await self._reader.next_seq(self._stream, first, ">", api=remote_api(region))
        return held is not None and held <= last

    async def _write_back(
        self, after: int, upto: int, found: Mapping[int, Message], young_ms: int
    ) -> None:
        puts: list[Put] = []
        for seq in range(after + 1, upto + 1):
            if seq not in found:
                raise BusError(f"the mirrors do not hold {seq} any more")
            headers, data = found[seq]
            kept = {name: value for name, value in headers.items() if not name.startswith("Nats-")}
            # Only of what may be published once more: an older event may have had the same id.
            if MSG_ID in headers and stamp_ms(headers.get(STAMP, "")) > young_ms:
                kept[MSG_ID] = headers[MSG_ID]
            puts.append(Put(headers[SUBJECT], data, kept, seq))
            self.repaired += 1
        await self._put_all(puts)

    async def _fill(self, after: int, upto: int, headers: Headers) -> None:
        for start in range(after + 1, upto + 1, WINDOW):
            if not await self.renew():
                raise BusError("another edge has the duty to repair the home stream")
            end = min(start + WINDOW, upto + 1)
            await self._put_all([Put(self._void, b"{}", headers, seq) for seq in range(start, end)])

    async def _put_all(self, puts: Sequence[Put]) -> None:
        """Write under these very sequences, in order: what goes wrong ends all after it, too."""
        for at in range(0, len(puts), WINDOW):
            part = puts[at : at + WINDOW]
            answers = await asyncio.gather(*map(self._put, part), return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer

    async def _put(self, put: Put) -> None:
        expected = put.headers | {EXPECTED_LAST: str(put.seq - 1)}
        ack = read_ack(*await self._inbox.request(put.subject, put.data, 2.0, expected))
        if ack.error is not None or ack.seq != put.seq:
            raise BusError(f"writing {put.seq} to the home stream: {ack}")

    # --- a new epoch ---------------------------------------------------------------------------

    async def _start_epoch(self, start: StartEpoch, info: StreamInfo) -> None:
        _log.error(
            "home stream may have lost events: epoch %d starts above %d", start.epoch, start.above
        )
        home, fork = home_of(info), start.fork
        if start.unlike:
            comparison = Comparison(self._reader)
            fork = await comparison.fork(self._region, info.last, remote_api(start.unlike))
        elif start.epoch != home.epoch and not fork:
            fork = info.last + 1  # a mirror that can't be asked now may hold what stood there
        # It begins with a void above all that anybody has passed, by which every reader knows it;
        # and whoever still lacks what stood here is told of it before passing them.
        above = max(start.above, info.last) + 1
        if start.epoch == home.epoch:
            above = start.above  # it was begun so, and is finished now
        begun = replace(home, epoch=start.epoch, above=above)
        await self._remember(info, begun, fork)
        self.started = begun  # whatever comes of the rest: whoever looks next finishes it
        await self._fill(info.last, above, {EVENT_EPOCH: str(start.epoch)})

    async def _remember(self, info: StreamInfo, home: Home, fork: int) -> None:
        forks = home.forks if fork in (0, *home.forks) else (*home.forks, fork)
        metadata = {
            key: value for key, value in info.metadata.items() if not key.startswith("_nats.")
        }
        metadata |= {EPOCH: str(home.epoch), ABOVE: str(home.above)}
        if home.restored:
            metadata[RESTORED] = ",".join(
                f"{made}@{upto}" for made, upto in home.restored[-FORKS_KEPT:]
            )
        if forks:
            metadata[FORKS] = ",".join(map(str, forks[-FORKS_KEPT:]))
        await self._reader.api(
            f"STREAM.UPDATE.{self._stream}", {**info.config, "metadata": metadata}
        )

"""The gate at work: looks at the home stream after every connection, repairs it, opens writes."""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from relay.bus.compare import Comparison
from relay.bus.connection import STATUS, Connection, Headers
from relay.bus.copies import epoch_said
from relay.bus.events import epoch_in
from relay.bus.home import HomeStream
from relay.bus.inbox import Inbox
from relay.bus.leases import Leases
from relay.bus.reader import Reader, remote_api
from relay.core.gate import (
    AskMirrors,
    Decision,
    Doubt,
    Held,
    Home,
    Open,
    Witness,
    first_look,
    second_look,
)
from relay.core.names import events_stream, witness_subject
from relay.errors import BusError, UnavailableError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.gate")

MIRRORS_S = 2.0
MIRROR_TRIES = 3  # at least: the process may have been stopped for all of that time
WITNESSES_S = 0.3  # for who knows nobody yet
NEIGHBOURS_S = 1.0  # for the other edges of the region to be back as well
ASK_AGAIN_S = 0.1
DUTY = "gate"
_testimony = msgspec.json.Decoder(Witness)
_NOTHING = Witness(0, "")  # was seen yet: said, so that nobody waits for it


class Gatekeeper:
    """Holds publishes of one edge until the home stream is known to be whole."""

    def __init__(
        self,
        connection: Connection,
        inbox: Inbox,
        reader: Reader,
        leases: Leases,
        region: str,
        others: Sequence[str],
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._reader = reader
        self._leases = leases
        self._region = region
        self._others = others
        self._stream = events_stream(region)
        self._home_stream = HomeStream(inbox, reader, region)
        self._home_stream.renew = partial(leases.take_duty, DUTY)
        self._comparison = Comparison(reader)
        self._open = asyncio.Event()
        self._tasks = Tasks("gate")
        self._looking: asyncio.Task[None] | None = None
        self._seen = 0
        self._home: Home | None = None  # as it was when writes opened last
        self._server = ""  # the nats-server, by its id, when writes opened last
        self._doubts: set[Doubt] = set()
        self.epoch = 0
        self.delivered: Callable[[], int] = lambda: 0  # up to where this edge's feed has the stream
        self.neighbours: Callable[[], int] = lambda: 0  # other edges of the region, as known

    async def start(self) -> None:
        """Answer other edges' questions, and take the first look."""
        await self._connection.listen(witness_subject(self._region), self._testify)
        self.look()

    async def close(self) -> None:
        """End a look that runs."""
        await self._tasks.close()

    @property
    def is_open(self) -> bool:
        """Whether publishes go."""
        return self._open.is_set()

    @property
    def repaired(self) -> int:
        """Events written back to the home stream."""
        return self._home_stream.repaired

    async def opened(self) -> None:
        """Wait until publishes go."""
        await self._open.wait()

    async def epoch_of(self, seq: int) -> int:
        """The epoch that the event with this sequence is stamped with.

        Raises:
            UnavailableError: NATS did not answer.
        """
        # Also beyond where the epoch began: it may be of an edge that had not heard of it yet.
        headers = await self._reader.headers_at(self._stream, seq)
        if headers is not None:
            return epoch_in(headers)
        # Held no more: it was stored within the last two minutes, so in no epoch before the last.
        began = 0 if self._home is None else self._home.above
        return self.epoch if seq > began else self.epoch - 1

    def shut(self) -> None:
        """The connection is lost."""
        self._open.clear()

    def saw(self, seq: int) -> None:
        """The home stream holds this sequence."""
        self._seen = max(self._seen, seq)

    def look(self) -> None:
        """Connected (again): open once the stream is whole."""
        self._open.clear()
        if self._looking is not None:
            self._looking.cancel()
        self._looking = self._tasks.spawn(self._until_open(), "look")

    def doubt(self, doubt: Doubt) -> None:
        """Another region's mirror holds other events than this stream: look, unless it is known."""
        if doubt in self._doubts or (self._home is not None and doubt.settled(self._home)):
            return
        self._doubts.add(doubt)
        self.look()

    def _witness(self) -> Witness | None:
        """What this edge saw, or at least the epoch that it started itself.

        Cut off and without another witness, the next look would start one more, and so on.
        """
        home = self._home or self._home_stream.started
        if home is None:
            return None
        # What came live was stored, also where its acknowledgement did not come.
        self.saw(max(self.delivered(), home.above))
        return Witness(self._seen, home.created, home.epoch)

    def _testify(self, _subject: str, reply: str, _headers: Headers, data: bytes) -> None:
        if reply and data != self._leases.edge.encode():
            witness = self._witness() or _NOTHING
            self._tasks.spawn(self._answer(reply, msgspec.json.encode(witness)), "testify")

    async def _answer(self, reply: str, body: bytes) -> None:
        try:
            await self._inbox.send(reply, body, "")
        except UnavailableError:
            return  # who asked will hear another, or ask the mirrors

    # --- looking -------------------------------------------------------------------------------

    async def _until_open(self) -> None:
        while True:
            try:
                if await self._look_once():
                    self._open.set()
                    return
            except BusError as error:
                _log.info("home stream not usable yet: %s", error)
            except Exception:
                _log.exception("the look at the home stream failed")
            await asyncio.sleep(0.1)

    async def _look_once(self) -> bool:
        server = self._connection.server_id
        home, decision = await self._decide(restarted=server != self._server)
        if isinstance(decision, Open):
            self.epoch, self._home, self._server = home.epoch, home, server
            self._doubts.clear()
            self.saw(home.last)
            return True
        # One edge of the region at a time; the others look again when it is done.
        if await self._leases.take_duty(DUTY):
            try:
                info = await self._reader.info(self._stream)
                # Else somebody stores, or has repaired it: look again.
                same = await self._home_stream.begun(info) == home
                if same and not isinstance(decision, AskMirrors):
                    await self._home_stream.carry_out(decision, info)
            finally:
                await self._leases.drop_duty(DUTY)
        return False

    async def _decide(self, *, restarted: bool) -> tuple[Home, Decision]:
        # What others saw is asked for first: they go on storing while they are asked.
        mine = self._witness()
        witnesses = await self._ask_witnesses(NEIGHBOURS_S if mine is not None else WITNESSES_S)
        if mine is not None:
            witnesses.append(mine)
        doubts = tuple(self._doubts)
        home = await self._home_stream.begun(await self._reader.info(self._stream))
        decision = first_look(home, witnesses, doubts, restarted=restarted)
        if not isinstance(decision, AskMirrors):
            return home, decision
        mirrors = await self._ask_mirrors(0 if home.empty else home.last)
        if not witnesses and not mirrors:
            # Another edge may have found out meanwhile, and stores.
            witnesses = await self._ask_witnesses(WITNESSES_S)
        home = await self._home_stream.begun(await self._reader.info(self._stream))
        asked = len(self._others)
        return home, second_look(home, witnesses, mirrors, asked=asked, doubts=doubts)

    async def _ask_witnesses(self, patience_s: float) -> list[Witness]:
        """What the other edges of the region saw: each may have stored more than this one.

        They have just lost their connections as well: who is known is waited for, for a while.
        """
        known, seen = self.neighbours(), list[Witness]()
        # So many times, rather than so long: the process may have been stopped meanwhile.
        for _ in range(math.ceil(max(patience_s, WITNESSES_S) / ASK_AGAIN_S)):
            if self._home is not None and not known:
                break
            heard = await self._ask_once()
            seen += [witness for witness in heard if witness.last]
            if known and len(heard) >= known:
                break
        return seen

    async def _ask_once(self) -> list[Witness]:
        heard: list[Witness] = []

        def sink(headers: Headers, data: bytes) -> None:
            if STATUS not in headers:
                heard.append(_testimony.decode(data))

        reply = self._inbox.open(sink)
        try:
            me = self._leases.edge.encode()
            await self._inbox.send(witness_subject(self._region), me, reply)
            await asyncio.sleep(ASK_AGAIN_S)
        finally:
            self._inbox.close(reply)
        return heard

    async def _ask_mirrors(self, home_last: int) -> dict[str, Held]:
        async def ask(region: str) -> tuple[str, Held] | None:
            loop = asyncio.get_running_loop()
            deadline, tries = loop.time() + MIRRORS_S, 0
            while loop.time() < deadline or tries < MIRROR_TRIES:
                tries += 1
                try:
                    return region, await self._held(region, home_last)
                except BusError:
                    await asyncio.sleep(0.1)
            return None

        answers = await asyncio.gather(*(ask(region) for region in self._others))
        return dict(answer for answer in answers if answer is not None)

    async def _held(self, region: str, home_last: int) -> Held:
        api = remote_api(region)
        # The leader is asked: another replica may lack what this one has to go by.
        last = await self._reader.last_seq(self._stream, ">", api=api, timeout_s=0.5)
        if last is None:
            return Held(0)
        epoch = await epoch_said(self._reader, self._region, api)
        agrees = True
        if last > home_last > 0:
            unlike = await self._comparison.differs(self._region, home_last, home_last, api)
            agrees = unlike is None
        return Held(last, epoch, agrees)

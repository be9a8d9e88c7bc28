"""The gate at work: looks at the home stream after every connection, repairs it, opens writes."""

import asyncio
import json
import logging
from collections.abc import Sequence

from relay.bus.connection import Connection, Headers
from relay.bus.events import MSG_ID, SEQUENCE, SUBJECT
from relay.bus.inbox import Inbox
from relay.bus.leases import Leases
from relay.bus.reader import Reader, StreamInfo, remote_api
from relay.core.gate import Home, Open, Repair, StartEpoch, Witness, first_look, second_look
from relay.core.names import (
    DEFAULT_SHARD,
    SYSTEM_TENANT,
    event_subject,
    events_stream,
    witness_subject,
)
from relay.errors import BusError, UnavailableError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.gate")

MIRRORS_S = 2.0
WITNESSES_S = 0.3
DUTY = "gate"
VOID_ROOM = "void"  # fills the sequences that an epoch starts above
EPOCH, ABOVE = "epoch", "epoch_above"
EXPECTED_LAST = "Nats-Expected-Last-Sequence"


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
        self._open = asyncio.Event()
        self._tasks = Tasks("gate")
        self._looking: asyncio.Task[None] | None = None
        self._seen = 0
        self._created = ""
        self.epoch = 0
        self.repaired = 0

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

    async def opened(self) -> None:
        """Wait until publishes go."""
        await self._open.wait()

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

    def _testify(self, _subject: str, reply: str, _headers: Headers, _data: bytes) -> None:
        if reply and self._seen and self._created:
            body = json.dumps({"last": self._seen, "created": self._created}).encode()
            self._tasks.spawn(self._answer(reply, body), "testify")

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
        # What others saw is asked for first: they go on storing while they are asked.
        mine = [Witness(self._seen, self._created)] if self._created else []
        witnesses = mine or await self._ask_witnesses()
        home = _home(await self._reader.info(self._stream))
        decision: Open | Repair | StartEpoch
        look = first_look(home, witnesses)
        if isinstance(look, Open | StartEpoch):
            decision = look
        else:
            mirrors = await self._ask_mirrors()
            home = _home(await self._reader.info(self._stream))
            decision = second_look(home, witnesses, mirrors, asked=len(self._others))
        if isinstance(decision, Open):
            self.epoch = home.epoch
            self._created = home.created
            self.saw(home.last)
            return True
        # One edge of the region at a time; the others look again when it is done.
        if await self._leases.take_duty(DUTY):
            try:
                info = await self._reader.info(self._stream)
                if _home(info) != home:
                    return False  # somebody stores, or has repaired it: look again
                if isinstance(decision, Repair):
                    await self._repair(decision)
                else:
                    await self._start_epoch(decision, info)
            finally:
                await self._leases.drop_duty(DUTY)
        return False

    async def _ask_witnesses(self) -> list[Witness]:
        witnesses: list[Witness] = []

        def sink(headers: Headers, data: bytes) -> None:
            if "Status" not in headers:
                answer = json.loads(data)
                witnesses.append(Witness(int(answer["last"]), str(answer["created"])))

        reply = self._inbox.open(sink)
        try:
            await self._inbox.send(witness_subject(self._region), b"", reply)
            await asyncio.sleep(WITNESSES_S)
        finally:
            self._inbox.close(reply)
        return witnesses

    async def _ask_mirrors(self) -> dict[str, int]:
        async def ask(region: str) -> tuple[str, int] | None:
            deadline = asyncio.get_running_loop().time() + MIRRORS_S
            while asyncio.get_running_loop().time() < deadline:
                try:
                    got = await self._reader.last_by_subject(
                        self._stream, ">", api=remote_api(region), timeout_s=0.5
                    )
                except BusError:
                    await asyncio.sleep(0.1)
                    continue
                return region, int(got[0][SEQUENCE]) if got else 0
            return None

        answers = await asyncio.gather(*(ask(region) for region in self._others))
        return dict(answer for answer in answers if answer is not None)

    # --- repairing -----------------------------------------------------------------------------

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
                await self._fill(seq, wanted - 1)
                seq = await self._write_back(headers, data, wanted)
                self.repaired += 1

    async def _write_back(self, headers: Headers, data: bytes, wanted: int) -> int:
        kept = {
            name: value
            for name, value in headers.items()
            if not name.startswith("Nats-") or name == MSG_ID
        }
        kept[EXPECTED_LAST] = str(wanted - 1)
        _, answer = await self._inbox.request(headers[SUBJECT], data, 2.0, kept)
        ack = json.loads(answer)
        if ack.get("seq") != wanted:
            raise BusError(f"writing back {wanted}: {ack}")
        return wanted

    async def _fill(self, after: int, upto: int) -> None:
        """Take the sequences that no mirror holds (deleted there): nothing else may get them."""
        subject = event_subject(self._region, SYSTEM_TENANT, DEFAULT_SHARD, VOID_ROOM)
        for seq in range(after + 1, upto + 1):
            headers = {EXPECTED_LAST: str(seq - 1)}
            _, answer = await self._inbox.request(subject, b"{}", 2.0, headers)
            if json.loads(answer).get("seq") != seq:
                raise BusError(f"filling {seq}: {answer[:200]!r}")

    async def _start_epoch(self, start: StartEpoch, info: StreamInfo) -> None:
        _log.error(
            "home stream may have lost events: epoch %d starts above %d", start.epoch, start.above
        )
        metadata = {
            key: value for key, value in info.metadata.items() if not key.startswith("_nats.")
        }
        metadata |= {EPOCH: str(start.epoch), ABOVE: str(start.above)}
        await self._reader.api(
            f"STREAM.UPDATE.{self._stream}", {**info.config, "metadata": metadata}
        )
        await self._fill(info.last, start.above)
        self._created, self._seen = info.created, start.above


def _home(info: StreamInfo) -> Home:
    return Home(
        epoch=int(info.metadata.get(EPOCH, "1")),
        last=info.last,
        created=info.created,
        above=int(info.metadata.get(ABOVE, "0")),
    )

"""Different users over all edges: what this edge says of its own, and the count where it counts.

One edge of each region has the duty to count, and says the result in its telemetry frame.
"""

import asyncio
import contextlib
import logging

import msgspec

from relay.bus.connection import Connection, Headers
from relay.bus.inbox import Inbox
from relay.bus.leases import Leases
from relay.core.headcount import Headcount
from relay.core.hyperloglog import HyperLogLog
from relay.core.names import users_ask_subject, users_subject
from relay.core.telemetry import Census
from relay.core.user_sets import (
    PART_USERS,
    Ask,
    Place,
    Said,
    UserSets,
    decode_ask,
    decode_said,
    encode,
    hash_of,
    pack,
)
from relay.edge import clock
from relay.edge.peers import ALIVE_S
from relay.errors import BusError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.census")

DUTY = "census"
FRESH_S = 3.0  # edges say once a second who is there
SKETCHED_AT_ONCE = 2_000  # users, in one turn of the loop


class CensusTaker:
    """Says which users are here, and counts those of all edges while it has the duty.

    Args:
        connection: on which others are heard.
        inbox: of the same connection: what is said goes out in order.
        leases: of this edge.
        headcount: of this edge.
        region: this edge's.
        edge: its name.
        epoch: Unix ms of its start.
    """

    def __init__(
        self,
        connection: Connection,
        inbox: Inbox,
        leases: Leases,
        headcount: Headcount,
        region: str,
        edge: str,
        epoch: int,
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._leases = leases
        self._headcount = headcount
        self._region, self._edge, self._epoch = region, edge, epoch
        self._tasks = Tasks("census")
        self._number = 0
        self._saying = asyncio.Lock()  # a whole set counts the changes before it
        self._sets: UserSets | None = None
        self._heard: int | None = None  # the subscription, while on duty
        self.undecodable = 0

    async def start(self) -> None:
        """Answer who asks for this edge's users."""
        subject = users_ask_subject(self._region, self._edge)
        await self._connection.listen(subject, self._hear_ask)

    async def close(self) -> None:
        """End what runs."""
        await self._tasks.close()

    @property
    def counting(self) -> bool:
        """Whether this edge has the duty."""
        return self._sets is not None

    def result(self) -> Census | None:
        """The count of now; None without the duty."""
        sets = self._sets
        if sets is None:
            return None
        # An edge that has died is counted until its lease runs out.
        exact = sets.exact and sets.all_heard(clock.now().mono_s - FRESH_S)
        return Census(sets.users(), dict(sets.users_by_region()), exact, sets.error)

    # --- what it says --------------------------------------------------------------------------

    async def say(self) -> None:
        """Say who came and who went since this was said before; also when nobody did.

        Raises:
            UnavailableError: not connected; who hears the next one asks for all.
        """
        async with self._saying:
            changes = self._headcount.take_user_changes()
            hashes = {hash_of(*key): here for key, here in changes.items()}
            self._number += 1
            await self._send(
                Said(
                    self._region,
                    self._edge,
                    self._epoch,
                    self._number,
                    self._headcount.users,
                    came=pack(each for each, here in hashes.items() if here),
                    went=pack(each for each, here in hashes.items() if not here),
                )
            )

    async def _send(self, said: Said) -> None:
        await self._inbox.send(users_subject(self._region, self._edge), encode(said), "")

    def _hear_ask(self, _subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        try:
            ask = decode_ask(data)
        except msgspec.DecodeError:
            self.undecodable += 1
            return
        if not self._saying.locked():  # else it is being answered, or asked for again
            self._tasks.spawn(self._answer(ask), "answer")

    async def _answer(self, ask: Ask) -> None:
        with contextlib.suppress(BusError):
            async with self._saying:
                await (self._say_sketch() if ask.sketch else self._say_all())

    async def _say_all(self) -> None:
        # Who came since the last changes were said is in it, and is said again: that is no harm.
        users = [hash_of(*key) for key in self._before()]
        parts = [users[at : at + PART_USERS] for at in range(0, len(users), PART_USERS)] or [[]]
        for number, part in enumerate(parts):
            await self._send(
                Said(
                    self._region, self._edge, self._epoch, self._number, len(users),
                    came=pack(part), part=number, parts=len(parts),
                )
            )  # fmt: skip
            await asyncio.sleep(0)

    def _before(self) -> set[tuple[str, str]]:
        """Who was here when changes were said last."""
        unsaid = self._headcount.user_changes
        here = set(self._headcount.who)
        return {key for key in here | unsaid.keys() if not unsaid.get(key, False)}

    async def _say_sketch(self) -> None:
        users, sketch = self._headcount.who, HyperLogLog()
        for at in range(0, len(users), SKETCHED_AT_ONCE):
            sketch.add(hash_of(*key) for key in users[at : at + SKETCHED_AT_ONCE])
            await asyncio.sleep(0)
        said = Said(
            self._region, self._edge, self._epoch, self._number, len(users),
            sketch=sketch.registers,
        )  # fmt: skip
        await self._send(said)

    # --- what it counts ------------------------------------------------------------------------

    async def turn(self) -> None:
        """Once a second: take or keep the duty, and ask for what is lacking.

        Raises:
            BusError: NATS did not answer; the next second tries again.
        """
        if not await self._leases.take_duty(DUTY):
            await self._stop()
            return
        if self._sets is None:
            self._sets = UserSets()
            self._heard = await self._connection.listen(users_subject("*", "*"), self._hear)
            _log.info("counting the users for %s", self._region)
        now_s = clock.now().mono_s
        self._sets.drop_silent(now_s - ALIVE_S)
        for place, ask in self._sets.asks(now_s):
            await self._inbox.send(users_ask_subject(*place), encode(ask), "")

    async def _stop(self) -> None:
        self._sets = None
        heard, self._heard = self._heard, None
        if heard is not None:
            await self._connection.unlisten(heard)

    def _hear(self, subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        try:
            said = decode_said(data)
        except msgspec.DecodeError:
            self.undecodable += 1
            return
        place: Place = (said.region, said.edge)
        if self._sets is None or subject != users_subject(*place):
            self.undecodable += self._sets is not None
            return
        try:
            self._sets.hear(said, clock.now().mono_s)
        except ValueError:
            self.undecodable += 1

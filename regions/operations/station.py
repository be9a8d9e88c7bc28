"""A region's NATS as the control plane reaches it: stores orders and entries, reads the books."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from nats.errors import Error as NatsError

from regions.doors import Door
from regions.errors import OperationError
from regions.operations.holder import Holder
from regions.operations.lease import holder_in
from regions.permissions import inbox_of
from relay.bus.ack import PubAck, read_ack
from relay.bus.connection import Connection, Headers, open_connection
from relay.bus.events import SEQUENCE, stamp_ms
from relay.bus.inbox import Inbox
from relay.bus.reader import API, Reader
from relay.core.names import LEASE_STREAM
from relay.errors import UnavailableError

CONNECT_S = 3.0
STORE_S = 2.0
READS = 4


class Station:
    """A connection as user `control` to one region. `open_stations` makes it."""

    def __init__(self, region: str, connection: Connection, inbox: Inbox) -> None:
        self.region = region
        self._connection = connection
        self._inbox = inbox
        self.reader = Reader(inbox, READS)

    @classmethod
    async def open(cls, door: Door) -> "Station":
        """Connect.

        Raises:
            UnavailableError: its NATS is not reached.
        """
        inbox_prefix = inbox_of(door.nats, "control")
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await open_connection(door.nats, "jetrelay ctl", inbox_prefix)
                inbox = Inbox(connection)
                await inbox.start()
        except (OSError, TimeoutError, NatsError) as error:
            why = str(error) or type(error).__name__
            raise UnavailableError(f"{door.region}: its NATS is not reached: {why}") from error
        return cls(door.region, connection, inbox)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def store(self, subject: str, data: bytes, headers: Headers | None = None) -> PubAck:
        """Store a message in the stream of this region that takes its subject.

        Returns:
            The acknowledgement; its `error` says why it was refused.

        Raises:
            UnavailableError: no answer: it may be stored, or not.
        """
        return read_ack(*await self._inbox.request(subject, data, STORE_S, headers))

    async def tell(self, subject: str, data: bytes) -> None:
        """Publish a message that is not stored, or that nobody answers.

        Raises:
            UnavailableError: the region's NATS is not there.
        """
        try:
            await self._connection.publish(subject, data)
            await self._connection.flush()
        except (OSError, TimeoutError, NatsError) as error:
            raise UnavailableError(f"{self.region}: its NATS is not there: {error}") from error

    async def now_ms(self) -> int:
        """The time by the region's NATS (Unix ms).

        Raises:
            UnavailableError: no answer.
        """
        return stamp_ms((await self.reader.api(f"STREAM.INFO.{LEASE_STREAM}", {}))["ts"])

    async def holder(self, subject: str) -> tuple[Holder | None, int]:
        """Who has a lease, and its sequence; None: nobody, 0: there is none.

        Raises:
            UnavailableError: no answer.
        """
        found = await self.reader.last_by_subject(LEASE_STREAM, subject)
        if found is None:
            return None, 0
        return holder_in(*found, await self.now_ms()), int(found[0][SEQUENCE])

    async def drop(self, seq: int) -> None:
        """Give a lease back.

        Raises:
            UnavailableError: no answer.
        """
        call = f"{API}.STREAM.MSG.DELETE.{LEASE_STREAM}"
        await self._inbox.request(call, msgspec.json.encode({"seq": seq}), STORE_S)


@asynccontextmanager
async def open_stations(doors: Sequence[Door]) -> AsyncIterator[list[Station]]:
    """The stations of all regions that are reached.

    Raises:
        OperationError: none is.
    """
    made = await asyncio.gather(*(Station.open(door) for door in doors), return_exceptions=True)
    stations = [each for each in made if isinstance(each, Station)]
    try:
        for each in made:
            if isinstance(each, BaseException) and not isinstance(each, UnavailableError):
                raise each
        if not stations:
            raise OperationError("; ".join(str(each) for each in made) or "no region is known")
        yield stations
    finally:
        await asyncio.gather(*(station.close() for station in stations))

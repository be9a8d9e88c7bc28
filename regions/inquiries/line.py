"""A region's NATS as who asks edges uses it: questions go out, answers come by their number."""

import asyncio
import secrets
from collections.abc import Callable

from nats.errors import Error as NatsError

from regions.doors import Door
from regions.errors import InquiryError
from regions.permissions import inbox_of
from relay.bus.connection import Connection, Headers, open_connection, settle
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core.inquiry import Question, encode_ask
from relay.core.inquiry_answers import Told, decode_told
from relay.core.names import AnswerKind, InquiryKind, inquiry_answer_subject, inquiry_subject
from relay.errors import UnavailableError

CONNECT_S = 3.0
FLUSH_S = 3
READS = 2
READ_S = 3.0

Hear = Callable[[Told], None]


class Line:
    """A connection to one region. `Line.open` makes it.

    Args:
        region: whose.
        connection: to its NATS.
        by: who asks, as edges log it.
    """

    def __init__(self, region: str, connection: Connection, by: str) -> None:
        self.region = region
        self._connection = connection
        self._by = by
        self._asker = secrets.token_hex(8)
        self._last = 0
        self._heard: dict[str, Hear] = {}

    @classmethod
    async def open(cls, door: Door, by: str, *, control: bool) -> "Line":
        """Connect.

        Args:
            door: the region's.
            by: who asks.
            control: whether the login is one that may see payloads and close connections.

        Raises:
            UnavailableError: its NATS is not reached.
        """
        prefix = inbox_of(door.nats, "control" if control else "console")
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await open_connection(door.nats, "jetrelay inquiries", prefix)
        except (OSError, TimeoutError, NatsError) as error:
            why = str(error) or f"no answer in {CONNECT_S:g} s"
            raise UnavailableError(f"{door.region}: its NATS is not reached: {why}") from error
        line = cls(door.region, connection, by)
        try:
            kinds: tuple[AnswerKind, ...] = ("told", "shown") if control else ("told",)
            for kind in kinds:
                subject = inquiry_answer_subject(kind, door.region, line._asker, "*")
                await connection.listen(subject, line._hear)
            await settle(connection, FLUSH_S, clustered=len(door.nats.servers) > 1)
        except BaseException:
            await connection.close()
            raise
        return line

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def reader(self) -> Reader:
        """Reads the region's streams over it."""
        inbox = Inbox(self._connection)
        await inbox.start()
        return Reader(inbox, READS, READ_S)

    def number(self, hear: Hear) -> int:
        """A new question's number; `hear` is given its answers until `forget`."""
        self._last += 1
        self._heard[str(self._last)] = hear
        return self._last

    def forget(self, number: int) -> None:
        """Hear no more answers to a question."""
        self._heard.pop(str(number), None)

    async def ask(
        self, kind: InquiryKind, region: str, edge: str, number: int, question: Question
    ) -> None:
        """Ask one edge, or all of a region.

        Raises:
            InquiryError: the connection is lost.
        """
        data = encode_ask(self.region, self._asker, number, question, self._by)
        try:
            await self._connection.publish(inquiry_subject(kind, region, edge), data)
        except NatsError as error:
            why = str(error) or type(error).__name__
            raise InquiryError(f"{self.region}: its NATS is not reached: {why}") from error

    def denied(self, kind: InquiryKind) -> str:
        """Why this login may not ask so; empty: NATS, which answers no such question, has not
        said that it may not.
        """
        said = str(self._connection.last_error or "")
        if "permissions violation" not in said.lower() or f'"{kind}.' not in said:
            return ""
        return f"this login may not ask that: {said.removeprefix('nats: ')}"

    def _hear(self, subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        hear = self._heard.get(subject.rpartition(".")[2])
        if hear is None:
            return
        try:
            told = decode_told(data)
        except ValueError:
            return  # of a newer edge: it is named among those who did not answer
        hear(told)

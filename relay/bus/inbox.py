"""Requests over one wildcard inbox: publish acks, API calls and batches of direct get."""

import asyncio
from collections.abc import Callable

from nats.errors import Error as NatsError

from relay.bus.connection import STATUS, Connection, Headers
from relay.errors import UnavailableError

Sink = Callable[[Headers, bytes], None]
NO_RESPONDERS = "503"


class Inbox:
    """The reply side of one connection. Sinks are called in the order of the wire."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._prefix = ""
        self._sinks: dict[str, Sink] = {}
        self._last = 0

    async def start(self) -> None:
        """Subscribe to the replies."""
        self._prefix = self._connection.new_inbox()
        await self._connection.listen(f"{self._prefix}.*", self._receive)

    def _receive(self, subject: str, _reply: str, headers: Headers, data: bytes) -> None:
        sink = self._sinks.get(subject.rsplit(".", 1)[1])
        if sink is not None:
            sink(headers, data)

    def open(self, sink: Sink) -> str:
        """A new reply subject; what comes on it goes to `sink` until `close`."""
        self._last += 1
        key = str(self._last)
        self._sinks[key] = sink
        return f"{self._prefix}.{key}"

    def close(self, reply: str) -> None:
        """Forget a reply subject."""
        self._sinks.pop(reply.rsplit(".", 1)[1], None)

    @property
    def pending_bytes(self) -> int:
        """What was published and not written to the socket yet."""
        return self._connection.pending_data_size

    async def send(
        self, subject: str, data: bytes, reply: str, headers: Headers | None = None
    ) -> None:
        """Publish with a reply subject.

        Raises:
            UnavailableError: not connected.
        """
        try:
            await self._connection.publish(subject, data, reply=reply, headers=headers)
        except NatsError as error:
            raise UnavailableError(f"NATS: {str(error) or type(error).__name__}") from error

    async def request(
        self, subject: str, data: bytes, timeout_s: float, headers: Headers | None = None
    ) -> tuple[Headers, bytes]:
        """One question, one answer.

        Raises:
            UnavailableError: not connected, nobody listens, or no answer in time.
        """
        answer: asyncio.Future[tuple[Headers, bytes]] = asyncio.get_running_loop().create_future()

        def sink(headers: Headers, data: bytes) -> None:
            if not answer.done():
                answer.set_result((headers, data))

        reply = self.open(sink)
        try:
            await self.send(subject, data, reply, headers)
            async with asyncio.timeout(timeout_s):
                got = await answer
        except TimeoutError as error:
            raise UnavailableError(f"no answer on {subject} within {timeout_s:g} s") from error
        finally:
            self.close(reply)
        if got[0].get(STATUS) == NO_RESPONDERS:
            raise UnavailableError(f"nobody answers on {subject}")
        return got

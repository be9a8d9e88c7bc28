"""A NATS connection whose handlers run in the order of the wire.

nats-py gives every subscription a queue and a task of its own, which destroys the order between
subscriptions: the position of an edge would pass events that were not delivered. Here handlers are
plain functions, called as messages are parsed: all of a connection's subscriptions feed one ordered
dispatch point. (Overrides `Client._process_msg` and `_process_pong` of nats-py 2.16.0;
`tests/system/test_order.py` guards both.)
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from relay.config import NatsConfig
from relay.errors import UnavailableError

_log = logging.getLogger("jetrelay.bus")

Headers = dict[str, str]
Handler = Callable[[str, str, Headers, bytes], None]  # subject, reply, headers, data
STATUS = ":status"  # of the status line: no header of a stored message can be called so
CLUSTER_SETTLE_S = 0.25  # until all servers of a cluster know a subscription


def parse_headers(raw: bytes | None) -> Headers:
    """Headers of a NATS message (ADR-4); the status of a status line stands under `STATUS`.

    Of a header that stands there twice the last one counts: what the server adds comes last.
    """
    if not raw:
        return {}
    lines = raw.decode("utf-8", "replace").split("\r\n")
    headers: Headers = {}
    if len(lines[0]) > 8:  # "NATS/1.0 204 EOB"
        headers[STATUS] = lines[0][8:].strip().split(" ", 1)[0]
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name] = value.strip()
    return headers


async def _nothing() -> None:
    pass


class Connection(Client):
    """nats-py's client with ordered, synchronous handlers beside its own subscriptions.

    `on_lost` is called when the connection is lost; `on_back` when it is back, after all
    subscriptions were made again and flushed; `on_ended`, with the reason, when the library has
    given it up for good: the server said `-ERR`, as when credentials have expired.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_lost: Callable[[], Awaitable[None]] = _nothing
        self.on_back: Callable[[], Awaitable[None]] = _nothing
        self.on_ended: Callable[[str], None] = lambda _why: None
        self._ending = False
        self._handlers: dict[int, Handler] = {}
        self.handler_errors = 0

    async def listen(self, subject: str, handler: Handler) -> int:
        """Call `handler` for each message on `subject`, also after reconnects.

        Returns:
            The id of the subscription, for `unlisten`.
        """
        self._sid += 1
        sid = self._sid
        subscription = Subscription(self, sid, subject)
        self._handlers[sid] = handler
        self._subs[sid] = subscription
        await self._send_subscribe(subscription)
        return sid

    async def unlisten(self, sid: int) -> None:
        """End a subscription made by `listen`."""
        self._handlers.pop(sid, None)
        if self._subs.pop(sid, None) is not None and self.is_connected:
            await self._send_unsubscribe(sid)

    @property
    def hears(self) -> bool:
        """Whether what the server says is read."""
        reading = self._reading_task
        return self.is_connected and reading is not None and not reading.done()

    @property
    def server_id(self) -> str:
        """The id of the server's process; a restarted one has another."""
        return str(self._server_info.get("server_id", ""))

    async def close(self) -> None:
        """Close it."""
        self._ending = True
        await super().close()

    async def ended(self) -> None:
        """The library has closed it."""
        if not self._ending:
            self.on_ended(str(self.last_error or "closed by the server").removeprefix("nats: "))

    async def _process_pong(self) -> None:
        # As the library does it, but for who waits no more: his late answer would end the reading.
        if self._pongs:
            waiting = self._pongs.pop(0)
            if not waiting.done():
                waiting.set_result(True)
            self._pongs_received += 1
            self._pings_outstanding = 0

    def forget_pending(self) -> None:
        """Drop what was written and not sent: after a reconnect nothing old may go out first.

        Subscriptions are made again by the library; a publish in flight is retried by its owner,
        once its gate is open.
        """
        self._pending = []
        self._pending_data_size = 0

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        handler = self._handlers.get(sid)
        if handler is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        try:
            handler(subject.decode(), reply.decode(), parse_headers(headers), data)
        except Exception:
            # One message that breaks a handler must not end the read loop.
            self.handler_errors += 1
            _log.exception("handler of %s failed", subject.decode("utf-8", "replace"))


async def settle(connection: Connection, patience_s: int, *, clustered: bool) -> None:
    """Wait until what was subscribed is heard: a flush says nothing about routes in a cluster.

    Raises:
        UnavailableError: NATS did not answer.
    """
    try:
        await connection.flush(patience_s)
    except Exception as error:
        raise UnavailableError(f"no answer to a flush within {patience_s} s") from error
    if not connection.hears:
        raise UnavailableError("not connected: a flush says nothing then")
    if clustered:
        await asyncio.sleep(CLUSTER_SETTLE_S)


async def open_connection(config: NatsConfig, name: str, inbox: str) -> Connection:
    """Connect to the region's NATS, and stay connected for ever.

    Args:
        config: servers and credentials.
        name: shown by the server's monitoring.
        inbox: the inbox prefix that the user's permissions allow.

    Raises:
        OSError, nats.errors.Error: the first connection could not be made.
    """

    said = ""

    async def on_error(error: Exception) -> None:
        nonlocal said
        text = str(error) or type(error).__name__
        if text != said:  # while it is not reached, each attempt says the same
            said = text
            _log.warning("nats %s: %s", name, text)

    connection = Connection()

    async def lost() -> None:
        connection.forget_pending()
        await connection.on_lost()

    async def back() -> None:
        nonlocal said
        said = ""
        await connection.on_back()

    options: dict[str, Any] = {
        "servers": config.servers,
        "name": name,
        "inbox_prefix": inbox.encode(),
        "error_cb": on_error,
        "disconnected_cb": lost,
        "reconnected_cb": back,
        "closed_cb": connection.ended,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.2,
        "connect_timeout": 2,
        "ping_interval": 2,
        "max_outstanding_pings": 2,
        "pending_size": -1,  # nothing is buffered while disconnected: who publishes must know
    }
    if config.creds is not None:
        options["user_credentials"] = config.creds
    elif config.user is not None:
        options["user"], options["password"] = config.user, config.password
    await connection.connect(**options)
    return connection

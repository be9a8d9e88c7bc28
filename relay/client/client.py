"""The client: a thin shell that gives `Session` a socket, a clock, dice and an application."""

import asyncio
import inspect
import logging
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from relay.client import effects as do
from relay.client.answers import Ack, Last, Page
from relay.client.calls import WATCHED_AT_ONCE
from relay.client.connection import Connection, End, OpenError, open_connection, probe
from relay.client.dedup import DEDUP_EVENTS
from relay.client.errors import ClientError, Closed, Refused, Undecodable
from relay.client.events import STATE_EVENTS, Event, Who
from relay.client.inbox import Inbox
from relay.client.publishing import RETRY_S
from relay.client.session import Session
from relay.client.settings import Settings, State
from relay.client.stats import Stats
from relay.client.wire import CODECS, Codec, Frame
from relay.core.answers import RefusalError
from relay.core.codes import ErrorCode, EventName, Op
from relay.core.names import is_publish_id, is_room
from relay.core.presence_ops import read_presence
from relay.tasks import Tasks

Token = str | Callable[[], str | Awaitable[str]]
Observer = Callable[[str, object], None]

_log = logging.getLogger("jetrelay.client")

FRAME_BYTES = 32 * 1024  # the edge's default; a larger frame would end the connection
QUEUE_EVENTS = 10_000


class Client:
    """A connection to jetrelay that survives the loss of edges and regions. Made by `connect`.

    Iterate over it for events, in one task. All methods belong to the event loop that made it.
    """

    def __init__(
        self,
        settings: Settings,
        token: Callable[[], str | Awaitable[str]] | None,
        *,
        queue: int,
        states: bool,
        listen: bool,
        frame_bytes: int,
        observer: Observer | None,
    ) -> None:
        self._session = Session(settings, random.random)
        self._codec: Codec = CODECS[settings.encoding]()
        self._fetch = token
        self._states = states
        self._listen = listen
        self._frame_bytes = frame_bytes
        self._observer = observer
        self._inbox = Inbox(queue)
        self._tasks = Tasks("client")
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._tickets = 0
        self._link = 0  # numbers the connections: what an old one says no longer counts
        self._reader: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._cursor_before: str | None = None  # the input that is being handled
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0  # uvloop gives a plain handle, without a time, for what is due now
        self._usable: asyncio.Future[None] = self._loop.create_future()

    # --- what it knows -------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Whether it is connecting, ready, reconnecting or closed."""
        return self._session.state

    @property
    def cursor(self) -> str | None:
        """The position after the last event that the application took.

        Keep it, and `subscribe(room, since=cursor)` in a later process goes on from there. It never
        runs ahead of events that wait in the queue. None right after `Lost`.
        """
        return self._inbox.cursor if len(self._inbox) else self._session.cursor

    @property
    def region(self) -> str | None:
        """The region it is, or was last, connected to."""
        return self._session.route.region

    @property
    def edge(self) -> str | None:
        """The edge it is, or was last, connected to."""
        return self._session.edge

    @property
    def session_id(self) -> str | None:
        """The session; it changes only after `Lost`."""
        return self._session.session_id

    @property
    def user(self) -> str | None:
        """The user that the token names."""
        return self._session.user

    @property
    def rooms(self) -> tuple[str, ...]:
        """The rooms it is subscribed to, those that the token subscribes by itself included."""
        return self._session.rooms

    @property
    def stats(self) -> Stats:
        """Its counters."""
        return self._session.stats

    # --- what it does --------------------------------------------------------------------------

    async def subscribe(
        self, room: str, since: str | Last | None = None, *, presence: bool = False
    ) -> None:
        """Get the events of `room`; returns when its live path is known to work.

        Args:
            room: its name.
            since: a cursor, or `Last(n)`, for past events first (needs the grant `history`); what
                is asked for here is delivered even if it came before.
            presence: ask for presence frames too (needs the grant `presence`).

        Raises:
            Refused: the token does not grant it, the name is no room, or there are too many.
            TimedOut: no answer within 30 s, reconnects included.
            Closed: the client was closed.
        """
        _check_room(room)
        wire = {"last": since.count} if isinstance(since, Last) else since
        await self._call(do.Subscribe(self._ticket(), room, wire, presence))

    async def unsubscribe(self, room: str) -> None:
        """Get no more events of `room`.

        Raises:
            TimedOut: no answer within 30 s.
            Closed: the client was closed.
        """
        _check_room(room)
        await self._call(do.Unsubscribe(self._ticket(), room))

    async def publish(
        self,
        room: str,
        data: object,
        *,
        id: str | None = None,  # noqa: A002 (the protocol's name of it)
        ephemeral: bool = False,
    ) -> Ack:
        """Publish `data` and wait until it is stored.

        Publishes to one room leave in the order of the calls, one at a time. One that is not
        acknowledged is tried again with the same id for 110 s, also over another edge or region.
        Cancelling the call does not take the publish back.

        Args:
            room: where to.
            data: anything that JSON can carry.
            id: names the publish: the same again within 120 s is stored once. Random by default.
            ephemeral: do not store it; delivered at most once, and tried once.

        Raises:
            Refused: not granted, or not valid.
            Unknown: sent and never acknowledged: stored or not.
            NotSent: certainly not stored.
            Closed: the client was closed.
        """
        _check_room(room)
        if id is not None and not is_publish_id(id):
            raise Refused(ErrorCode.INVALID_ID, f"{id!r}: 1 to 64 of A-Z a-z 0-9 _ - : .")
        publish_id = id or secrets.token_urlsafe(15)
        ticket = self._ticket()
        d = {"room": room, "data": data, "id": publish_id, "nonce": ticket}
        raw = self._codec.encode(Op.PUBLISH, d | {"ephemeral": True} if ephemeral else d)
        if len(raw) > self._frame_bytes:
            raise Refused(
                ErrorCode.TOO_LARGE, f"the frame has {len(raw)} of {self._frame_bytes} bytes"
            )
        answer = await self._call(do.Publish(ticket, room, publish_id, ephemeral, raw))
        assert isinstance(answer, Ack)
        return answer

    async def history(
        self, room: str, *, limit: int = 100, before: str | None = None, after: str | None = None
    ) -> Page:
        """A page of the events that `room` had (needs the grant `history`).

        Args:
            room: which.
            limit: how many events, 1 to 1,000.
            before: a cursor: the newest events before it; with neither, the newest of all.
            after: a cursor: the oldest events after it.

        Raises:
            Refused: not granted, or not valid.
            TimedOut: no answer within 30 s.
            Closed: the client was closed.
        """
        _check_room(room)
        call = do.ReadHistory(self._ticket(), room, limit, before, after)
        answer = await self._call(call)
        assert isinstance(answer, Page)
        return answer

    def online(self, room: str) -> Mapping[str, Who]:
        """Who is in a room that was subscribed with `presence`, as far as is known now.

        Of a room with more users than an edge lists, those that it named.
        """
        return self._session.views.online(room)

    def show(self, status: str, custom: dict[str, Any] | None = None) -> None:
        """Let others see this of us, from now on and over reconnects.

        Args:
            status: `online`, `idle`, `dnd` or `invisible`.
            custom: the application's own, at most 256 bytes of JSON.

        Raises:
            Refused: there is no such status, or `custom` is too large.
        """
        try:
            read_presence({"status": status, "custom": custom}, 0)
        except RefusalError as error:
            raise Refused(error.code, str(error)) from error
        self._feed(do.Show(status, custom))

    def typing(self, room: str) -> None:
        """Tell a room that the user types (needs the grant `publish`); once in 2 s is enough.

        Raises:
            Refused: the name is no room.
        """
        _check_room(room)
        self._feed(do.Type(room))

    async def watch(self, *users: str) -> None:
        """Be told what these users show, wherever they are: at once, and over reconnects.

        Raises:
            Refused: the token does not grant one of them, or there are too many.
            TimedOut: no answer within 30 s, reconnects included.
            Closed: the client was closed.
        """
        for start in range(0, len(users), WATCHED_AT_ONCE):
            part = users[start : start + WATCHED_AT_ONCE]
            await self._call(do.Watch(self._ticket(), part))

    async def unwatch(self, *users: str) -> None:
        """Be told of these users no more.

        Raises:
            TimedOut: no answer within 30 s, reconnects included.
            Closed: the client was closed.
        """
        for start in range(0, len(users), WATCHED_AT_ONCE):
            part = users[start : start + WATCHED_AT_ONCE]
            await self._call(do.Watch(self._ticket(), part, on=False))

    def drop(self) -> None:
        """Break the connection, as a failing network would; it then resumes. For drills."""
        if self._connection is not None:
            self._connection.abort()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        return await self._inbox.take()

    async def open(self) -> None:
        """Connect and wait for READY; `connect` does it.

        Raises:
            ConnectFailed: no address let us in; the text has each one's reason.
            AuthenticationFailed: the token is not accepted.
            NothingGranted: the token grants nothing.
            Refused: the token does not grant a room asked for.
        """
        self._feed(do.Start())
        try:
            await self._usable
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the session (close code 1000) and every task of the client."""
        self._feed(do.Quit())
        if self._closing:
            await asyncio.wait(self._closing)
        await self._tasks.close()

    # --- the session's shell -------------------------------------------------------------------

    def _ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    async def _call(
        self, call: do.Subscribe | do.Unsubscribe | do.ReadHistory | do.Watch | do.Publish
    ) -> Ack | Page | None:
        answer: asyncio.Future[Ack | Page | None] = self._loop.create_future()
        self._answers[call.ticket] = answer
        self._feed(call)
        self._inbox.nudge()
        try:
            return await answer
        finally:
            self._answers.pop(call.ticket, None)

    def _feed(self, event: do.Input) -> None:
        self._cursor_before = self._session.cursor
        for effect in self._session.handle(event, self._loop.time()):
            self._carry_out(effect)
        if isinstance(event, do.Received) and event.frame.t == EventName.MESSAGE:
            return  # it makes nothing due earlier, and a timer that comes too early does nothing
        deadline = self._session.deadline
        timer = self._timer
        if deadline is None:
            if timer is not None:
                timer.cancel()
                self._timer = None
        elif timer is None or deadline < self._timer_at:
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(deadline, self._tick)
            self._timer_at = deadline

    def _tick(self) -> None:
        self._timer = None
        self._feed(do.Tick())

    def _carry_out(self, effect: do.Effect) -> None:
        match effect:
            case do.Emit(event):
                self._emit(event)
            case do.SendRaw(raw):
                self._send(raw)
            case do.Send(op, d):
                self._observe("sent", (op, d))
                self._send(self._codec.encode(op, d))
            case do.Resolve(ticket, value):
                if (answer := self._answers.get(ticket)) is not None and not answer.done():
                    answer.set_result(value)
            case do.Reject(ticket, error):
                if (answer := self._answers.get(ticket)) is not None and not answer.done():
                    answer.set_exception(error)
            case do.Usable():
                if not self._usable.done():
                    self._usable.set_result(None)
            case do.Stop(error):
                self._stop(error)
            case _:
                self._reach_out(effect)

    def _reach_out(self, effect: do.FetchToken | do.Open | do.Ping | do.HangUp | do.Probe) -> None:
        match effect:
            case do.Open(url, timeout_s):
                self._link += 1
                self._reader = self._tasks.spawn(self._read(self._link, url, timeout_s), "read")
            case do.HangUp(code, reason):
                self._hang_up(code, reason)
            case do.Ping():
                if self._connection is not None:
                    self._tasks.spawn(self._connection.ping(self._pong(self._link)), "ping")
            case do.FetchToken():
                self._tasks.spawn(self._fetch_token(), "token")
            case do.Probe(url, timeout_s):
                self._tasks.spawn(self._probe(url, timeout_s), "probe")

    def _emit(self, event: Event) -> None:
        if isinstance(event, STATE_EVENTS):
            self._observe("state", event)
            if not self._states:
                return
        if self._listen:
            self._inbox.put(event, self._cursor_before)

    def _observe(self, kind: str, value: object) -> None:
        if self._observer is None:
            return
        try:
            self._observer(kind, value)
        except Exception:
            _log.exception("the observer failed")  # it only looks on

    def _send(self, raw: bytes) -> None:
        if self._connection is not None:
            self._connection.send(raw)

    def _pong(self, link: int) -> Callable[[], None]:
        return lambda: self._feed(do.Heard()) if link == self._link else None

    def _stop(self, error: ClientError | None) -> None:
        self._inbox.finish(error)
        if not self._usable.done():
            self._usable.set_exception(error or Closed("closed before it was connected"))

    def _hang_up(self, code: int, reason: str) -> None:
        self._link += 1
        connection, self._connection = self._connection, None
        reader, self._reader = self._reader, None
        self._inbox.nudge()
        if connection is not None:
            closing = self._tasks.spawn(connection.close(code, reason), "close")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        elif reader is not None:
            reader.cancel()

    # --- tasks ---------------------------------------------------------------------------------

    async def _read(self, link: int, url: str, timeout_s: float) -> None:
        """Open one WebSocket and hand over what it says, until it ends or another one is wanted."""
        try:
            connection = await open_connection(url, self._codec, timeout_s)
        except OpenError as error:
            if link == self._link:
                self._reader = None
                self._feed(error.event)
            return
        if link != self._link:
            await connection.close(1000, "")
            return
        self._connection, self._reader = connection, None
        self._feed(do.Opened())
        while link == self._link:
            try:
                frame = await connection.receive()
            except Undecodable as error:
                if link == self._link:
                    self._feed(do.Garbled(str(error)))
                return
            if link != self._link:
                return
            if isinstance(frame, End):
                self._connection = None
                self._feed(do.Hung(frame.code, frame.reason))
                return
            self._receive(frame)
            if self._inbox.is_full(awaited=bool(self._answers)):
                await self._stall(link)

    def _receive(self, frame: Frame) -> None:
        self._observe("received", frame)
        self._feed(do.Received(frame))

    async def _stall(self, link: int) -> None:
        """Read no further until the application has caught up."""
        self._feed(do.Stalled(on=True))
        while link == self._link and self._inbox.is_full(awaited=bool(self._answers)):
            await self._inbox.until_free()
        if link == self._link:
            self._feed(do.Stalled(on=False))

    async def _fetch_token(self) -> None:
        try:
            if self._fetch is None:
                raise Closed("there is no token function")
            got = self._fetch()
            token = await got if inspect.isawaitable(got) else got
        except Exception as error:  # whatever the application's function raises
            self._feed(do.TokenFailed(f"{type(error).__name__}: {error}"))
        else:
            self._feed(do.TokenGiven(str(token)))

    async def _probe(self, url: str, timeout_s: float) -> None:
        self._feed(do.Probed(await probe(url, self._codec, timeout_s)))


def _check_room(room: str) -> None:
    if not is_room(room):
        raise Refused(ErrorCode.INVALID_ROOM, f"{room!r}: 1 to 128 of A-Z a-z 0-9 _ - :")


@asynccontextmanager
async def connect(
    url: str | Iterable[str],
    *,
    token: Token,
    rooms: Iterable[str] = (),
    encoding: Literal["json", "msgpack"] = "json",
    states: bool = False,
    listen: bool = True,
    timeout_s: float = 30.0,
    queue: int = QUEUE_EVENTS,
    home_after_s: float = 60.0,
    retry_s: float = RETRY_S,
    dedup_events: int = DEDUP_EVENTS,
    frame_bytes: int = FRAME_BYTES,
    observer: Observer | None = None,
) -> AsyncIterator[Client]:
    """Connect to an edge, and stay connected to some edge of some region.

    Args:
        url: `ws://…/gateway` of an edge or a balancer, or several in order of preference.
        token: a JWT, or a function (plain or async) that returns a fresh one.
        rooms: to subscribe from the start.
        encoding: `json` or `msgpack`.
        states: yield Connected, Resumed, Disconnected and Reconnecting too.
        listen: False for those who only publish: events are not queued.
        timeout_s: how long to wait for the first session.
        queue: events that may wait for the application before the socket is read no further.
        home_after_s: away from the first region: how long until the first try to return.
        retry_s: how long a publish without an ACK is tried again.
        dedup_events: how many events to remember for removing duplicates.
        frame_bytes: the largest frame that the edges take.
        observer: called with ("received", Frame), ("sent", (op, d)) and ("state", event); sent
            publishes are not among them.

    Raises:
        ConnectFailed: no address let us in; the text has each one's reason.
        AuthenticationFailed: the token is not accepted.
        NothingGranted: the token grants nothing.
        Refused: the token does not grant one of `rooms`, or it is no room.
    """
    urls = (url,) if isinstance(url, str) else tuple(url)
    wanted = tuple(rooms)
    for room in wanted:
        _check_room(room)
    if not urls:
        raise ClientError("connect: no url")
    if encoding not in CODECS:
        raise ClientError(f"encoding {encoding!r} is not one of {', '.join(CODECS)}")
    settings = Settings(
        urls=urls,
        rooms=wanted,
        encoding=encoding,
        token=token if isinstance(token, str) else None,
        fresh_tokens=not isinstance(token, str),
        timeout_s=timeout_s,
        home_after_s=home_after_s,
        retry_s=retry_s,
        dedup_events=dedup_events,
    )
    client = Client(
        settings,
        None if isinstance(token, str) else token,
        queue=queue,
        states=states,
        listen=listen,
        frame_bytes=frame_bytes,
        observer=observer,
    )
    await client.open()
    try:
        yield client
    finally:
        await client.close()

"""One client's connection: the session's effects carried out on its socket."""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from relay.core.codes import CLOSES, EventName, Op, known_code
from relay.core.effects import (
    Appear,
    Attend,
    Close,
    Effect,
    Emit,
    Enter,
    Join,
    Leave,
    ReadHistory,
    Resume,
    Send,
    Store,
    Typing,
    Watch,
)
from relay.core.event import RoomKey
from relay.core.headcount import UNKNOWN
from relay.core.session import Instant, Phase, Session
from relay.core.wire import Codec, Payload
from relay.edge import clock
from relay.edge.frames import frame
from relay.edge.seat import Seat

if TYPE_CHECKING:
    from relay.edge.gateway import Gateway

LATE_S, LATEST_S = 0.25, 2.0  # a timer that fires so late judges nobody yet


class Socket(Protocol):
    """What a connection needs of its WebSocket."""

    def write(self, data: bytes) -> None:
        """Queue ready bytes."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake."""

    def direct(self) -> Callable[[bytes], None] | None:
        """What queues ready bytes and looks at nothing; None while there is something to look at.

        It does while the connection is open: whoever has it gives it up when that ends.
        """

    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""

    def pause(self) -> None:
        """Read no further."""

    def proceed(self) -> None:
        """Read on."""


class ClientConnection(Seat):
    """A session with its socket, in one gateway."""

    def __init__(
        self,
        gateway: "Gateway",
        socket: Socket,
        codec: Codec[Any],
        *,
        resuming: bool,
        country: str = UNKNOWN,
    ) -> None:
        super().__init__(codec)
        self.gateway = gateway
        self.socket = socket
        self.open = True
        self.transport = "websocket"
        self.country = country
        self.lot = 0  # which of a region's edges it is pointed to
        self.membership = gateway.membership(self)
        self.resumed_at = 0
        self.signals_dropped = 0
        self.session = Session(
            gateway.rules, codec, secrets.token_bytes(16), clock.now(), resuming=resuming
        )
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0  # when it fires
        self.sending = asyncio.Lock()  # of what is large, and made only when there is room for it
        self._full: asyncio.Event | None = None  # set when what is unsent is less again
        self._paused = False

    @property
    def alive(self) -> bool:
        """Whether the session goes on: neither gone nor closing."""
        return self.open and self.session.phase is not Phase.ENDED

    # --- what the socket says ------------------------------------------------------------------

    def opened(self) -> None:
        """The handshake is done: say HELLO."""
        self.ease()
        self.send(Payload(Op.HELLO, self.gateway.hello(self.lot)))
        self._watch_time()

    def message(self, data: bytes) -> None:
        """A whole client message arrived."""
        self.gateway.before()
        now = clock.now()
        self.run(self.session.receive(data, now, self.gateway.standstill.since(now.mono_s)))

    def controlled(self) -> None:
        """A ping, a pong or a close arrived."""
        self.run(self.session.controlled(clock.now()))

    def writable(self, writable: bool) -> None:
        """Whether the send buffer is below its high-water mark."""
        if writable:
            self._let_in()
        elif self._full is None:
            self._full = asyncio.Event()
        self.ease()

    def _let_in(self) -> None:
        """Whoever waits for room in the send buffer goes on."""
        if self._full is not None:
            self._full.set()
            self._full = None

    def ease(self) -> None:
        """Let events go straight to the transport while nothing speaks against it: a client that
        reads slowly, an end that has begun, somebody who listens in.
        """
        self._go(self.socket.direct() if self.alive and self._full is None else None)

    def _go(self, push: Callable[[bytes], None] | None) -> None:
        """Be written to in this way from now on."""
        if push != self.push:
            self.push = push
            self.gateway.hub.turned(self)

    def closed(self, code: int) -> None:
        """The connection is gone."""
        if not self.open:
            return
        self.open = False
        self._go(None)
        self.session.phase = Phase.ENDED
        self._let_in()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.gateway.gone(self, known_code(code))

    # --- time ----------------------------------------------------------------------------------

    def _watch_time(self) -> None:
        """One timer a connection: heartbeats only move the deadline that it finds when it fires."""
        now = clock.now()
        due_s = self.session.deadline_s(now)
        if self._timer is not None:
            if due_s >= self._timer_s:
                return
            self._timer.cancel()
        self._timer_s = max(due_s, now.mono_s + 0.01)
        self._timer = asyncio.get_running_loop().call_later(self._timer_s - now.mono_s, self._time)

    def _time(self) -> None:
        self._timer = None
        if not self.open:
            return
        now = clock.now()
        late_s = now.mono_s - self._timer_s
        if late_s > LATE_S:
            # The edge was held up: what the client sent in time waits unread, and goes first.
            again_s = min(late_s, LATEST_S)
            self._timer_s = now.mono_s + again_s
            self._timer = asyncio.get_running_loop().call_later(again_s, self._time)
            return
        self.run(self.session.tick(now))

    # --- writing -------------------------------------------------------------------------------

    def write(self, framed: bytes) -> None:
        """Write ready frames, behind all that is on its way to this client."""
        self.gateway.hub.fanout.settle(self)
        self.put(framed)

    def put(self, framed: bytes) -> None:
        """Write ready frames; a client that reads too slowly is closed and resumes."""
        self.socket.write(framed)
        if self.socket.buffered() > self.gateway.rules.limits.send_buffer_bytes:
            self.gateway.hub.fanout.drop(self)
            self.close(4020)

    def fail(self) -> None:
        """Writing failed: the client resumes."""
        self.gateway.counters.errors += 1
        self.gateway.hub.fanout.drop(self)  # what comes after what it did not get
        self.close(4000)

    def write_signal(self, framed: bytes) -> bool:
        """Write an ephemeral frame, unless the client reads too slowly. Whether it was written."""
        if self.socket.buffered() > self.gateway.rules.limits.signal_buffer_bytes:
            self.signals_dropped += 1
            self.gateway.counters.signals_dropped += 1
            return False
        self.gateway.hub.fanout.settle(self)
        self.socket.write(framed)
        return True

    def send(self, payload: Payload) -> None:
        """Encode and write a payload of this connection's own."""
        if self.open:
            self.write(frame(self.codec.encode(payload), binary=self.codec.binary))

    def dispatch(self, name: EventName, d: dict[str, Any]) -> None:
        """Write a DISPATCH of this connection's own, without `s`."""
        self.send(Payload(Op.DISPATCH, d, None, name))

    async def drained(self) -> None:
        """Wait while the send buffer is above its high-water mark."""
        if self._full is not None:
            await self._full.wait()

    def close(self, code: int, reason: str = "") -> None:
        """Close with a code of the protocol's; `reason`: another than the code's own."""
        if not self.open:
            return
        self.gateway.hub.fanout.settle(self)
        self.session.phase = Phase.ENDED
        self._go(None)
        if not reason and code in CLOSES:
            reason = CLOSES[code].reason
        self.gateway.left(self, code)
        self.socket.close(code, reason)

    # --- effects -------------------------------------------------------------------------------

    def run(self, effects: Iterable[Effect]) -> None:
        """Carry out what the session asks for."""
        for effect in effects:
            self._run(effect)
        if not self.open or self.session.phase is Phase.ENDED:
            return
        self._watch_time()
        saturated = self.session.saturated
        if saturated != self._paused:
            self._paused = saturated
            if saturated:
                self.socket.pause()
            else:
                self.socket.proceed()

    def _run(self, effect: Effect) -> None:
        match effect:
            case Send(payload, with_cursor):
                if with_cursor:
                    payload.c = self.gateway.hub.cursor_of(self)
                self.send(payload)
            case Close(code):
                self.close(code)
            case Enter() | Resume() | Join():
                self.gateway.join(self, effect)
            case Leave(rooms):
                self.gateway.leave(self, rooms)
            case Store():
                self.gateway.store(self, effect)
            case Emit():
                self.gateway.emit(self, effect)
            case ReadHistory():
                self.gateway.read_history(self, effect)
            case Attend():
                self.gateway.attend(self)
            case Appear() | Watch():
                self.run(self.gateway.presence.asked(self.session, effect))
            case Typing():
                self.gateway.type_in(self, effect)

    def key(self, room: str) -> RoomKey:
        """A room of this session's tenant."""
        return (self.tenant, room)

    def now(self) -> Instant:
        """This moment."""
        return clock.now()

"""A client's connection to an edge: frames both ways, in order, and every way it can end."""

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from tests.simulation.loop import Handle, ProcessLoop, Scheduler

if TYPE_CHECKING:
    from relay.edge.connection import ClientConnection

HIGH_WATER_BYTES = 256 * 1024
SLOW_HIGH_WATER_BYTES = 400  # of a client that reads slowly: a few frames
NEAR_S, FAR_S = 0.004, 0.06
OPEN_S = 5.0


class Ear(Protocol):
    """What a client does with what its socket says."""

    def opened(self) -> None:
        """The handshake is done."""

    def failed(self, reason: str, *, busy: bool, retry_after_s: float | None) -> None:
        """There was no connection."""

    def heard(self, payload: bytes) -> None:
        """One payload."""

    def ponged(self) -> None:
        """A pong."""

    def ended(self, code: int | None) -> None:
        """The connection ended; without a code when it broke."""


def unframe(written: bytes) -> Iterator[bytes]:
    """The payloads in one write: unmasked frames, each of one message."""
    at = 0
    while at < len(written):
        size = written[at + 1]
        start = at + (2 if size < 126 else 4 if size == 126 else 10)
        if size >= 126:
            size = int.from_bytes(written[at + 2 : start], "big")
        at = start + size
        yield written[start:at]


class Wire:
    """The network between one client and one edge, for one connection.

    Args:
        delay_s: one way.
    """

    def __init__(self, scheduler: Scheduler, dice: random.Random, ear: Ear, delay_s: float) -> None:
        self._scheduler = scheduler
        self._dice = dice
        self._delay_s = delay_s
        self._ear: Ear | None = ear
        self._socket: Socket | None = None
        self.dead = False  # the network carries nothing any more, and nobody is told
        self.slow_s = 0.0  # that each write takes, at most
        self._up_s = 0.0
        self._down_s = 0.0

    # --- the client's side ---------------------------------------------------------------------

    def connect(self, handshake: Callable[[str, "Wire"], None], url: str) -> None:
        """Ask for a connection."""
        self._scheduler.after(OPEN_S, self._too_late)
        self._up(handshake, url, self)

    def _too_late(self) -> None:
        if self._socket is None and self._ear is not None:
            self._tell_failed("no answer", False, None)

    def send(self, payload: bytes) -> None:
        """One frame of the client's."""
        self._up(self._deliver, payload)

    def ping(self) -> None:
        """A ping of the client's."""
        self._up(self._pinged)

    def hang_up(self, code: int) -> None:
        """The client closes; it wants to hear no more."""
        self._ear = None
        self._up(self._close_up, code)

    def cut(self) -> None:
        """The network is gone, without a word to either side."""
        self.dead = True

    def _up(self, call: Callable[..., object], *args: object) -> None:
        if self.dead:
            return
        when = self._scheduler.now + self._delay_s * (0.8 + 0.4 * self._dice.random())
        self._up_s = when = max(when, self._up_s)
        self._scheduler.at(when, call, *args)

    def _deliver(self, payload: bytes) -> None:
        if self._socket is not None and not self.dead:
            self._socket.arrived(payload)

    def _pinged(self) -> None:
        if self._socket is not None and not self.dead:
            self._socket.pinged()

    def _close_up(self, code: int) -> None:
        if self._socket is not None and not self.dead:
            self._socket.client_closed(code)

    # --- the edge's side -----------------------------------------------------------------------

    def refused(self, reason: str, *, busy: bool, retry_after_s: float | None) -> None:
        """No upgrade."""
        self._down(self._tell_failed, reason, busy, retry_after_s)

    def accepted(self, socket: "Socket") -> None:
        """The upgrade is done."""
        self._socket = socket
        self._down(self._tell_opened)

    def write(self, framed: bytes, written: Callable[[int], None]) -> None:
        """Frames of the edge's."""
        self._down_s += self._dice.random() * self.slow_s if self.slow_s else 0.0
        self._down(self._tell, framed, written)

    def pong(self) -> None:
        """A pong of the edge's."""
        self._down(self._tell_pong)

    def close(self, code: int | None) -> None:
        """The edge's side ends."""
        self._down(self._tell_end, code)

    def _down(self, call: Callable[..., object], *args: object) -> None:
        if self.dead:
            return
        when = self._scheduler.now + self._delay_s * (0.8 + 0.4 * self._dice.random())
        self._down_s = when = max(when, self._down_s)
        self._scheduler.at(when, call, *args)

    def _tell_opened(self) -> None:
        if self._ear is not None and not self.dead:
            self._ear.opened()

    def _tell_failed(self, reason: str, busy: bool, retry_after_s: float | None) -> None:
        ear, self._ear = self._ear, None
        if ear is not None and not self.dead:
            ear.failed(reason, busy=busy, retry_after_s=retry_after_s)
        elif ear is not None:
            ear.failed("no answer", busy=False, retry_after_s=None)

    def _tell(self, framed: bytes, written: Callable[[int], None]) -> None:
        if self.dead:
            return
        written(len(framed))
        for payload in unframe(framed):
            if self._ear is not None:
                self._ear.heard(payload)

    def _tell_pong(self) -> None:
        if self._ear is not None and not self.dead:
            self._ear.ponged()

    def _tell_end(self, code: int | None) -> None:
        ear, self._ear = self._ear, None
        if ear is not None and not self.dead:
            ear.ended(code)


class Socket:
    """The edge's end: what `ClientConnection` writes to."""

    def __init__(
        self,
        loop: ProcessLoop,
        wire: Wire,
        number: int,
        gone: "Callable[[Socket], None]",
    ) -> None:
        self.number = number
        self.connection: ClientConnection | None = None
        self._loop = loop
        self._wire = wire
        self._gone = gone
        self._buffered = 0
        self._full = False
        self._closing = False

    # --- what the connection calls -------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self._closing:
            return
        self._buffered += len(data)
        self._wire.write(data, self._written)
        high = HIGH_WATER_BYTES if not self._wire.slow_s else SLOW_HIGH_WATER_BYTES
        if self._buffered > high and not self._full and self.connection is not None:
            self._full = True
            self.connection.writable(writable=False)

    def _written(self, size: int) -> None:
        self._buffered -= size
        low = (SLOW_HIGH_WATER_BYTES if self._wire.slow_s else HIGH_WATER_BYTES) // 4
        if self._full and self._buffered < low:
            self._full = False
            self._in_process(self._writable)

    def _writable(self) -> None:
        if self.connection is not None:
            self.connection.writable(writable=True)

    def direct(self) -> Callable[[bytes], None] | None:
        return None if self._closing else self.write

    def close(self, code: int, reason: str) -> None:
        del reason
        if not self._closing:
            self._closing = True
            self._wire.close(code)
            # The client answers the close frame, or is cut off.
            self._loop.call_later(0.05, self._closed, code)

    def buffered(self) -> int:
        return self._buffered

    def pause(self) -> None:
        """Reading goes on here: the simulated clients send little."""

    def proceed(self) -> None:
        """See `pause`."""

    # --- what the network does -----------------------------------------------------------------

    def _in_process(self, call: Callable[..., object], *args: object) -> None:
        self._loop.enqueue(Handle(call, args, self._loop))

    def arrived(self, payload: bytes) -> None:
        """A frame of the client's is here."""
        self._in_process(self._message, payload)

    def _message(self, payload: bytes) -> None:
        if self.connection is not None and not self._closing:
            self.connection.message(payload)

    def pinged(self) -> None:
        """A ping of the client's is here."""
        self._in_process(self._ponged)

    def _ponged(self) -> None:
        if self.connection is not None and not self._closing:
            self.connection.controlled()
            self._wire.pong()

    def client_closed(self, code: int) -> None:
        """The client closed."""
        self._in_process(self._closed, code)

    def _closed(self, code: int) -> None:
        connection, self.connection = self.connection, None
        self._closing = True
        self._gone(self)
        if connection is not None:
            connection.closed(code)

    def broken(self) -> None:
        """The process was killed: the machine resets the connection."""
        self.connection = None
        self._wire.close(None)

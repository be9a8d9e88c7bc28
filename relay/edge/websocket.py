"""The WebSocket protocol class given to uvicorn: websockets' sans-I/O core on a bare transport."""

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import CONNECTING, OPEN, Protocol, State
from websockets.server import ServerProtocol

from relay.edge import clock
from relay.edge.admission import Door, Refusal, Ticket
from relay.edge.connection import ClientConnection
from relay.edge.departures import Departures
from relay.edge.geography import Geography
from relay.edge.handshake import Upgrade, accepting
from relay.edge.kernel import TcpInfo, tcp_info

if TYPE_CHECKING:
    from relay.edge.gateway import Gateway

_log = logging.getLogger("jetrelay.websocket")
_quiet = logging.getLogger("jetrelay.websocket.protocol")
_quiet.setLevel(logging.WARNING)

HIGH_WATER_BYTES = 32 * 1024  # unsent: a replay waits; the kernel holds as much as the way needs
CLOSING_S = 3.0
TURN_BYTES = 2 * 1024  # parsed in one turn of the loop: some hundred of the smallest frames
AGENT_CHARS = 64
END = b"\r\n\r\n"  # of a request without a body


def ends_request(data: bytes) -> bool:
    """Whether these bytes end a request, and nothing is behind it."""
    return data.find(END) == len(data) - len(END) >= 0


class GatewayProtocol(asyncio.Protocol):
    """One upgraded connection. `bind` makes the class that uvicorn instantiates."""

    gateway: "Gateway"
    door: Door
    geography: Geography
    departures: Departures

    opened_s = 0.0  # monotonic; what it was opened with is remembered for who asks
    address = ""
    agent = ""
    heard: Callable[[bytes], None] | None = (
        None  # is given what the client sends, where it is traced
    )

    def __init__(self, config: Any, server_state: Any, app_state: Any) -> None:
        del config, app_state
        self._server_state = server_state
        self._ws: ServerProtocol
        self._parts: list[bytes] = []
        self._inbound = bytearray()  # read, and not parsed yet
        self._turn_due = False
        self._paused = False  # by the connection: it has enough to do
        self._transport: asyncio.Transport | None = None
        self._connection: ClientConnection | None = None
        self._closing: asyncio.TimerHandle | None = None

    @classmethod
    def bind(
        cls,
        gateway: "Gateway",
        door: Door,
        geography: Geography,
        departures: Departures | None = None,
    ) -> type["GatewayProtocol"]:
        """The class for one gateway; `departures`: where it is noted who went."""
        bound = {
            "gateway": gateway,
            "door": door,
            "geography": geography,
            "departures": departures or Departures(),
        }
        return type("BoundGatewayProtocol", (cls,), bound)

    # --- transport -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The request comes with the first data: it is read here, with care."""
        self._begin(transport, CONNECTING)

    def upgraded(self, transport: asyncio.Transport, upgrade: Upgrade) -> None:
        """The request was read already, and its origin may connect."""
        self.gateway.before()
        answer = self._judged(upgrade.target)
        if isinstance(answer, Refusal):
            self._begin(transport, CONNECTING)
            self._refuse(answer)
            self._flush()
            self._cut_off_later()
            return
        self._begin(transport, OPEN)
        transport.write(accepting(upgrade))
        self._remember(upgrade.forwarded, upgrade.agent)
        self._open(answer, self.geography.country(self.address))

    @classmethod
    def allows(cls, origin: str | None) -> bool:
        """Whether pages of this origin may connect."""
        return cls.door.origins is None or origin in cls.door.origins

    def _begin(self, transport: asyncio.BaseTransport, state: State) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self._server_state.connections.add(self)
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)  # type: ignore[attr-defined]
        self._ws = ServerProtocol(
            origins=self.door.origins,
            state=state,
            max_size=self.gateway.rules.limits.frame_bytes,
            logger=_quiet,
        )

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: parsed a little in each turn of the loop, so that nobody's flood
        of small frames holds up the others.
        """
        self._inbound += data
        if not self._turn_due:
            self._turn()

    def _turn(self) -> None:
        self._turn_due = False
        if self._transport is None:
            return
        self.gateway.before()  # pings are answered below this class
        part = bytes(self._inbound[:TURN_BYTES])
        del self._inbound[:TURN_BYTES]
        was_open = self._connection is not None
        self._ws.receive_data(part)
        self._pump()
        if not was_open and self._connection is not None and ends_request(part):
            self._forget_request()
        if self._inbound:
            self._turn_due = True
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._turn)
        elif not self._paused:
            self._transport.resume_reading()

    def eof_received(self) -> None:
        """The client closed its half: nothing more is delivered to it."""
        if self._connection is not None:
            received = self._ws.close_rcvd
            code = received.code if received else CloseCode.ABNORMAL_CLOSURE
            self.gateway.left(self._connection, code)
        self._ws.receive_eof()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        del exc
        self._server_state.connections.discard(self)
        if self._closing is not None:
            self._closing.cancel()
        if self._connection is not None:
            received, sent = self._ws.close_rcvd, self._ws.close_sent
            first = received if self._ws.close_rcvd_then_sent else sent or received
            code = first.code if first else CloseCode.ABNORMAL_CLOSURE
            self.departures.note(self._connection.session, code, clock.wall_ms())
            self._connection.closed(code)
            self._connection = None
        self._transport = None
        # Its parser's frame holds it, and so does the traceback of what ended the parser: cycles.
        self._ws.parser.close()
        self._ws.parser_exc = None

    def pause_writing(self) -> None:
        """The send buffer is above its high-water mark."""
        if self._connection is not None:
            self._connection.writable(writable=False)

    def resume_writing(self) -> None:
        """It is below again."""
        if self._connection is not None:
            self._connection.writable(writable=True)

    def shutdown(self) -> None:
        """uvicorn is ending."""
        self.close(CloseCode.GOING_AWAY, "")

    # --- socket of a ClientConnection ----------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue ready bytes; nothing once the connection is closing."""
        if self._transport is not None and self._ws.state is OPEN and not self._ws.eof_sent:
            self.gateway.counters.bytes_out += len(data)
            self._transport.write(data)

    def direct(self) -> Callable[[bytes], None] | None:
        """The transport's own `write`, while the connection is open."""
        if self._transport is None or self._ws.state is not OPEN or self._ws.eof_sent:
            return None
        return self._transport.write

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; whoever does not answer it is cut off."""
        if self._ws.close_sent is None and self._ws.handshake_exc is None:
            self._ws.fail(code, reason)
            if self._connection is not None:
                self._connection.ease()
        self._flush()
        self._cut_off_later()

    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def tcp(self) -> TcpInfo | None:
        """What the kernel knows of it; None: nothing."""
        return (
            None if self._transport is None else tcp_info(self._transport.get_extra_info("socket"))
        )

    def pause(self) -> None:
        """Read no further."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def proceed(self) -> None:
        """Read on."""
        self._paused = False
        if self._transport is not None and not self._turn_due:
            self._transport.resume_reading()

    # --- protocol ------------------------------------------------------------------------------

    def _pump(self) -> None:
        for event in self._ws.events_received():
            if isinstance(event, Request):
                self._handshake(event)
            elif isinstance(event, Frame) and self._connection is not None:
                self._frame(event)
        self._flush()
        if self._connection is not None and self._ws.state is not OPEN:
            self._connection.ease()  # nothing may follow a close frame
        if self._ws.close_expected():
            self._cut_off_later()

    def _flush(self) -> None:
        if self._transport is None:
            return
        for chunk in self._ws.data_to_send():
            if chunk:
                self._transport.write(chunk)
            else:
                # Only our half: closing with input unread would reset the connection, and a client
                # that was still sending would never read the close code.
                self._transport.write_eof()
                self._cut_off_later()

    def _cut_off_later(self) -> None:
        if self._transport is not None and self._closing is None:
            self._closing = asyncio.get_running_loop().call_later(CLOSING_S, self._transport.abort)

    def _handshake(self, request: Request) -> None:
        answer = self._judged(request.path)
        if isinstance(answer, Refusal):
            self._refuse(answer)
            return
        response = self._ws.accept(request)
        self._ws.send_response(response)
        if response.status_code != 101:
            self.gateway.counters.refused["handshake"] += 1
            return
        self._flush()
        headers = request.headers
        agents = headers.get_all("User-Agent")
        self._remember(headers.get_all("X-Forwarded-For"), agents[0] if agents else "")
        self._open(answer, self.geography.country(self.address))

    def _judged(self, target: str) -> Refusal | Ticket:
        path, _, search = target.partition("?")
        return self.door.judge(path, dict(parse_qsl(search, keep_blank_values=True)))

    def _refuse(self, answer: Refusal) -> None:
        self.gateway.counters.refused[answer.reason] += 1
        response = self._ws.reject(answer.status, answer.text)
        if answer.retry_after_s is not None:
            response.headers["Retry-After"] = str(answer.retry_after_s)
        self._ws.send_response(response)

    def _forget_request(self) -> None:
        """Let what parses frames alone go on, where none has begun: what parsed the request holds
        it, 3 KB.
        """
        self._ws.parser.close()
        self._ws.parser = Protocol.parse(self._ws)
        next(self._ws.parser)

    def _remember(self, forwarded: Sequence[str], agent: str) -> None:
        assert self._transport is not None, "a request came over it"
        peer = self._transport.get_extra_info("peername")
        self.opened_s = clock.now().mono_s
        self.address = self.geography.address(peer[0] if peer else "", forwarded)
        self.agent = sys.intern(agent[:AGENT_CHARS])  # many have the same

    def _open(self, ticket: Ticket, country: str) -> None:
        if ticket.codec is None:
            self.close(4012, "invalid version")
            return
        self._connection = ClientConnection(
            self.gateway, self, ticket.codec, resuming=ticket.resuming, country=country
        )
        self.gateway.opened(self._connection)

    def _frame(self, frame: Frame) -> None:
        assert self._connection is not None, "only an open connection has frames"
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            # Pings are answered, and closes handled, by the protocol itself.
            self._connection.controlled()
            return
        if frame.fin and not self._parts:
            self._message(self._connection, bytes(frame.data))
            return
        self._parts.append(bytes(frame.data))
        if len(self._parts) > self.gateway.rules.limits.fragments:
            self._parts.clear()
            self._connection.close(1009)
        elif frame.fin:
            message = b"".join(self._parts)
            self._parts.clear()
            self._message(self._connection, message)

    def _message(self, connection: ClientConnection, message: bytes) -> None:
        if self.heard is not None:
            self.heard(message)
        connection.message(message)

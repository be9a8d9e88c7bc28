"""A tap on one client's connection: all that passes over it is handed on, both ways.

It replaces the connection's socket while it is there, so that others do not pay for it.
"""

import logging
from collections.abc import Callable

from relay.core.masking import payloads_in
from relay.edge.connection import ClientConnection, Socket
from relay.edge.websocket import GatewayProtocol

_log = logging.getLogger("jetrelay.tap")

Hear = Callable[[bytes, bool], None]  # a payload, and whether it is sent to the client


class Tap:
    """The socket of a traced connection.

    Args:
        connection: the client's.
        hear: is given each payload.
    """

    def __init__(self, connection: ClientConnection, hear: Hear) -> None:
        self._connection = connection
        self._socket = connection.socket
        self._hear = hear
        connection.socket = self
        connection.ease()
        protocol = protocol_of(connection)
        if protocol is not None:
            protocol.heard = self._heard

    @property
    def inner(self) -> Socket:
        """The socket that it stands before."""
        return self._socket

    def remove(self) -> None:
        """Hand on nothing more."""
        if self._connection.socket is self:
            self._connection.socket = self._socket
            self._connection.ease()
            protocol = protocol_of(self._connection)
            if protocol is not None:
                protocol.heard = None

    def _heard(self, payload: bytes) -> None:
        self._safely(payload, sent=False)

    def _safely(self, payload: bytes, *, sent: bool) -> None:
        try:
            self._hear(payload, sent)
        except Exception:
            # What a trace can't tell is no reason to send a client less.
            _log.exception("a frame could not be traced")
            self.remove()

    # --- the socket ----------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue ready bytes."""
        self._socket.write(data)
        for payload in payloads_in(data):
            self._safely(payload, sent=True)

    def direct(self) -> None:
        """Nothing passes by here."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake."""
        self._socket.close(code, reason)

    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._socket.buffered()

    def pause(self) -> None:
        """Read no further."""
        self._socket.pause()

    def proceed(self) -> None:
        """Read on."""
        self._socket.proceed()


def protocol_of(connection: ClientConnection) -> GatewayProtocol | None:
    """The WebSocket of a connection, tapped or not; None where it is over something else."""
    socket = connection.socket
    if isinstance(socket, Tap):
        socket = socket.inner
    return socket if isinstance(socket, GatewayProtocol) else None

"""The first bytes of a connection: a WebSocket's handshake goes to the gateway at once, all else to
uvicorn.

uvicorn would parse the request, write it anew and hand it over to be parsed again: a tenth of all
that a handshake costs an edge. One that is plain is read at once.
"""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from relay.edge.handshake import MOST_BYTES, read_upgrade
from relay.edge.http import REQUEST_S, PatientHttp
from relay.edge.websocket import GatewayProtocol, ends_request

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

STARTS = (b"GET /gateway?", b"GET /gateway ", b"GET / ", b"GET /?")
UPGRADE = b"\r\nupgrade: websocket\r\n"


class Front(asyncio.Protocol):
    """uvicorn makes one for each connection, and takes it for its own protocol."""

    def __init__(
        self,
        config: "Config",
        server_state: "ServerState",
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, and not for ever."""
        self._transport = transport  # type: ignore[assignment]
        self._server_state.connections.add(self)  # type: ignore[arg-type]
        self._patience = asyncio.get_running_loop().call_later(REQUEST_S, self.shutdown)

    def data_received(self, data: bytes) -> None:
        """Whose is it?"""
        transport = self._transport
        assert transport is not None, "data came over it"
        self._let_go()
        protocol: asyncio.Protocol
        gateway = self._gateway
        if gateway is not None and is_handshake(data):
            protocol = gateway(self._config, self._server_state, self._app_state)
            upgrade = read_upgrade(data)
            if upgrade is not None and gateway.allows(upgrade.origin):
                transport.set_protocol(protocol)
                protocol.upgraded(transport, upgrade)
                return
        else:
            protocol = PatientHttp(self._config, self._server_state, self._app_state)
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        protocol.data_received(data)

    @property
    def _gateway(self) -> type[GatewayProtocol] | None:
        return cast("type[GatewayProtocol] | None", self._config.ws_protocol_class)

    def connection_lost(self, _exc: Exception | None) -> None:
        """It is gone, and said nothing."""
        self._let_go()

    def shutdown(self) -> None:
        """End it: uvicorn is ending, or nothing came."""
        if self._transport is not None:
            self._transport.close()

    def _let_go(self) -> None:
        self._server_state.connections.discard(self)
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._transport = None


def is_handshake(data: bytes) -> bool:
    """Whether these first bytes are the whole of a WebSocket's handshake, and nothing else."""
    if not data.startswith(STARTS) or len(data) > MOST_BYTES:
        return False
    return ends_request(data) and UPGRADE in data.lower()

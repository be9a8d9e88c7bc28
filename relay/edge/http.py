"""HTTP of an edge: health on the public port, metrics on the admin listener."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from relay.edge import metrics
from relay.edge.websocket import GatewayProtocol

REQUEST_S = 10.0

Readiness = Callable[[], str | None]  # None: ready; else why not


def _health_routes(not_ready: Readiness) -> list[Route]:
    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        why = not_ready()
        if why is None:
            return JSONResponse({"status": "ready"})
        error = {"error": {"code": "unavailable", "message": why, "retry_after": 1}}
        return JSONResponse(error, 503, headers={"Retry-After": "1"})

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


async def _not_found(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": {"code": "not_found", "message": "no such resource"}}, 404)


async def _upgrade_required(_request: Request) -> Response:
    message = "this is a WebSocket endpoint: connect with a WebSocket client"
    error = {"error": {"code": "upgrade_required", "message": message}}
    return JSONResponse(error, 426, headers={"Upgrade": "websocket"})


def public_app(not_ready: Readiness, more: Iterable[Route] = ()) -> Starlette:
    """What clients and load balancers reach; `more`: routes besides health and the gateway."""
    routes = [
        *_health_routes(not_ready),
        *more,
        Route("/gateway", _upgrade_required),
        Route("/", _upgrade_required),
    ]
    return Starlette(routes=routes, exception_handlers={404: _not_found})


def admin_app(not_ready: Readiness, registry: CollectorRegistry) -> Starlette:
    """What operators reach: a listener of its own."""

    async def serve_metrics(_request: Request) -> Response:
        return Response(metrics.exposition(registry), media_type=metrics.CONTENT_TYPE)

    routes = [*_health_routes(not_ready), Route("/metrics", serve_metrics)]
    return Starlette(routes=routes, exception_handlers={404: _not_found})


class PatientHttp(HttpToolsProtocol):
    """uvicorn's HTTP, but a connection has 10 s to send its first request, and each one after it
    from its first byte on.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self._wait()

    def _wait(self) -> None:
        self._patience = asyncio.get_running_loop().call_later(REQUEST_S, self._give_up)

    def handle_websocket_upgrade(self) -> None:
        """Hand over; what parsed the request is freed at once, not by a collection of cycles."""
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]

    def on_message_begin(self) -> None:
        """A request begins."""
        self._patience.cancel()
        self._wait()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """It is whole."""
        self._patience.cancel()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop it."""
        self._patience.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if self.transport.get_protocol() is self:  # else it is a WebSocket by now
            self.transport.close()


class Listener(uvicorn.Server):
    """A uvicorn server that leaves signals to the edge."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's own business."""
        yield

    def stop_accepting(self) -> None:
        """Take no connection any more; those that are there go on."""
        for server in self.servers:
            server.close()


def listener(
    app: ASGIApp,
    protocol: type[GatewayProtocol] | None,
    front: type[asyncio.Protocol] = PatientHttp,
) -> Listener:
    """A server for `app` that upgrades WebSockets with `protocol`; `front` meets them first."""
    config = uvicorn.Config(
        app,
        http=front,
        ws=protocol or "none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whom to believe is for `trusted_proxies` to say
        backlog=2048,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
    )
    return Listener(config)


def bound_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket's address taken now, so that a taken port is an error at once.

    Args:
        host: an address of this machine.
        port: of it.
        shared: other processes take it as well, and the kernel spreads connections over them.

    Raises:
        OSError: the address can't be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made

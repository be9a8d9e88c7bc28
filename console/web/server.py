"""The server behind the tabs. It has no login: it listens on loopback, and who may reach it is the
business of a proxy in front.
"""

import html
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from shlex import join
from string import Template

from aiohttp import WSCloseCode, web
from aiohttp.typedefs import Handler
from textual_serve.server import Server, to_int

from console.web.origins import Origins
from console.web.tab import Tab

TABS = 8
HEARTBEAT_S = 15.0  # a browser that is silent for as long is gone
MESSAGE_BYTES = 64 * 1024  # of keys that are typed or pasted at once
SHUTDOWN_S = 15.0
HERE = Path(__file__).parent
PAGE = Template((HERE / "page.html").read_text(encoding="utf-8"))
FULL = (
    f"\r\n  {TABS} consoles are open in browsers already, which is the most.\r\n"
    "  Close a tab that nobody looks at, then load this page again.\r\n"
)
HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# xterm.js sets styles while it runs. Nothing else that the page could be told to do is allowed.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self' {websocket}; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)


class ConsoleServer(Server):
    """Serves a page with a terminal in it, and runs a console for each that is open.

    Args:
        command: what each tab runs.
        origins: as which it is known.
        tabs: so many at once.
    """

    def __init__(self, command: Sequence[str], origins: Origins, tabs: int = TABS) -> None:
        super().__init__(join(command), public_url=origins.address)
        self._arguments = command
        self._origins = origins
        self._most = tabs
        self._open: set[web.WebSocketResponse] = set()

    def application(self) -> web.Application:
        """The routes: a page, its script and fonts, its socket, and files that a console hands out;
        no list of anything.
        """
        app = web.Application(middlewares=[self._only_ours])
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/page.js", self._script),
                web.get("/ws", self.handle_websocket),
                web.get("/download/{key}", self.handle_download),
                web.static("/static", self.statics_path),
            ]
        )
        app.on_response_prepare.append(self._harden)
        app.on_shutdown.append(self.on_shutdown)
        return app

    async def on_shutdown(self, app: web.Application) -> None:
        """Close all tabs: their processes end with them."""
        del app
        for websocket in list(self._open):
            await websocket.close(code=WSCloseCode.GOING_AWAY)

    @web.middleware
    async def _only_ours(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or self._origins.of(hosts[0]) is None:
            raise web.HTTPForbidden(
                text="refused: this is not the name of this server (--public-url)\n"
            )
        origins = request.headers.getall("Origin", [])
        if not all(map(self._origins.allows, origins)):
            raise web.HTTPForbidden(text="refused: a page of another server asks\n")
        if request.path == "/ws" and not origins:
            raise web.HTTPForbidden(text="refused: only pages of this server open consoles\n")
        return await handler(request)

    async def _harden(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)
        websocket = self._websocket_url(request) or "'self'"
        response.headers["Content-Security-Policy"] = POLICY.format(websocket=websocket)

    def _websocket_url(self, request: web.Request) -> str | None:
        origin = self._origins.of(request.headers.get("Host", ""))
        return None if origin is None else f"ws{origin.removeprefix('http')}/ws"

    async def _page(self, request: web.Request) -> web.Response:
        websocket = html.escape(self._websocket_url(request) or "")
        return web.Response(text=PAGE.substitute(websocket=websocket), content_type="text/html")

    async def _script(self, _request: web.Request) -> web.FileResponse:
        return web.FileResponse(HERE / "page.js")

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """A tab: a console runs until it is closed."""
        websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_BYTES)
        await websocket.prepare(request)
        if len(self._open) >= self._most:
            await websocket.send_bytes(FULL.encode())
            await websocket.close(code=WSCloseCode.TRY_AGAIN_LATER)
            return websocket
        self._open.add(websocket)
        try:
            tab = Tab(self._arguments, websocket, self.download_manager)
            await tab.serve(
                to_int(request.query.get("width", ""), 80),
                to_int(request.query.get("height", ""), 24),
            )
        finally:
            self._open.discard(websocket)
        return websocket


@asynccontextmanager
async def serving(
    command: Sequence[str], host: str, port: int, public: str | None
) -> AsyncIterator[str]:
    """Serve consoles; gives the address. At the end every one has ended.

    Args:
        command: what each tab runs.
        host: the loopback address to listen on.
        port: 0: any that is free.
        public: what a proxy calls this server, an origin; None: there is none.

    Raises:
        OSError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        origins = Origins(host, listener.getsockname()[1], public)
        server = ConsoleServer(command, origins)
        runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield f"{origins.address}/"
        finally:
            await runner.cleanup()

"""One tab: a console process of its own, and what passes between it and the browser."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from shlex import join

from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from console.literal import clean
from relay.tasks import Tasks

PATIENCE_S = 3.0  # for each way to end a process
READY = b"__GANGLION__\n"  # Textual's driver says it when the screen is its own
PRELUDE_LINES = 10
LAST_WORDS = 8  # lines of what a process said on stderr
WIDTH, HEIGHT = (20, 500), (5, 200)  # cells: the least and the most that a browser may ask for
NOT_PASSED = ("JETRELAY_BY",)  # who acts is said to the server, or nobody does


class Tab(AppService):
    """A console process. It speaks Textual's packets: type, length, payload.

    Args:
        command: what runs, as a list of arguments; no shell reads it.
        websocket: the browser.
        downloads: the files that processes hand to browsers.
    """

    def __init__(
        self, command: Sequence[str], websocket: web.WebSocketResponse, downloads: DownloadManager
    ) -> None:
        super().__init__(
            join(command),
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=lambda: _close(websocket),
            download_manager=downloads,
        )
        self._arguments = command
        self._websocket = websocket
        self._tasks = Tasks("console.tab")
        self._last_words: list[bytes] = []

    async def serve(self, width: int, height: int) -> None:
        """Run the process until it ends, or the browser goes away; then nothing of it is left."""
        process = await self._open_app_process(*_clamp(width, height))
        pump = self._tasks.spawn(self.run(), "run")
        try:
            async for message in self._websocket:
                if message.type is WSMsgType.TEXT:
                    await self._obey(message.data)
        finally:
            await self._end(process)
            await pump
            await self._tasks.close()

    # --- the process ---------------------------------------------------------------------------

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        environment = super()._build_environment(width, height)
        return {name: text for name, text in environment.items() if name not in NOT_PASSED}

    async def _open_app_process(
        self, width: int = 80, height: int = 24
    ) -> asyncio.subprocess.Process:
        self._process = process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._build_environment(width, height),
        )
        self._stdin = process.stdin
        return process

    async def run(self) -> None:
        """Pass on what the process draws, to its end; then close the browser's side."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        assert process.stderr is not None
        words = self._tasks.spawn(self._hear(process.stderr), "stderr")
        with suppress(asyncio.IncompleteReadError):
            ready = False
            for _ in range(PRELUDE_LINES):
                ready = ready or await process.stdout.readline() == READY
                if ready:
                    break
            while ready:
                kind = await process.stdout.readexactly(1)
                size = int.from_bytes(await process.stdout.readexactly(4), "big")
                await self._pass_on(kind, await process.stdout.readexactly(size))
        await words
        if await process.wait() != 0:
            await self._explain()
        await self.remote_close()

    async def _pass_on(self, kind: bytes, payload: bytes) -> None:
        # A browser that went away must not stop this: a process that nobody reads does not end.
        with suppress(ConnectionError):
            if kind == b"D":
                await self.on_data(payload)
            elif kind == b"M":
                await self.on_meta(payload)
            elif kind == b"P":
                await self.on_packed(payload)

    async def _hear(self, stderr: asyncio.StreamReader) -> None:
        while line := await stderr.readline():
            self._last_words = [*self._last_words[1 - LAST_WORDS :], line]

    async def _explain(self) -> None:
        """Say in the browser why there is no console."""
        lines = [clean(line.decode(errors="replace").rstrip(), 200) for line in self._last_words]
        with suppress(ConnectionError):
            await self._websocket.send_bytes("\r\n".join(["", *lines, ""]).encode())

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        await self._download_manager.cancel_app_downloads(self.app_service_id)
        for ask in (self._ask_to_quit, process.terminate, process.kill):
            with suppress(TimeoutError, ProcessLookupError):
                async with asyncio.timeout(PATIENCE_S):
                    ask()
                    await process.wait()
                    return

    def _ask_to_quit(self) -> None:
        self.stdin.write(self.encode_packet(b"M", json.dumps({"type": "quit"}).encode()))

    # --- the browser ---------------------------------------------------------------------------

    async def _obey(self, text: str) -> None:
        """A message of the page's script; what it would not say is not heard."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return
        match said:
            case ["stdin", str(keys)]:
                await self.send_bytes(keys.encode(errors="replace"))
            case ["resize", {"width": int(width), "height": int(height)}]:
                await self.set_terminal_size(*_clamp(width, height))
            case ["ping", str(data)]:
                await self._websocket.send_json(["pong", data])
            case ["focus"]:
                await self.focus()
            case ["blur"]:
                await self.blur()
            case _:
                pass


async def _close(websocket: web.WebSocketResponse) -> None:
    await websocket.close()


def _clamp(width: int, height: int) -> tuple[int, int]:
    return max(WIDTH[0], min(width, WIDTH[1])), max(HEIGHT[0], min(height, HEIGHT[1]))

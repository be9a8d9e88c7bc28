"""A real nats-server for the console's tests, on a port of its own, ended by its pid."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relay.config import NatsConfig

PASSWORD = "console-tests"
SERVER = Path(sys.executable).with_name("nats-server")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class NatsProcess:
    """May be killed and started again on the same port."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._config = directory / f"nats-{self.port}.conf"
        self._config.write_text(
            f"""
            listen: "127.0.0.1:{self.port}"
            authorization {{ users: [
              {{ user: console, password: "{PASSWORD}", permissions: {{
                 publish: [], subscribe: ["tele.>", "_INBOX_console.>"] }} }}
              {{ user: edge, password: "{PASSWORD}" }}
            ] }}
            """,
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def login(self, user: str) -> NatsConfig:
        return NatsConfig([self.url], user=user, password=PASSWORD)

    async def start(self) -> None:
        self._process = subprocess.Popen(
            [str(SERVER), "-c", str(self._config)], stderr=subprocess.DEVNULL
        )
        for _ in range(200):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return
        raise AssertionError("nats-server did not start")

    def hang(self) -> None:
        """Stand still, until it is killed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def nats_processes(directory: Path, count: int) -> Iterator[list[NatsProcess]]:
    """So many servers, not started yet; none is left at the end."""
    servers = [NatsProcess(directory) for _ in range(count)]
    try:
        yield servers
    finally:
        for server in servers:
            server.kill()

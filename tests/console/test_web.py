"""Consoles in a browser: who may open one, what it runs, and that nothing of it stays."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from cli.console_web import Door, console_command, door_of, serve
from console.errors import ConsoleError
from console.web.origins import Origins, public_origin
from console.web.server import TABS, serving

ROOT = Path(__file__).parents[2]
PUBLIC = "https://console.example"
# Plays a console: says its process and its arguments in one packet, then waits until it is to quit.
PLAYED = """
import os, sys
text = repr((os.getpid(), sys.argv[1:], os.environ.get("JETRELAY_BY"))).encode()
sys.stdout.buffer.write(b"__GANGLION__\\nD" + len(text).to_bytes(4, "big") + text)
sys.stdout.flush()
while data := os.read(0, 65536):
    sys.exit(0) if b"quit" in data else None
"""
FAILS = "import sys; sys.exit('jetrelay: no world in \\x1b[2Jnowhere')"


def played(*arguments: str) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", PLAYED, *arguments]


@asynccontextmanager
async def browser(command: list[str]) -> AsyncIterator[tuple[ClientSession, str]]:
    async with serving(command, "127.0.0.1", 0, PUBLIC) as address, ClientSession() as session:
        yield session, address


@asynccontextmanager
async def tab_of(command: list[str]) -> AsyncIterator[ClientWebSocketResponse]:
    async with browser(command) as (session, address):
        yield await session.ws_connect(f"{address}ws", origin=PUBLIC)


async def first_bytes(tab: ClientWebSocketResponse) -> bytes:
    message = await tab.receive(10)
    assert message.type is WSMsgType.BINARY
    data: bytes = message.data
    return data


async def told_first(session: ClientSession, url: str) -> bytes:
    """What a tab that is opened, and closed again, shows first."""
    async with session.ws_connect(url, origin=PUBLIC) as tab:
        return await first_bytes(tab)


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def host_of(address: str) -> str:
    return address.removeprefix("http://").rstrip("/")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Host": "console.example", "Origin": PUBLIC}, 200),
        ({"Host": "console.example:443"}, 200),
        ({"Host": "evil.example:{port}"}, 403),  # a name that was bound to loopback
        ({"Host": "127.0.0.1"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://console.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_only_by_its_own_names(headers: Mapping[str, str], code: int) -> None:
    async with browser(played()) as (session, address):
        port = address.rstrip("/").rpartition(":")[2]
        given = {name: text.format(port=port) for name, text in headers.items()}
        async with session.get(address, headers=given) as answer:
            assert answer.status == code
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            text = await answer.text()
    if code == 200:
        name = given.get("Host", host_of(address)).removesuffix(":443")
        scheme = "wss" if "console.example" in name else "ws"
        assert f'data-session-websocket-url="{scheme}://{name}/ws"' in text


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
async def test_no_other_page_opens_a_console(origin: str | None) -> None:
    async with browser(played()) as (session, address):
        with pytest.raises(WSServerHandshakeError) as refused:
            await session.ws_connect(f"{address}ws", origin=origin)
        assert refused.value.status == 403
        async with session.ws_connect(f"{address}ws", origin=address.rstrip("/")) as tab:
            assert await first_bytes(tab)


async def test_nothing_comes_from_elsewhere_and_nothing_is_listed() -> None:
    async with browser(played()) as (session, address):
        async with session.get(address) as answer:
            page = await answer.text()
        assert "http" not in page.replace("ws://", "")
        for path, code in (("static/", 403), ("static/js/", 403), ("page.js", 200), ("x", 404)):
            async with session.get(address + path) as answer:
                assert (path, answer.status) == (path, code)


async def test_arguments_pass_no_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JETRELAY_BY", "root@host")
    evil = f"--state=a b; touch {tmp_path}/made $(touch {tmp_path}/made) 'x\""
    async with tab_of(played(evil)) as tab:
        said = (await first_bytes(tab)).decode()
    assert f"{[evil]!r}, None" in said
    assert list(tmp_path.iterdir()) == []


async def test_one_too_many_is_told_and_a_closed_tab_makes_room() -> None:
    async with browser(played()) as (session, address):
        url = f"{address}ws"
        tabs = [await session.ws_connect(url, origin=PUBLIC) for _ in range(TABS)]
        pids = [int((await first_bytes(tab)).decode().strip("(").split(",")[0]) for tab in tabs]
        late = await session.ws_connect(url, origin=PUBLIC)
        assert b"8 consoles are open" in await first_bytes(late)
        assert (await late.receive(10)).type is WSMsgType.CLOSE
        await tabs[0].close()
        await _end_of(pids[0])
        async with asyncio.timeout(20):  # the server counts its tabs after they ended
            while b"consoles are open" in await told_first(session, url):
                await asyncio.sleep(0.05)
        assert all(map(lives, pids[1:]))
    assert not any(map(lives, pids))


async def test_a_console_that_cannot_begin_says_why() -> None:
    async with tab_of([sys.executable, "-S", "-E", "-c", FAILS]) as tab:
        assert await first_bytes(tab) == "\r\njetrelay: no world in �[2Jnowhere\r\n".encode()
        assert (await tab.receive(10)).type is WSMsgType.CLOSE


async def test_what_the_page_would_not_say_ends_nothing() -> None:
    async with tab_of(played()) as tab:
        await first_bytes(tab)
        for text in ("", "[" * 30_000, "{}", '["resize", {"width": "x"}]', '["stdin", 1]'):
            await tab.send_str(text)
        await tab.send_json(["ping", "1"])
        assert await tab.receive_json(timeout=10) == ["pong", "1"]


@pytest.mark.parametrize(
    ("address", "public", "says"),
    [
        ("0.0.0.0:8500", None, "behind a proxy that authenticates"),
        ("[::]:8500", None, "not a loopback address"),
        ("example.com:8500", None, "not a loopback address"),
        ("127.0.0.1", None, "is not HOST:PORT"),
        ("127.0.0.1:70000", None, "is not HOST:PORT"),
        ("127.0.0.1:0", "console.example", "--public-url"),
        ("127.0.0.1:0", "https://console.example/path", "without a path"),
        ("127.0.0.1:0", "https://u:p@console.example", "--public-url"),
        ("127.0.0.1:0", "https://console.example:x", "--public-url"),
    ],
)
def test_where_it_does_not_listen(address: str, public: str | None, says: str) -> None:
    with pytest.raises(ConsoleError, match=says):
        door_of(address, public)


def test_where_it_listens() -> None:
    assert door_of("localhost:80", None) == Door("127.0.0.1", 80, None)
    assert door_of("[::1]:0", "HTTPS://Console.Example:443/") == Door("::1", 0, PUBLIC)
    assert public_origin("http://c.example:8080") == "http://c.example:8080"
    assert Origins("::1", 81).of("[::1]:81") == "http://[::1]:81"
    assert Origins("127.0.0.1", 80).of("LOCALHOST") == "http://localhost"


def test_a_tab_is_read_only_unless_somebody_is_named() -> None:
    given = {"state": Path("w"), "url": None, "by": "ann", "repaint_s": 2.0, "web": "x", "once": 0}
    assert console_command(given, None, None)[3:] == [
        "cli", "console", "--state=w", "--repaint=2.0", "--read-only",
    ]  # fmt: skip
    assert console_command(given, "-ann", 0)[-2:] == ["--at=1970-01-01T00:00:00.000Z", "--by=-ann"]


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "console.web.server")
    monkeypatch.delitem(sys.modules, "console.web.tab")
    monkeypatch.setitem(sys.modules, "textual_serve.app_service", None)
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    with pytest.raises(ConsoleError, match=r"pip install 'jetrelay\[web\]'"):
        serve(Door("127.0.0.1", 0, None), [], None)


@pytest.mark.parametrize(("number", "code"), [(None, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)])
async def test_a_console_ends_with_its_tab_and_with_its_server(
    number: signal.Signals | None, code: int, tmp_path: Path
) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "console", "--nats", "nats://127.0.0.1:1",
        "--web", "127.0.0.1:0",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert server.stdout is not None
    assert server.stderr is not None
    try:
        address = (await server.stdout.readline()).decode().strip()
        assert b"read-only" in await server.stderr.readline()
        async with ClientSession() as session:
            tab = await session.ws_connect(f"{address}ws", origin=address.rstrip("/"))
            await _until(tab, b"connections")
            (child,) = _children(server.pid)
            if number is None:
                await tab.send_json(["focus"])
                await tab.send_json(["stdin", ":export ../mine\r"])
                async with session.get(f"{address}download/{await _handed(tab)}") as answer:
                    assert answer.headers["Content-Disposition"] == "attachment; filename=mine.csv"
                    assert (await answer.text()).startswith("edge,region,state,")
                await tab.close()
                await _end_of(child)
            server.send_signal(number or signal.SIGTERM)
            assert await server.wait() == code
            await _end_of(child)
        assert (await server.stdout.read(), await server.stderr.read()) == (b"", b"")
        assert list(tmp_path.iterdir()) == []
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()


async def _until(tab: ClientWebSocketResponse, text: bytes) -> None:
    seen = b""
    async with asyncio.timeout(60):
        while text not in seen:
            seen += await first_bytes(tab)


async def _handed(tab: ClientWebSocketResponse) -> str:
    """The key of a file that is handed out."""
    async with asyncio.timeout(60):
        while (message := await tab.receive()).type is not WSMsgType.TEXT:
            assert message.type is WSMsgType.BINARY
    kind, key = message.json()
    assert kind == "deliver_file_start"
    return str(key)


async def _end_of(pid: int) -> None:
    async with asyncio.timeout(20):
        while lives(pid):
            await asyncio.sleep(0.05)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]

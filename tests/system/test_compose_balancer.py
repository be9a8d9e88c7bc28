"""The rendered balancer, run by HAProxy: where it leads to, and what it says of who asks."""

import asyncio
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import dns.message
import dns.rrset
import pytest
from aiohttp import web

from regions.compose.directory import Directory
from regions.compose.render import render
from regions.ports import Claims
from regions.topology_file import parse_topology

pytestmark = pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="haproxy (a Debian package) is missing"
)


class NameServer(asyncio.DatagramProtocol):
    """The engine's: it knows where each container is now."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        name = query.question[0].name
        known = self.addresses.get(name.to_text(omit_final_dot=True))
        if known is not None and query.question[0].rdtype == dns.rdatatype.A:
            answer.answer.append(dns.rrset.from_text(name, 5, "IN", "A", known))
        self.transport.sendto(answer.to_wire(), addr)


closed = set[str]()  # hosts of edges that take nobody


async def who(request: web.Request) -> web.Response:
    """Where the request came, and as what."""
    assert request.transport is not None
    if request.path == "/readyz" and request.transport.get_extra_info("sockname")[0] in closed:
        return web.Response(status=503)
    at = request.transport.get_extra_info("sockname")[0]
    forwarded = request.headers.getall("X-Forwarded-For", [])
    return web.json_response({"at": at, "path": request.path, "forwarded": forwarded})


@asynccontextmanager
async def edge(host: str, port: int) -> AsyncIterator[None]:
    """An edge, as far as a balancer sees one."""
    app = web.Application()
    app.router.add_get("/{path:.*}", who)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Some that are free."""
    claims = Claims()
    yield [claims.pick("127.0.0.1") for _ in range(5)]
    claims.release()


async def test_it_follows_an_edge_that_comes_again_elsewhere_and_believes_no_client(
    tmp_path: Path, ports: list[int]
) -> None:
    public, figures, names, *edges = ports
    topology = parse_topology(
        f"""
        [[regions]]
        name = "us"
        addresses = ["127.0.0.1"]
        port = {public}
        edges = [{{ name = "us-1", port = {edges[0]} }}, {{ name = "us-2", port = {edges[1]} }}]
        [limits]
        connections = 100
        """,
        "world.toml",
    )
    directory = Directory(tmp_path, None)
    directory.write(render(topology, "containers", directory.read, datetime.now(UTC)))
    text = (tmp_path / "us/haproxy/haproxy.cfg").read_text()
    for old, new in (
        ("/etc/jetrelay", str(tmp_path / "us")),
        ("parse-resolv-conf", f"nameserver engine 127.0.0.1:{names}"),
        (":8404", f":{figures}"),
    ):
        assert old in text
        text = text.replace(old, new)
    config = tmp_path / "haproxy.cfg"
    config.write_text(text)
    server = NameServer()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, ("127.0.0.1", names))
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    process = subprocess.Popen(["haproxy", "-W", "-db", "-f", config], stderr=subprocess.DEVNULL)
    try:
        async with (
            AsyncExitStack() as first,
            AsyncExitStack() as second,
            edge("127.0.0.4", edges[1]),
            aiohttp.ClientSession() as http,
        ):

            async def ask(path: str) -> Any:
                url = f"https://127.0.0.1:{public}{path}"
                headers = {"X-Forwarded-For": "192.0.2.66"}
                async with http.get(url, ssl=trust, headers=headers) as answer:
                    return json.loads(await answer.read()) if answer.status == 200 else None

            async def comes(path: str, at: str, seconds: float = 15.0) -> Any:
                deadline_s = time.monotonic() + seconds
                while True:
                    try:
                        got = await ask(path)
                    except aiohttp.ClientError:
                        got = None
                    if got is not None and got["at"] == at:
                        return got
                    assert time.monotonic() < deadline_s, (path, at, got)
                    await asyncio.sleep(0.1)

            # Neither container is there yet: the balancer starts all the same.
            await first.enter_async_context(edge("127.0.0.2", edges[0]))
            server.addresses = {"us-1": "127.0.0.2", "us-2": "127.0.0.4"}
            got = await comes("/edges/us-1/gateway", "127.0.0.2")
            assert got["path"] == "/gateway"
            assert got["forwarded"] == ["127.0.0.1"]  # whatever the client says
            assert (await comes("/edges/us-2/v1/negotiate", "127.0.0.4"))["path"] == "/v1/negotiate"
            assert {(await ask("/gateway"))["at"] for _ in range(8)} <= {"127.0.0.2", "127.0.0.4"}
            # The first one's container is made again, at another address.
            server.addresses["us-1"] = "127.0.0.3"
            await first.aclose()
            await second.enter_async_context(edge("127.0.0.3", edges[0]))
            await comes("/edges/us-1/gateway", "127.0.0.3")
            # And is gone: its path leads to the other one.
            del server.addresses["us-1"]
            await second.aclose()
            await comes("/edges/us-1/gateway", "127.0.0.4")
            # No edge takes clients: those that live say so themselves, and where else to go.
            closed.add("127.0.0.4")
            until_s = time.monotonic() + 4.0  # the balancer knows by then
            while time.monotonic() < until_s:
                assert (await ask("/v1/negotiate"))["at"] == "127.0.0.4"
                await asyncio.sleep(0.1)
            closed.clear()
    finally:
        transport.close()
        process.terminate()
        process.wait(10)

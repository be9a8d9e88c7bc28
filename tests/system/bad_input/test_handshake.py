"""The handshake: what is refused before a WebSocket is one."""

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.raw import Raw, token
from tests.system.bad_input.small import get
from tests.world import World


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("/gateway?encoding=etf", 400, "'etf'"),
        ("/gateway?encoding=", 400, "''"),
        ("/gateway?encoding=JSON", 400, "'JSON'"),
        ("/gateway?encoding=%0d%0aSet-Cookie:%20a", 400, "Set-Cookie"),
        ("/gateway?compress=zlib-stream", 400, "'zlib-stream'"),
        ("/gateway?compress=zstd-stream&encoding=msgpack", 400, "'zstd-stream'"),
        ("/gateway?compress=nonsense", 400, "'nonsense'"),
        ("/nowhere", 404, "/nowhere"),
        ("/gateway/", 404, "/gateway/"),
        ("/" + "x" * 5000, 404, "xxx"),
    ],
)
async def test_a_handshake_that_asks_for_what_is_not_there(
    world: World, path: str, status: int, named: str
) -> None:
    base = world.edges["us-1"].url.removesuffix("/gateway")
    with pytest.raises(InvalidStatus) as refused:
        async with connect(base + path, proxy=None):
            pass
    response = refused.value.response
    assert response.status_code == status
    assert named in bytes(response.body or b"").decode()
    assert len(response.body or b"") < 300
    assert "Set-Cookie" not in response.headers


async def test_a_plain_get_is_told_to_upgrade(world: World) -> None:
    http = world.edges["us-1"].http
    assert await asyncio.to_thread(get, http + "/gateway") == 426
    assert await asyncio.to_thread(get, http + "/") == 426
    assert await asyncio.to_thread(get, http + "/nowhere") == 404
    assert await asyncio.to_thread(get, http + "/metrics") == 404


@pytest.mark.parametrize("version", ["9", "11", "", "10%20", "x" * 100, "-1"])
async def test_an_unknown_version_is_closed(url: str, version: str) -> None:
    async with connect(f"{url}?v={version}", proxy=None) as ws:
        await ws.wait_closed()
        assert ws.close_code == 4012


@pytest.mark.parametrize("query", ["v=1", "v=10", "unknown=1"])
async def test_known_versions_are_served_at_both_paths(world: World, url: str, query: str) -> None:
    for address in (url, url.removesuffix("gateway")):
        async with Raw(address, query=query) as raw:
            await raw.identify(token(world, "ana"))

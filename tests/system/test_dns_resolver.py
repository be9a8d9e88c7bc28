"""Clients behind a caching resolver (unbound): one answer a network, and a region that died."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import dns.asyncquery
import dns.edns
import dns.message
import pytest

from regions.dns.answers import Answers
from regions.dns.query import Network
from regions.dns.server import Bounds, DnsServer
from regions.dns.zone import Entrance, Zone, ZoneConfig
from relay.client import connect
from tests.countries import write_cities
from tests.raw import token
from tests.ready import serving
from tests.system.test_dns import HOST, TOPOLOGY, command
from tests.system.test_dns import ask as ask_us
from tests.system.test_dns_export import free_port
from tests.world import World, running

STALE_S = 600  # for which a resolver may keep an answer, whatever its TTL says
GET_IN_S = 10.0
# Until who was connected is elsewhere: of an edge that stands still it first has to hear nothing.
LEAVE_S = {"hold": GET_IN_S, "pause": 15.0}


@asynccontextmanager
async def unbound(directory: Path, server: int, least_ttl_s: int = 0) -> AsyncIterator[int]:
    """The resolver, which asks the name server at this port for the zone; its own port."""
    program = shutil.which("unbound") or shutil.which("unbound", path="/usr/sbin")
    if program is None:
        pytest.skip("unbound is not installed (Debian: unbound)")
    port, file = free_port(), directory / "unbound.conf"
    file.write_text(
        f"""
server:
  interface: {HOST}@{port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  module-config: "subnetcache iterator"
  send-client-subnet: {HOST}
  client-subnet-always-forward: yes
  max-client-subnet-ipv4: 24
  local-zone: "test." nodefault
  access-control: 127.0.0.0/8 allow
  cache-min-ttl: {least_ttl_s}
remote-control:
  control-enable: no
stub-zone:
  name: "relay.test"
  stub-addr: {HOST}@{server}
"""
    )
    process = await asyncio.create_subprocess_exec(
        program, "-d", "-c", str(file),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while True:
                assert process.returncode is None, "it has ended"
                with contextlib.suppress(Exception):
                    await resolve(port, "203.0.113.0", "SOA")
                    break
                await asyncio.sleep(0.1)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def resolve(port: int, subnet: str, qtype: str = "A") -> list[str]:
    """What a client of this network is told by its resolver."""
    options = [dns.edns.ECSOption(subnet, 24)]
    message = dns.message.make_query("relay.test", qtype, use_edns=0, options=list(options))
    answer = await dns.asyncquery.udp(message, HOST, timeout=3, port=port)
    return sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset)


async def test_a_resolver_asks_once_for_each_network_and_keeps_them_apart(tmp_path: Path) -> None:
    asked: list[str] = []

    def order(network: Network) -> tuple[str, ...]:
        asked.append(str(network))
        return ("eu", "us") if str(network).startswith("198.51") else ("us", "eu")

    zone = ZoneConfig(
        "relay.test",
        (Entrance("us", (ip_address("192.0.2.1"),)), Entrance("eu", (ip_address("192.0.2.2"),))),
    )
    server = DnsServer(Answers(Zone(zone, serial=1), order), Bounds())
    _, port = await server.start(HOST, 0)
    try:
        async with unbound(tmp_path, port) as resolver:
            asked.clear()
            for _ in range(3):
                assert await resolve(resolver, "198.51.100.0") == ["192.0.2.2"]
                assert await resolve(resolver, "203.0.113.0") == ["192.0.2.1"]
            assert asked == ["198.51.100.0/24", "203.0.113.0/24"], "scope and TTL are kept to"
    finally:
        await server.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions, and a database of cities."""
    directory = tmp_path_factory.mktemp("resolved")
    write_cities(directory / "cities.mmdb")
    with running(directory, TOPOLOGY, orderly=True) as started:
        yield started


@pytest.mark.parametrize(("death", "life"), [("hold", "start"), ("pause", "continue")])
async def test_behind_a_resolver_that_keeps_old_answers_clients_get_in(
    world: World, tmp_path: Path, death: str, life: str
) -> None:
    """A region is dead, or stands still. Who was connected has HELLO's list, and who comes anew has
    the names of other regions beside that of the zone.
    """
    topology = world.state_dir.with_name("resolved.toml")
    topology.write_text(TOPOLOGY)
    edges = {"192.0.2.1": "us-1", "192.0.2.2": "eu-1", "192.0.2.3": "ap-1"}
    urls = {address: world.edges[name].url for address, name in edges.items()}
    async with command(world, topology) as port, unbound(tmp_path, port, STALE_S) as resolver:
        (address,) = await resolve(resolver, "198.51.100.0")
        assert edges[address] == "eu-1"
        given = [urls[address], *(url for other, url in urls.items() if other != address)]
        async with connect(given, token=token(world, "before"), rooms=["r"]) as before:
            assert before.region == "eu"
            await world.ctl(death, "eu-1")  # type: ignore[arg-type]
            began_s = time.monotonic()
            try:
                async with connect(given, token=token(world, "anew"), rooms=["r"]) as anew:
                    assert time.monotonic() - began_s < GET_IN_S
                    assert anew.region == "us"
                while await ask_us(port, "198.51.100.0") == [address]:
                    assert time.monotonic() - began_s < GET_IN_S, "the name server says another"
                    await asyncio.sleep(0.1)
                while before.region == "eu":
                    assert time.monotonic() - began_s < LEAVE_S[death]
                    await asyncio.sleep(0.1)
                assert await resolve(resolver, "198.51.100.0") == [address], "it is stale"
            finally:
                await world.ctl(life, "eu-1")  # type: ignore[arg-type]
        await serving(world, "eu-1")

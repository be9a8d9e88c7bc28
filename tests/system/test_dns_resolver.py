"""Clients behind a caching resolver (unbound): one answer a network, and a region that died."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.edns
import dns.message
import pytest

from regions.dns.answers import Answers
from regions.dns.query import Network
from regions.dns.server import Bounds, DnsServer
from regions.dns.zone import Entrance, Zone, ZoneConfig
from regions.faults.relay import Lane, Relay
from relay.client import connect
from tests.countries import write_cities
from tests.raw import token
from tests.ready import serving
from tests.system.test_dns import HOST
from tests.system.test_dns_command import TOPOLOGY, command
from tests.system.test_dns_command import ask as ask_us
from tests.system.test_dns_export import free_port
from tests.world import World, running

STALE_S = 600  # for which a resolver may keep an answer, whatever its TTL says
GET_IN_S = 10.0
# Until who was connected is elsewhere: of an edge that stands still it first has to hear nothing.
LEAVE_S = {"hold": GET_IN_S, "pause": GET_IN_S + 2.0}

# Of someone who knows names: a token, then addresses. It says where it is, and after how long.
PROGRAM = """
import asyncio, json, sys, time
from relay.client import connect

async def main():
    began_s = time.monotonic()
    async with connect(sys.argv[2:], token=sys.argv[1], rooms=["r"]) as client:
        print(json.dumps({"region": client.region, "took_s": time.monotonic() - began_s}))

asyncio.run(main())
"""


@asynccontextmanager
async def unbound(
    directory: Path, server: int, least_ttl_s: int = 0, listen: tuple[str, int] | None = None
) -> AsyncIterator[int]:
    """The resolver, which asks the name server at this port for the zone; its own port."""
    program = shutil.which("unbound") or shutil.which("unbound", path="/usr/sbin")
    if program is None:
        pytest.skip("unbound is not installed (Debian: unbound)")
    host, port = listen or (HOST, free_port())
    file = directory / "unbound.conf"
    file.write_text(
        f"""
server:
  interface: {host}@{port}
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
                    await resolve(port, "203.0.113.0", "SOA", host)
                    break
                await asyncio.sleep(0.1)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def resolve(port: int, subnet: str, qtype: str = "A", host: str = HOST) -> list[str]:
    """What a client of this network is told by its resolver."""
    options = [dns.edns.ECSOption(subnet, 24)]
    message = dns.message.make_query("relay.test", qtype, use_edns=0, options=list(options))
    answer = await dns.asyncquery.udp(message, host, timeout=3, port=port)
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


async def get_in(resolver: str, directory: Path, token: str, *urls: str) -> Any:
    """What PROGRAM says on a machine that asks the resolver at this address for every name."""
    file = directory / "resolv.conf"
    file.write_text(f"nameserver {resolver}\noptions timeout:2 attempts:2\n")
    inside = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    done = await asyncio.to_thread(
        subprocess.run,
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside, str(file),
         sys.executable, "-c", PROGRAM, token, *urls],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="port 53 and a resolv.conf of one's own need root")
async def test_a_client_that_resolves_names_by_itself_gets_in_where_the_answer_is_old(
    world: World, tmp_path: Path
) -> None:
    """One address and port a region, as with a balancer; the system's own resolver asks unbound."""
    net = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}"
    addresses = {f"{net}.{number}": name for number, name in enumerate(("us", "eu", "ap"), 1)}
    text = TOPOLOGY.replace(', "2001:db8::2"', "").replace("192.0.2.", f"{net}.")
    topology = world.state_dir.with_name("names.toml")
    topology.write_text(text)
    door = free_port()
    names = ["relay.test", *(f"{name}.relay.test" for name in addresses.values())]
    urls = [f"ws://{name}:{door}/gateway" for name in names]
    async with AsyncExitStack() as stack:
        for address, name in addresses.items():
            edge = int(world.edges[f"{name}-1"].url.split(":")[2].split("/")[0])
            relay = Relay(address, door, (HOST, edge), Lane(), Lane())
            await relay.start()
            stack.push_async_callback(relay.close)
        port = await stack.enter_async_context(command(world, topology))
        resolver = f"{net}.53"
        await stack.enter_async_context(unbound(tmp_path, port, STALE_S, (resolver, 53)))
        first = await get_in(resolver, tmp_path, token(world, "first"), *urls)
        edge_name = f"{first['region']}-1"
        await world.ctl("pause", edge_name)
        try:
            second = await get_in(resolver, tmp_path, token(world, "second"), *urls)
            assert second["region"] != first["region"]
            assert second["took_s"] < GET_IN_S
            (told,) = await resolve(53, "198.51.100.0", host=resolver)
            assert addresses[told] == "eu", "it is asked, and answers by who asks"
        finally:
            await world.ctl("continue", edge_name)
        await serving(world, edge_name)

"""The name server over real sockets, and `jetrelay dns` in a running world."""

import asyncio
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import dns.asyncquery
import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
import yaml

from regions.dns.answers import Answers
from regions.dns.query import Network
from regions.dns.server import Bounds, DnsServer
from regions.dns.zone import Entrance, Zone, ZoneConfig
from regions.errors import TopologyError
from relay.edge.machine import rss_bytes
from tests.countries import write_cities
from tests.ready import serving
from tests.world import World, running

HOST = "127.0.0.1"
CONFIG = ZoneConfig(
    "relay.test",
    (Entrance("us", (ip_address("192.0.2.1"),)), Entrance("eu", (ip_address("192.0.2.2"),))),
)


def order(_network: Network) -> tuple[str, ...]:
    return "us", "eu"


@asynccontextmanager
async def server(host: str = HOST, **bounds: float) -> AsyncIterator[tuple[DnsServer, int]]:
    """A name server on a free port."""
    made = DnsServer(Answers(Zone(CONFIG, serial=1), order), Bounds(**bounds))  # type: ignore[arg-type]
    _, port = await made.start(host, 0)
    try:
        yield made, port
    finally:
        await made.close()


def query(name: str = "relay.test", qtype: str = "A", subnet: str = "") -> dns.message.Message:
    options = [dns.edns.ECSOption(subnet, 48 if ":" in subnet else 24)] if subnet else []
    return dns.message.make_query(name, qtype, use_edns=0, options=list(options))


def texts(answer: dns.message.Message) -> list[str]:
    return sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset)


@pytest.mark.parametrize(
    ("listens", "asked"),
    [("0.0.0.0", "127.0.0.5"), ("0.0.0.0", HOST), ("::", "::1"), ("::", "127.0.0.5")],
)
async def test_an_answer_leaves_from_the_address_that_was_asked(listens: str, asked: str) -> None:
    if ":" in asked and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    async with server(listens) as (_, port):
        # It takes an answer from no other address.
        answer = await dns.asyncquery.udp(query(), asked, 3, port)
        assert texts(answer) == ["192.0.2.1"]


async def test_it_answers_over_udp_and_tcp_at_one_port() -> None:
    async with server() as (made, port):
        for ask in (dns.asyncquery.udp, dns.asyncquery.tcp):
            answer = await ask(query(), HOST, timeout=5, port=port)
            assert texts(answer) == ["192.0.2.1"]
        assert made.queries == {("udp", 1): 1, ("tcp", 1): 1}
        assert made.answered == {"NOERROR": 2}
        with pytest.raises(TopologyError, match="Address already in use"):
            await DnsServer(made.answers).start(HOST, port)


async def test_several_queries_go_over_one_connection_and_half_a_one_ends_it() -> None:
    async with server(idle_s=0.5, connections=1) as (made, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        wires = [query().to_wire(), query("eu.relay.test").to_wire(), query("x.org").to_wire()]
        writer.write(b"".join(struct.pack("!H", len(wire)) + wire for wire in wires))
        codes = []
        for wire in wires:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            data = await reader.readexactly(size)
            assert data[:2] == wire[:2]
            codes.append(dns.message.from_wire(data).rcode())
        assert codes == [dns.rcode.NOERROR, dns.rcode.NOERROR, dns.rcode.REFUSED]
        other_reader, other = await asyncio.open_connection(HOST, port)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await other_reader.readexactly(1)
        other.close()
        assert made.dropped == {"connection": 1}
        writer.write(b"\0\50half")
        async with asyncio.timeout(5):
            assert await reader.read() == b"", "the connection ends when nothing comes"
        writer.close()


async def test_who_asks_too_much_is_answered_shorter_than_he_asked() -> None:
    async with server(answers_per_s=10.0, slip=2) as (made, port):
        wire = query("relay.test", "ANY", "192.0.2.0").to_wire()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        for _ in range(100):
            sock.sendto(wire, (HOST, port))
        got: list[bytes] = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                while True:
                    got.append(await loop.sock_recv(sock, 4_096))
        sock.close()
        cut = [data for data in got if data[2] & 0x02]
        assert 10 <= len(got) - len(cut) <= 25
        assert 35 <= len(cut) <= 45
        assert all(len(data) <= len(wire) for data in cut)
        assert made.dropped["too many"] >= 75
        answer = await dns.asyncquery.tcp(query(), HOST, timeout=5, port=port)
        assert texts(answer) == ["192.0.2.1"], "whoever comes by TCP is who he says he is"


async def test_whatever_is_sent_to_it_it_serves_on() -> None:
    """Malformed and random packets, many of them: nothing is kept of any."""
    dice = random.Random(5)
    wire = bytearray(query("relay.test", "A", "192.0.2.0").to_wire())
    async with server(answers_per_s=1e9) as (made, port):
        sent = answered = 0
        before = rss_bytes()
        for number in range(100_000):
            data = bytearray(wire) if number % 2 else bytearray(dice.randbytes(dice.randrange(80)))
            for _ in range(dice.randrange(4)):
                if data:
                    data[dice.randrange(len(data))] = dice.randrange(256)
            del data[dice.randrange(len(data) + 1) :]
            sent += len(data)
            answered += len(made._answer_datagram(bytes(data), (HOST, 5_353)) or b"")
        assert answered < 4 * sent
        assert rss_bytes() - before < 16 * 2**20
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(2_000):
            sock.sendto(dice.randbytes(dice.randrange(1, 600)), (HOST, port))
        sock.close()
        answer = await dns.asyncquery.udp(query(), HOST, timeout=5, port=port)
        assert texts(answer) == ["192.0.2.1"]
        assert len(made.queries) < 400
        assert set(made.answered) <= {"NOERROR", "FORMERR", "NOTIMP", "REFUSED", "NXDOMAIN"}


# --- in a world -----------------------------------------------------------------------------------

TOPOLOGY = """
[clients]
geoip = "cities.mmdb"
[dns]
zone = "relay.test"
nameservers = { ns1 = ["127.0.0.1"] }
[[regions]]
name = "us"
lat = 39.0
lon = -77.5
edges = 1
addresses = ["192.0.2.1"]
[[regions]]
name = "eu"
lat = 50.1
lon = 8.7
edges = 1
addresses = ["192.0.2.2", "2001:db8::2"]
[[regions]]
name = "ap"
lat = 1.35
lon = 103.8
edges = 1
addresses = ["192.0.2.3"]
"""
NEAREST = {  # a client network, in which country, and the region that is nearest
    "192.0.2.0": "192.0.2.1",  # US
    "198.51.100.0": "192.0.2.2",  # DE
    "203.0.113.0": "192.0.2.3",  # SG
    "2001:db8:7::": "192.0.2.2",  # FR
    "2001:db8:1007::": "192.0.2.1",  # BR
    "2001:db8:2007::": "192.0.2.3",  # IN
    "2001:db8:3007::": "192.0.2.3",  # JP
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions, and a database of cities."""
    directory = tmp_path_factory.mktemp("named")
    write_cities(directory / "cities.mmdb", abroad=True)
    with running(directory, TOPOLOGY, orderly=True) as started:
        yield started


@asynccontextmanager
async def command(world: World, topology: Path, *more: str) -> AsyncIterator[int]:
    """`jetrelay dns` runs, with these arguments besides; its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "dns", "--listen", f"{HOST}:0", "--state",
        str(world.state_dir), "--topology", str(topology), *more, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            line = (await process.stderr.readline()).decode()
        assert line.startswith("jetrelay: relay.test is answered at "), line
        yield int(line.rsplit(":", 1)[1])
        process.terminate()
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ask(port: int, subnet: str, qtype: str = "A") -> list[str]:
    """What a client network is told."""
    asked = query("relay.test", qtype, subnet)
    return texts(await dns.asyncquery.udp(asked, HOST, timeout=5, port=port))


async def test_each_network_is_told_its_region_and_another_one_soon_after_that_died(
    world: World, tmp_path: Path
) -> None:
    topology = world.state_dir.with_name("named.toml")
    topology.write_text(TOPOLOGY)
    async with command(world, topology) as port:
        for subnet, address in NEAREST.items():
            assert await ask(port, subnet) == [address], subnet
        assert await ask(port, "192.0.2.0", "AAAA") == ["2001:db8::2"]
        if shutil.which("dig"):
            dug = await asyncio.to_thread(
                subprocess.run,
                ["dig", f"@{HOST}", "-p", str(port), "relay.test", "+short",
                 "+subnet=203.0.113.0/24"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert dug.stdout.split() == ["192.0.2.3"]
        await world.ctl("hold", "eu-1")
        began_s = time.monotonic()
        try:
            while await ask(port, "198.51.100.0") == ["192.0.2.2"]:
                assert time.monotonic() - began_s < 10, "answers change within 10 s"
                await asyncio.sleep(0.1)
            assert await ask(port, "198.51.100.0") == ["192.0.2.1"]
        finally:
            await world.ctl("start", "eu-1")
        await serving(world, "eu-1")
        # It is believed when it has lasted, and then takes more and more.
        near = [f"2001:db8:{number:x}::" for number in range(48)]
        back = 0
        async with asyncio.timeout(45):
            while not back:
                await asyncio.sleep(0.2)
                back = [await ask(port, subnet) for subnet in near].count(["192.0.2.2"])
        assert back < len(near) / 2


async def test_another_topology_counts_without_a_lost_query_and_a_bad_one_changes_nothing(
    world: World,
) -> None:
    topology = world.state_dir.with_name("changed.toml")
    topology.write_text(TOPOLOGY)
    async with command(world, topology) as port:
        assert await ask(port, "198.51.100.0") == ["192.0.2.2"]

        async def until(address: str, text: str) -> None:
            partial = topology.with_suffix(".new")
            partial.write_text(text)
            partial.replace(topology)
            async with asyncio.timeout(10):
                while await ask(port, "198.51.100.0") != [address]:
                    await asyncio.sleep(0.02)

        await until("192.0.2.1", TOPOLOGY.replace("lon = 8.7", "lon = 8.7\nweight = 0"))
        await until("192.0.2.9", TOPOLOGY.replace('"192.0.2.2"', '"192.0.2.9"'))
        topology.write_text("no [ TOML")
        os.utime(topology, (1, 1))
        await asyncio.sleep(1.5)
        assert await ask(port, "198.51.100.0") == ["192.0.2.9"]


async def test_its_metrics_say_what_it_sees_and_what_if(world: World) -> None:
    topology = world.state_dir.with_name("measured.toml")
    topology.write_text(TOPOLOGY)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        where = f"{HOST}:{probe.getsockname()[1]}"
    async with command(world, topology, "--metrics", where) as port:
        assert await ask(port, "198.51.100.0") == ["192.0.2.2"]
        async with aiohttp.ClientSession() as session, session.get(f"http://{where}/") as answer:
            lines = (await answer.text()).splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert figures['jetrelay_dns_answers_total{code="NOERROR"}'] == "1.0"
    assert figures['jetrelay_steering_hears{region="eu"}'] == "1.0"
    assert float(figures["jetrelay_steering_age_seconds"]) < 3
    assert figures['jetrelay_steering_admits{region="eu",state="ok"}'] == "1.0"
    assert figures['jetrelay_what_if_fits{region="eu"}'] == "1.0"
    assert figures['jetrelay_what_if_connections{region="eu",to="us"}'] == "0.0"


async def test_the_decision_is_written_for_other_name_servers(world: World, tmp_path: Path) -> None:
    out = tmp_path / "zones.yaml"
    done = await asyncio.to_thread(
        world.run, "dns", "export", "--to", "powerdns", "--out", str(out), "--no-try"
    )
    assert done.returncode == 0, done.stderr
    (domain,) = yaml.safe_load(out.read_text())["domains"]
    (way,) = domain["services"]["relay.test"]["198.51.100.0/24"]
    assert {"a": "192.0.2.2"} in domain["records"][way]
    assert [path.name for path in tmp_path.iterdir()] == ["zones.yaml"]
    done = await asyncio.to_thread(world.run, "dns", "export", "--to", "route53", "--no-try")
    batches = [json.loads(line) for line in done.stdout.splitlines()]
    sets = [one["ResourceRecordSet"] for batch in batches for one in batch["Changes"]]
    (germany,) = [one for one in sets if one.get("SetIdentifier") == "DE" and one["Type"] == "A"]
    assert germany["ResourceRecords"] == [{"Value": "192.0.2.2"}]
    bad = await asyncio.to_thread(
        world.run, "dns", "export", "--to", "powerdns", "--out", str(tmp_path / "no" / "file")
    )
    assert bad.returncode == 2
    assert "No such file" in bad.stderr
    assert "Traceback" not in bad.stderr

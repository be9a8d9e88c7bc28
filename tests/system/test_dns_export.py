"""The exported decision in the real PowerDNS, beside our own server: the same answers."""

import asyncio
import contextlib
import random
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

import dns.asyncquery
import dns.edns
import dns.message
import dns.rcode
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from regions.dns.answers import Answers
from regions.dns.export import Decider, powerdns, ways_of
from regions.dns.query import Network
from regions.dns.server import Bounds, DnsServer
from regions.dns.zone import Entrance, Zone, ZoneConfig
from relay.core.steering import Candidate, Place, State, Verdict, choose, shares
from relay.geo.atlas import Atlas

HOST = "127.0.0.1"
NETWORKS, SEED = 1_000, 20261129
MODULES = ("/usr/lib/x86_64-linux-gnu/pdns", "/usr/lib/aarch64-linux-gnu/pdns")
CONFIG = ZoneConfig(
    "relay.test",
    (
        Entrance("us", (ip_address("192.0.2.1"), ip_address("2001:db8::1"))),
        Entrance("eu", (ip_address("192.0.2.2"), ip_address("192.0.2.12")), (443, 8443)),
        Entrance("ap", (ip_address("192.0.2.3"), ip_address("2001:db8::3"))),
    ),
    {"ns1": ["192.0.2.53"]},
    caa=("ca.example.org",),
)
OK = Verdict(State.OK, "ready", admits=True)
REGIONS = [
    Candidate("us", Place(39.0, -77.5), OK, 10, 1_000),
    Candidate("eu", Place(50.1, 8.7), OK, 10, 1_000),
    Candidate("ap", Place(1.35, 103.8), OK, 10, 1_000),
]


def write_database(path: Path) -> Path:
    """Cities all over the world, on prefixes that are reserved for documentation and benchmarks."""
    dice = random.Random(SEED)
    writer = MMDBWriter(
        ip_version=6, database_type="GeoIP2-City", ipv4_compatible=True, int_type="u32"
    )
    for network in (
        *ip_network("198.18.0.0/15").subnets(new_prefix=22),
        *ip_network("2001:db8::/32").subnets(new_prefix=40),
    ):
        place = {"latitude": dice.uniform(-60, 70), "longitude": dice.uniform(-180, 180)}
        record = {"country": {"iso_code": "ZZ"}, "location": place}
        writer.insert_network(IPSet([str(network)]), record)
    writer.to_db_file(str(path))
    return path


def clients() -> list[Network]:
    """Networks of clients, of both kinds."""
    dice = random.Random(SEED)
    four = [*ip_network("198.18.0.0/15").subnets(new_prefix=24)]
    start = int(ip_address("2001:db8::"))
    six = [IPv6Network((start + (dice.randrange(2**16) << 80), 48)) for _ in range(NETWORKS // 2)]
    found: list[IPv4Network | IPv6Network] = [*dice.sample(four, NETWORKS // 2)]
    return [*found, *six]


def free_port() -> int:
    """One that is free for UDP and TCP now."""
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind((HOST, 0))
        port = int(tcp.getsockname()[1])
        udp.bind((HOST, port))
        return port


@asynccontextmanager
async def power_dns(directory: Path, zones: str) -> AsyncIterator[int]:
    """The real server, with this zones file; its port."""
    program = shutil.which("pdns_server") or shutil.which("pdns_server", path="/usr/sbin")
    modules = next((path for path in MODULES if (Path(path) / "libgeoipbackend.so").exists()), None)
    if program is None or modules is None:
        pytest.skip("pdns_server with its GeoIP backend is not installed (Debian: pdns-server, "
                    "pdns-backend-geoip)")  # fmt: skip
    file, port = directory / "zones.yaml", free_port()
    file.write_text(zones)
    process = await asyncio.create_subprocess_exec(
        program, "--no-config", f"--config-dir={directory}", "--launch=geoip",
        f"--module-dir={modules}", f"--geoip-zones-file={file}", "--geoip-database-files=",
        "--edns-subnet-processing=yes", f"--local-address={HOST}", f"--local-port={port}",
        f"--socket-dir={directory}", "--daemon=no", "--guardian=no", "--disable-syslog=yes",
        "--cache-ttl=0", "--query-cache-ttl=0", "--negquery-cache-ttl=0",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(Exception):
                    await ask(port, "relay.test", "SOA")
                    break
                assert process.returncode is None, "it has ended"
                await asyncio.sleep(0.1)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def ask(
    port: int, name: str, qtype: str, network: Network | None = None
) -> tuple[dns.rcode.Rcode, list[str]]:
    """The code, and the records as text."""
    options = []
    if network is not None:
        options = [dns.edns.ECSOption(str(network.network_address), network.prefixlen)]
    message = dns.message.make_query(name, qtype, use_edns=0, options=list(options))
    answer = await dns.asyncquery.udp(message, HOST, timeout=2, port=port)
    records = sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset)
    return answer.rcode(), records


@asynccontextmanager
async def both(directory: Path, regions: list[Candidate]) -> AsyncIterator[tuple[int, int, Atlas]]:
    """Our server and PowerDNS, with the same decision; their ports."""
    atlas, zone = Atlas(write_database(directory / "cities.mmdb")), Zone(CONFIG, serial=7)
    decider = Decider(regions)

    def order(network: Network) -> tuple[str, ...]:
        given = shares(regions, atlas.find(network.network_address).whence)
        return tuple(choose(given, str(network).encode()))

    ours = DnsServer(Answers(zone, order), Bounds(answers_per_s=1e9))
    zones = powerdns(zone, decider.way(None), ways_of(decider, atlas))
    async with power_dns(directory, zones) as theirs:
        _, port = await ours.start(HOST, 0)
        try:
            yield port, theirs, atlas
        finally:
            await ours.close()
            atlas.close()


async def test_power_dns_answers_a_thousand_networks_as_our_server_does(tmp_path: Path) -> None:
    async with both(tmp_path, REGIONS) as (ours, theirs, _):
        seen: dict[str, int] = {}
        for network in clients():
            for qtype in ("A", "AAAA", "SVCB", "HTTPS", "TXT"):
                answer = await ask(ours, "relay.test", qtype, network)
                assert await ask(theirs, "relay.test", qtype, network) == answer, network
            seen[answer[1][0]] = seen.get(answer[1][0], 0) + 1
        assert len(seen) >= 4, "clients of all regions, in several orders"
        for name, qtype in (
            ("relay.test", "SOA"), ("relay.test", "NS"), ("relay.test", "CAA"),
            ("eu.relay.test", "A"), ("ap.relay.test", "AAAA"), ("us.relay.test", "HTTPS"),
            ("us.relay.test", "SVCB"),
            ("ns1.relay.test", "A"), ("nothing.relay.test", "A"),
        ):  # fmt: skip
            assert await ask(theirs, name, qtype) == await ask(ours, name, qtype), (name, qtype)


async def test_a_region_that_takes_a_part_gets_as_many_there(tmp_path: Path) -> None:
    """Which networks those are is not the same: PowerDNS throws dice."""
    regions = [REGIONS[0], Candidate("eu", Place(50.1, 8.7), OK, 10, 1_000, weight=30), REGIONS[2]]
    async with both(tmp_path, regions) as (ours, theirs, atlas):
        mixed = [
            network
            for network in clients()
            if shares(regions, atlas.find(network.network_address).whence)[0].share == 0.3
        ]
        assert len(mixed) > 100
        for port in (ours, theirs):
            texts = [(await ask(port, "relay.test", "TXT", network))[1] for network in mixed]
            share = sum(text == ['"v=jetrelay1 regions=eu,us,ap"'] for text in texts) / len(texts)
            others = sum(text == ['"v=jetrelay1 regions=eu,ap,us"'] for text in texts) / len(texts)
            assert 0.2 < share + others < 0.4
        # eu has two addresses: one of them is given out, and no more often for that.
        given = [(await ask(theirs, "relay.test", "A", network))[1] for network in mixed * 4]
        assert all(len(each) == 1 for each in given)
        share = sum(each[0] in ("192.0.2.2", "192.0.2.12") for each in given) / len(given)
        assert 0.24 < share < 0.36
        assert {each[0] for each in given} >= {"192.0.2.2", "192.0.2.12"}


async def test_power_dns_takes_a_new_file_when_it_is_told_to(tmp_path: Path) -> None:
    decider, zone = Decider(REGIONS), Zone(CONFIG, serial=7)
    zones = powerdns(zone, decider.way(None), {})
    async with power_dns(tmp_path, zones) as theirs:
        assert "192.0.2.2" in (await ask(theirs, "eu.relay.test", "A"))[1]
        (tmp_path / "zones.yaml").write_text(zones.replace("192.0.2.2\n", "192.0.2.22\n"))
        told = await asyncio.create_subprocess_exec(
            "pdns_control", f"--config-dir={tmp_path}", f"--socket-dir={tmp_path}", "rediscover",
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await told.wait() == 0
        async with asyncio.timeout(10):
            while "192.0.2.22" not in (await ask(theirs, "eu.relay.test", "A"))[1]:
                await asyncio.sleep(0.1)

"""`jetrelay dns`, and its export, in a running world."""

import asyncio
import contextlib
import json
import os
import random
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import dns.asyncquery
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest
import yaml

from tests.countries import REGIONS, write_cities, write_countries
from tests.operators import ctl
from tests.ready import serving
from tests.system.test_dns import HOST, noise, query, texts
from tests.world import World, running

TOPOLOGY = f"""
[clients]
geoip = "cities.mmdb"
[dns]
zone = "relay.test"
nameservers = {{ ns1 = ["127.0.0.1"] }}
{REGIONS}"""
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
async def command(
    world: World, topology: Path, *more: str, said: list[str] | None = None
) -> AsyncIterator[int]:
    """`jetrelay dns` runs, with these arguments besides; its port. `said`: gets what it said."""
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
        if said is not None:
            said += (await process.stderr.read()).decode().splitlines()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def dug(world: World) -> AsyncIterator[int]:
    """The port of one that runs."""
    topology = world.state_dir.with_name("dug.toml")
    topology.write_text(TOPOLOGY)
    async with command(world, topology) as port:
        yield port


def _pid_of(topology: Path) -> int:
    """The process that answers by this topology."""
    wanted = str(topology).encode()
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if wanted in cmdline.read_bytes():
                return int(cmdline.parent.name)
    raise AssertionError("it does not run")


def _rss_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


async def ask(port: int, subnet: str, qtype: str = "A") -> list[str]:
    """What a client network is told."""
    asked = query("relay.test", qtype, subnet)
    return texts(await dns.asyncquery.udp(asked, HOST, timeout=5, port=port))


async def ask_cut(port: int) -> bool:
    """Whether one of five questions is answered with `come by TCP`."""
    for _ in range(5):
        with contextlib.suppress(dns.exception.Timeout):
            answer = await dns.asyncquery.udp(query(), HOST, timeout=1, port=port)
            if answer.flags & dns.flags.TC:
                return True
    return False


async def test_each_network_is_told_its_region_and_another_one_soon_after_that_died(
    world: World, tmp_path: Path
) -> None:
    topology = world.state_dir.with_name("named.toml")
    topology.write_text(TOPOLOGY)
    async with command(world, topology) as port:
        for subnet, address in NEAREST.items():
            assert await ask(port, subnet) == [address], subnet
        assert await ask(port, "192.0.2.0", "AAAA") == ["2001:db8::2"]
        began_s = time.monotonic()
        for process in ("eu-n1", "eu-1"):  # all of the region
            await world.ctl("hold", process)
        try:
            while await ask(port, "198.51.100.0") == ["192.0.2.2"]:
                assert time.monotonic() - began_s < 10, "answers change within 10 s"
                await asyncio.sleep(0.1)
            assert await ask(port, "198.51.100.0") == ["192.0.2.1"]
        finally:
            for process in ("eu-n1", "eu-1"):
                await world.ctl("start", process)
        await serving(world, "eu-1")
        # It is believed when it has lasted, and then takes more and more.
        near = [f"2001:db8:{number:x}::" for number in range(48)]
        back = 0
        async with asyncio.timeout(45):
            while not back:
                await asyncio.sleep(0.2)
                back = [await ask(port, subnet) for subnet in near].count(["192.0.2.2"])
        assert back < len(near) / 2


@pytest.mark.skipif(shutil.which("dig") is None, reason="dig (bind9-dnsutils) is not there")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("relay.test", "+subnet=203.0.113.0/24"), r"192\.0\.2\.3$"),
        (("relay.test", "+subnet=203.0.113.0/24"), r"CLIENT-SUBNET: 203\.0\.113\.0/24/24$"),
        (("relay.test", "+tcp", "+subnet=192.0.2.0/24"), r"192\.0\.2\.1$"),
        (("relay.test", "+tcp", "+subnet=192.0.2.0/24"), r"SERVER: .*\(TCP\)$"),
        (("reLAY.tesT", "AAAA", "+subnet=192.0.2.0/24"), r"^reLAY\.tesT\..*2001:db8::2$"),
        (("relay.test", "HTTPS"), r"IN\s+HTTPS\s+1 "),
        (("relay.test", "SOA"), r"IN\s+SOA\s+ns1\.relay\.test\."),
        (("relay.test", "+nsid"), r"NSID: "),
        (("nothing.relay.test", "A"), r"status: NXDOMAIN"),
        (("example.org", "A"), r"status: REFUSED"),
    ],
)
async def test_dig_understands_it(
    world: World, dug: int, arguments: tuple[str, ...], said: str
) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        ["dig", f"@{HOST}", "-p", str(dug), *arguments, "+norecurse"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert any(re.search(said, line) for line in lines), done.stdout


async def test_what_operators_order_counts_in_its_answers(world: World) -> None:
    topology = world.state_dir.with_name("ordered.toml")
    topology.write_text(TOPOLOGY)
    near_ap = [f"2001:db8:20{number:02x}::" for number in range(64)]

    async def in_ap(port: int) -> int:
        return [await ask(port, subnet) for subnet in near_ap].count(["192.0.2.3"])

    async def until(port: int, fewest: int, most: int) -> None:
        async with asyncio.timeout(15):
            while not fewest <= (count := await in_ap(port)) <= most:
                await asyncio.sleep(0.2)
        assert fewest <= count <= most

    async with command(world, topology) as port:
        await until(port, 64, 64)
        await ctl(world, 0, "cordon", "ap", "--yes", "--why", "it is the test")
        try:
            await until(port, 0, 0)
            assert await ask(port, "203.0.113.0") != ["192.0.2.3"]
        finally:
            await ctl(world, 0, "uncordon", "ap", "--yes")
        await until(port, 64, 64)
        await ctl(world, 0, "weight", "ap", "25", "--yes")
        try:
            await until(port, 4, 32)
        finally:
            await ctl(world, 0, "weight", "ap", "100", "--yes")
        await until(port, 64, 64)


async def test_a_newer_database_of_places_counts_while_it_runs(world: World) -> None:
    database = world.state_dir.with_name("newer.mmdb")
    write_cities(database, abroad=True)
    topology = world.state_dir.with_name("newer.toml")
    topology.write_text(TOPOLOGY.replace("cities.mmdb", database.name))
    async with command(world, topology) as port:
        assert await ask(port, "198.51.100.0") == ["192.0.2.2"]
        newer = database.with_suffix(".new")
        write_countries(newer, {"198.51.100.0/24": "SG"})
        os.utime(newer)
        newer.replace(database)
        async with asyncio.timeout(30):
            while await ask(port, "198.51.100.0") != ["192.0.2.3"]:
                await asyncio.sleep(0.2)


async def test_a_hundred_thousand_packets_of_noise_cost_it_nothing_that_lasts(
    world: World,
) -> None:
    """Malformed and random ones, over a socket: it answers no more than it was sent."""
    topology = world.state_dir.with_name("noise.toml")
    topology.write_text(TOPOLOGY)
    dice = random.Random(6)
    real = [query("relay.test", qtype, "192.0.2.0").to_wire() for qtype in ("A", "TXT", "HTTPS")]
    async with command(world, topology) as port:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.8.8", 0))  # its answers do not use up what others may have
            sock.setblocking(False)
            sent = heard = 0
            for number in range(100_000):
                data = (
                    noise(dice, dice.choice(real))
                    if number % 2
                    else dice.randbytes(dice.randrange(1, 600))
                )
                sock.sendto(data, (HOST, port))
                sent += len(data)
                if number % 50 == 0:
                    await asyncio.sleep(0)
                with contextlib.suppress(BlockingIOError):
                    heard += len(sock.recv(65_536))
                if number == 20_000:
                    before = _rss_bytes(_pid_of(topology))
        assert await ask(port, "198.51.100.0") == ["192.0.2.2"]
        assert heard <= sent
        assert _rss_bytes(_pid_of(topology)) - before < 16 * 2**20


async def test_another_topology_counts_without_a_lost_query_and_a_bad_one_changes_nothing(
    world: World,
) -> None:
    topology = world.state_dir.with_name("changed.toml")
    topology.write_text(TOPOLOGY)
    said: list[str] = []
    async with command(world, topology, said=said) as port:
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
        sa = '[[regions]]\nname = "sa"\nedges = 1\naddresses = ["192.0.2.4"]\n'
        await until("192.0.2.2", TOPOLOGY.replace("[dns]", "[dns]\nanswers_per_s = 1.0") + sa)
        assert await ask_cut(port), "one answer a second"
    assert [line.removeprefix("jetrelay: ") for line in said if "restart" in line] == [
        "regions.sa counts after a restart"
    ]


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


async def test_the_decision_is_written_anew_for_other_name_servers_when_it_changes(
    world: World, tmp_path: Path
) -> None:
    out, told, topology = tmp_path / "zones.yaml", tmp_path / "told", tmp_path / "w.toml"
    write_cities(tmp_path / "cities.mmdb", abroad=True)
    topology.write_text(TOPOLOGY)

    def read() -> Any:
        (domain,) = yaml.safe_load(out.read_text())["domains"]
        return domain

    def germany() -> str:
        domain = read()
        (way,) = domain["services"]["relay.test"]["198.51.100.0/24"]
        (first,) = (record["a"] for record in domain["records"][way] if "a" in record)
        return str(first)

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "dns", "export", "--to", "powerdns", "--watch", "--state",
        str(world.state_dir), "--topology", str(topology), "--out", str(out),
        "--then", f"echo again >> {told}",
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(40):
            while not told.exists():
                await asyncio.sleep(0.1)
            assert germany() == "192.0.2.2"
            assert {"a": "192.0.2.3"} in read()["records"]["ap.relay.test"]
            topology.write_text(TOPOLOGY.replace("192.0.2.3", "192.0.2.33"))
            await world.ctl("stop", "eu-1")
            while germany() != "192.0.2.1":
                await asyncio.sleep(0.2)
            assert {"a": "192.0.2.33"} in read()["records"]["ap.relay.test"]
        assert len(told.read_text().split()) >= 2
        process.terminate()
        async with asyncio.timeout(15):
            _, said = await process.communicate()
        assert (process.returncode, said.count(b"zones.yaml was written") >= 2) == (0, True), said
    finally:
        if process.returncode is None:
            process.kill()
        await world.ctl("start", "eu-1")
    for wrong, why in (
        (("--watch",), "--watch goes with --out"),
        (("--then", "true"), "--then goes with --watch"),
    ):
        bad = await asyncio.to_thread(world.run, "dns", "export", "--to", "powerdns", *wrong)
        assert (bad.returncode, why in bad.stderr) == (2, True)

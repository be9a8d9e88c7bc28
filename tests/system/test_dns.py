"""The name server over real sockets: what it answers, and how much of anything it bears."""

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import cast

import dns.asyncquery
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest

from regions.dns.answers import Answers
from regions.dns.query import Network
from regions.dns.server import Bounds, DnsServer
from regions.dns.zone import Entrance, Zone, ZoneConfig
from regions.errors import TopologyError
from regions.steering import steerer as steering
from regions.steering.steerer import Steerer
from regions.topology_file import parse_topology
from relay.core.steering import Candidate, Place, State, Verdict
from relay.edge.machine import rss_bytes
from relay.geo.atlas import Atlas
from tests.countries import REGIONS

HOST = "127.0.0.1"
NETWORKS = 10_000  # that are remembered here: a tenth of the default
CONFIG = ZoneConfig(
    "relay.test",
    (Entrance("us", (ip_address("192.0.2.1"),)), Entrance("eu", (ip_address("192.0.2.2"),))),
)


def order(_network: Network) -> tuple[str, ...]:
    return "us", "eu"


@asynccontextmanager
async def server(
    host: str = HOST, bounds: Bounds | None = None, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[tuple[DnsServer, int]]:
    """A name server on a free port."""
    made = DnsServer(Answers(Zone(CONFIG, serial=1), order), bounds or Bounds(), clock)
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


async def test_an_extended_code_is_counted_as_what_it_is() -> None:
    async with server() as (made, port):
        asked = dns.message.make_query("relay.test", "A", use_edns=1)
        answer = await dns.asyncquery.udp(asked, HOST, timeout=5, port=port)
        assert answer.rcode() == dns.rcode.BADVERS
        assert made.answered == {"BADVERS": 1}


async def test_several_queries_go_over_one_connection_and_half_a_one_ends_it() -> None:
    async with server(bounds=Bounds(idle_s=0.5, connections=1)) as (made, port):
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
    bounds = Bounds(answers_per_s=10.0, slip=2)
    async with server(bounds=bounds, clock=lambda: 7.0) as (made, port):
        wire = query("relay.test", "ANY", "192.0.2.0").to_wire()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        for _ in range(100):
            sock.sendto(wire, (HOST, port))
        async with asyncio.timeout(10):
            got = [await loop.sock_recv(sock, 4_096) for _ in range(10 + 45)]
        with pytest.raises(BlockingIOError):
            sock.recv(4_096)
        sock.close()
        cut = [data for data in got if data[2] & 0x02]
        assert len(cut) == 45
        assert all(len(data) <= len(wire) for data in cut)
        assert made.dropped["too many"] == 90
        answer = await dns.asyncquery.tcp(query(), HOST, timeout=5, port=port)
        assert texts(answer) == ["192.0.2.1"], "whoever comes by TCP is who he says he is"


def noise(dice: random.Random, seed: bytes) -> bytes:
    """A query that was tampered with, or nothing like one."""
    data = bytearray(seed) if dice.random() < 0.5 else bytearray(dice.randbytes(dice.randrange(80)))
    for _ in range(dice.randrange(4)):
        if data:
            data[dice.randrange(len(data))] = dice.randrange(256)
    del data[dice.randrange(len(data) + 1) :]
    return bytes(data)


async def test_whoever_is_pretended_to_ask_gets_no_more_than_the_limit() -> None:
    """50,000 packets in the name of one network: whole answers up to the limit, then short ones."""
    dice, wire = random.Random(4), query("relay.test", "TXT", "192.0.2.0").to_wire()
    made = DnsServer(
        Answers(Zone(CONFIG, serial=1), order), Bounds(answers_per_s=100.0), clock=lambda: 7.0
    )
    whole = 0
    for number in range(50_000):
        data = wire if number % 3 else noise(dice, wire)
        answer = made._answer_datagram(data, ("192.0.2.7", 5_353))
        if answer is not None and len(answer) > len(data):
            whole += 1
            assert len(answer) <= 1_232
    assert whole <= 100
    assert made.dropped["too many"] >= 49_900


async def test_whatever_is_sent_to_it_it_serves_on_and_remembers_no_more_than_it_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Malformed and random packets from everywhere, in the name of ever new networks."""
    monkeypatch.setattr(steering, "NETWORKS", NETWORKS)
    dice = random.Random(5)
    steerer = Steerer(parse_topology(REGIONS, "named.toml"), [], Atlas(), {})
    regions = [("us", 39.0, -77.5), ("eu", 50.1, 8.7), ("ap", 1.35, 103.8)]
    ok = Verdict(State.OK, "ready", admits=True)
    steerer._regions = tuple(Candidate(name, Place(*at), ok, 10, 1_000) for name, *at in regions)
    bounds = Bounds(networks=NETWORKS)
    types = ("A", "TXT", "HTTPS", "ANY", "SOA")
    real = [query("relay.test", qtype, "192.0.2.0").to_wire() for qtype in types]
    made = DnsServer(Answers(Zone(CONFIG, serial=1), steerer.order), bounds)
    host, port = await made.start(HOST, 0)

    def flood(packets: int) -> None:
        for _ in range(packets):
            subnet = str(ip_address(dice.randrange(2**24, 2**32 - 2**29)))
            data = query("relay.test", "A", subnet).to_wire() if dice.random() < 0.2 else b""
            source = str(ip_address(dice.randrange(2**32)))
            made._answer_datagram(data or noise(dice, dice.choice(real)), (source, 5_353))

    try:
        # As much as is remembered, and more: from then on, nothing grows.
        for number in range(NETWORKS + 1_000):
            steerer.order(ip_network((number << 8, 24)))
            made._shares.take(f"{number:08x}", 0.0)
        flood(30_000)  # the tables grow once more, as they turn over
        before = rss_bytes()
        flood(100_000)
        assert (len(steerer._orders), len(made._shares)) == (NETWORKS, NETWORKS)
        assert rss_bytes() - before < 8 * 2**20
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(2_000):
            sock.sendto(dice.randbytes(dice.randrange(1, 600)), (HOST, port))
        sock.close()
        # From another network: what came just now was more than one may have.
        answer = await dns.asyncquery.udp(query(), host, 5, port, source="127.0.9.9")
        assert texts(answer)[0] in {"192.0.2.1", "192.0.2.2"}
        assert len(made.queries) < 400
        assert set(made.answered) <= {
            "NOERROR",
            "FORMERR",
            "NOTIMP",
            "REFUSED",
            "NXDOMAIN",
            "BADVERS",
        }
    finally:
        await made.close()


async def test_nobody_holds_all_connections_and_none_lasts_for_ever() -> None:
    wire = query().to_wire()
    async with server(bounds=Bounds(connections=5, connections_each=3, life_s=1.5)) as (made, port):
        held = [await asyncio.open_connection(HOST, port) for _ in range(3)]
        reader, writer = await asyncio.open_connection(HOST, port)
        assert await reader.read() == b"", "the fourth of one network"
        writer.close()
        other = await asyncio.open_connection(HOST, port, local_addr=("127.0.9.1", 0))
        began_s = time.monotonic()
        for each in (*held, other):
            each[1].write(struct.pack("!H", len(wire)) + wire)
            assert len(await each[0].readexactly(2)) == 2
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:  # a query every now and then keeps none open
                held[0][1].write(struct.pack("!H", len(wire)) + wire)
                await held[0][0].readexactly(2)
                await asyncio.sleep(0.1)
                assert time.monotonic() - began_s < 10
        assert 1.0 < time.monotonic() - began_s < 5
        assert made.dropped["connection"] == 1
        for each in (*held, other):
            each[1].close()


class _Stuck:
    """The writer of a client that reads nothing: some is left to send, for ever."""

    def __init__(self) -> None:
        self.aborted = False
        self.transport = self

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return HOST, 5_353

    def write(self, data: bytes) -> None:
        pass

    async def drain(self) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True

    async def wait_closed(self) -> None:
        await asyncio.Event().wait()


async def test_who_does_not_read_what_is_left_holds_no_connection() -> None:
    wire = query().to_wire()
    answer = bytearray(wire)
    answer[2] |= 0x80  # QR: no query, and the end of it
    async with server(bounds=Bounds(idle_s=0.1)) as (made, _):
        reader, writer = asyncio.StreamReader(), _Stuck()
        for data in (wire, bytes(answer)):
            reader.feed_data(struct.pack("!H", len(data)) + data)
        async with asyncio.timeout(10):
            await made._serve(reader, cast("asyncio.StreamWriter", writer))
        assert writer.aborted
        assert not made._connections

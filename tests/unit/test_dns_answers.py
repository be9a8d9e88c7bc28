"""Answers of a zone, as dnspython reads them."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regions.dns.answers import Answers
from regions.dns.query import Network, read
from regions.dns.zone import Entrance, Zone, ZoneConfig, without_family
from regions.errors import TopologyError
from regions.topology_file import parse_topology

CONFIG = ZoneConfig(
    "Relay.test",
    (
        Entrance("us", (ip_address("192.0.2.1"), ip_address("192.0.2.2"))),
        Entrance("eu", (ip_address("198.51.100.1"), ip_address("2001:db8::1")), (443, 8443)),
    ),
    {"ns1": ["203.0.113.1"], "ns2.far": ["203.0.113.2", "2001:db8::53"], "ns.other.test.": []},
    caa=("ca.example.org",),
)
SOURCE = IPv4Address("203.0.113.77")


class Steering:
    """us for one network, eu for all others."""

    def __init__(self) -> None:
        self.asked: list[Network] = []

    def order(self, network: Network) -> tuple[str, ...]:
        self.asked.append(network)
        return ("us", "eu") if network == ip_network("192.0.2.0/24") else ("eu", "us")


@pytest.fixture
def steering() -> Steering:
    return Steering()


@pytest.fixture
def answers(steering: Steering) -> Answers:
    return Answers(Zone(CONFIG, serial=9), steering.order, b"dns-1")


def ask(
    answers: Answers,
    name: str,
    qtype: str = "A",
    *,
    source: IPv4Address | IPv6Address = SOURCE,
    tcp: bool = False,
    subnet: str | None = None,
    **options: Any,
) -> dns.message.Message:
    if subnet is not None:
        network = ip_network(subnet)
        ecs = dns.edns.ECSOption(str(network.network_address), network.prefixlen)
        options = {"use_edns": 0, "options": [ecs], **options}
    query = dns.message.make_query(name, qtype, **options)
    read_query = read(query.to_wire())
    assert read_query is not None
    answer = dns.message.from_wire(answers.answer(read_query, source, tcp=tcp))
    assert query.is_response(answer)
    return answer


def texts(answer: dns.message.Message) -> list[str]:
    return sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset)


def test_addresses_are_those_of_the_region_that_steering_names_first(
    answers: Answers, steering: Steering
) -> None:
    found = ask(answers, "relay.test", subnet="192.0.2.0/24")
    assert texts(found) == ["192.0.2.1", "192.0.2.2"]
    assert found.answer[0].ttl == 30
    assert found.flags & dns.flags.AA
    [ecs] = found.options
    assert isinstance(ecs, dns.edns.ECSOption)
    assert (ecs.srclen, ecs.scopelen) == (24, 24)
    assert texts(ask(answers, "relay.test", subnet="198.51.100.0/24")) == ["198.51.100.1"]
    assert texts(ask(answers, "relay.test")) == ["198.51.100.1"]
    assert steering.asked[-1] == ip_network("203.0.113.0/24"), "who asks, where nothing is told"


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("192.0.2.9/32", "192.0.2.0/24"),
        ("192.0.0.0/16", "192.0.0.0/16"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("0.0.0.0/0", "203.0.113.0/24"),
    ],
)
def test_a_network_is_asked_about_as_large_as_an_answer_holds_for(
    answers: Answers, steering: Steering, told: str, asked: str
) -> None:
    found = ask(answers, "relay.test", subnet=told)
    assert steering.asked == [ip_network(asked)]
    [ecs] = found.options
    assert isinstance(ecs, dns.edns.ECSOption)
    bits, scope = ip_network(told).prefixlen, {4: 24, 6: 48}[ip_network(told).version]
    assert (ecs.srclen, ecs.scopelen) == (bits, scope if bits else 0)


def test_a_family_that_the_first_region_lacks_is_the_next_ones(answers: Answers) -> None:
    assert texts(ask(answers, "relay.test", "AAAA", subnet="192.0.2.0/24")) == ["2001:db8::1"]


@pytest.mark.parametrize("qtype", ["HTTPS", "SVCB"])
def test_where_to_connect_is_told_for_every_region_in_order(answers: Answers, qtype: str) -> None:
    assert texts(ask(answers, "relay.test", qtype, subnet="192.0.2.0/24")) == [
        '1 us.relay.test. alpn="http/1.1"',
        '2 eu.relay.test. alpn="http/1.1"',
        '2 eu.relay.test. alpn="http/1.1" port="8443"',
    ]
    assert texts(ask(answers, "eu.relay.test", qtype))[0] == '1 . alpn="http/1.1"'


def test_the_order_of_regions_is_told_as_text(answers: Answers) -> None:
    assert texts(ask(answers, "relay.test", "TXT")) == ['"v=jetrelay1 regions=eu,us"']


def test_what_is_not_steered_is_the_same_for_all(answers: Answers, steering: Steering) -> None:
    assert texts(ask(answers, "relay.test", "NS")) == [
        "ns.other.test.", "ns1.relay.test.", "ns2.far.relay.test.",
    ]  # fmt: skip
    assert texts(ask(answers, "relay.test", "SOA")) == [
        "ns1.relay.test. hostmaster.relay.test. 9 3600 600 604800 30"
    ]
    assert texts(ask(answers, "relay.test", "CAA")) == ['0 issue "ca.example.org"']
    assert texts(ask(answers, "ns2.far.relay.test", "AAAA")) == ["2001:db8::53"]
    found = ask(answers, "us.relay.test", subnet="198.51.100.0/24")
    assert texts(found) == ["192.0.2.1", "192.0.2.2"]
    [ecs] = found.options
    assert isinstance(ecs, dns.edns.ECSOption)
    assert ecs.scopelen == 0
    assert texts(ask(answers, "relay.test", "ANY")) == ['"RFC8482" ""']
    assert steering.asked == []


@pytest.mark.parametrize(
    ("name", "qtype", "rcode"),
    [
        ("relay.test", "MX", dns.rcode.NOERROR),
        ("us.relay.test", "AAAA", dns.rcode.NOERROR),
        ("far.relay.test", "A", dns.rcode.NOERROR),  # there is something below it
        ("no.relay.test", "A", dns.rcode.NXDOMAIN),
        ("a.b.c.us.relay.test", "A", dns.rcode.NXDOMAIN),
        ("x" * 63 + "." + "y" * 63 + "." + "z" * 50 + ".relay.test", "A", dns.rcode.NXDOMAIN),
    ],
)
def test_what_is_not_there_is_said_with_the_soa(
    answers: Answers, name: str, qtype: str, rcode: dns.rcode.Rcode
) -> None:
    found = ask(answers, name, qtype)
    assert (found.rcode(), found.answer) == (rcode, [])
    [soa] = found.authority
    assert (soa.name.to_text(), soa.ttl) == ("relay.test.", 30)
    assert soa.rdtype == dns.rdatatype.SOA


@pytest.mark.parametrize(
    ("name", "qtype"),
    [
        ("example.org", "A"),
        ("xrelay.test", "A"),
        (".", "NS"),
        ("test", "A"),
        ("relay.test", "AXFR"),
    ],
)
def test_what_is_not_ours_is_refused(answers: Answers, name: str, qtype: str) -> None:
    found = ask(answers, name, qtype)
    assert (found.rcode(), found.flags & dns.flags.AA) == (dns.rcode.REFUSED, 0)
    assert (found.answer, found.authority) == ([], [])


def test_the_case_of_the_question_is_kept(answers: Answers) -> None:
    found = ask(answers, "rElAy.TeSt")
    assert found.question[0].name.to_text() == "rElAy.TeSt."
    assert texts(found) == ["198.51.100.1"]


def test_what_is_too_long_for_udp_is_cut_and_whole_over_tcp(steering: Steering) -> None:
    many = tuple(Entrance(f"region-{n}", (), tuple(range(1, 9))) for n in range(9))
    answers = Answers(
        Zone(ZoneConfig("relay.test", many)), lambda _: tuple(each.region for each in many)
    )
    found = ask(answers, "relay.test", "HTTPS", use_edns=0, payload=1232)
    assert found.flags & dns.flags.TC
    assert (found.answer, found.edns) == ([], 0)
    assert len(texts(ask(answers, "relay.test", "HTTPS", tcp=True))) == 72


def test_the_soa_is_that_of_the_zone_whatever_was_asked_for() -> None:
    config = ZoneConfig("relay.test", (), {"a": [], "ns1.aaa": []}, contact="aa.relay.test.")
    answers = Answers(Zone(config, serial=1), lambda _: ())
    for name in ("b.relay.test", "foo.relay.test", "xx.yyy.relay.test"):
        [soa] = ask(answers, name).authority
        assert soa[0].to_text() == "a.relay.test. aa.relay.test. 1 3600 600 604800 30"


def test_many_regions_are_told_in_parts_and_unknown_types_are_one() -> None:
    many = tuple(Entrance("r" * 14 + f"{n:02}", ()) for n in range(16))
    zone = Zone(ZoneConfig("relay.test", many))
    answers = Answers(zone, lambda _: tuple(each.region for each in many))
    [told] = [
        rdata for rrset in ask(answers, "relay.test", "TXT", tcp=True).answer for rdata in rrset
    ]
    assert [len(part) for part in told.strings] == [255, 36]
    packed = zone._packed.cache_info().currsize
    for qtype in range(1_000, 1_050):
        assert ask(answers, "relay.test", f"TYPE{qtype}").authority
    assert zone._packed.cache_info().currsize == packed + 1


def test_it_names_itself_where_it_is_asked(answers: Answers) -> None:
    nsid = [dns.edns.GenericOption(dns.edns.NSID, b"")]
    [told] = ask(answers, "relay.test", use_edns=0, options=nsid).options
    assert (told.otype, told.to_wire()) == (dns.edns.NSID, b"dns-1")
    assert ask(answers, "relay.test", use_edns=0).options == ()
    assert ask(answers, "relay.test").edns == -1


def test_errors_are_answered_with_what_was_asked(answers: Answers) -> None:
    bad = read(dns.message.make_query("relay.test", "A", use_edns=3).to_wire())
    assert bad is not None
    found = dns.message.from_wire(answers.answer(bad, SOURCE, tcp=False))
    assert (found.rcode(), found.edns) == (dns.rcode.BADVERS, 0)
    update = bytearray(dns.message.make_query("relay.test", "A").to_wire())
    update[2] |= 5 << 3
    bad = read(bytes(update))
    assert bad is not None
    assert answers.answer(bad, SOURCE, tcp=False)[3] & 0xF == dns.rcode.NOTIMP


def test_a_zone_that_can_not_be_is_refused() -> None:
    for config in (
        ZoneConfig("relay..test", ()),
        ZoneConfig("relay.test", (Entrance("ns1", ()),)),
        ZoneConfig("relay.test", (), {"ns1": ["nowhere"]}),
        ZoneConfig("x" * 64 + ".test", ()),
        ZoneConfig("relay.test", (), caa=('a"b c',)),
    ):
        with pytest.raises(TopologyError, match="dns: "):
            Zone(config)


@given(st.binary(max_size=60), st.booleans())
def test_whatever_is_read_is_answered_and_never_larger_than_it_may(noise: bytes, tcp: bool) -> None:
    answers = Answers(Zone(CONFIG, serial=9), lambda _: ("us", "eu"))
    wire = dns.message.make_query("relay.test", "A", use_edns=0).to_wire()
    for data in (noise, wire[: len(noise)] + noise, wire[:12] + noise):
        query = read(data)
        if query is not None:
            found = answers.answer(query, SOURCE, tcp=tcp)
            assert len(found) <= 1232
            assert found[:2] == data[:2]


def test_regions_that_lack_a_family_of_addresses_are_named() -> None:
    def said(*addresses: str) -> str:
        text = "".join(
            f'[[regions]]\nname = "r{number}"\naddresses = [{each}]\n'
            for number, each in enumerate(addresses)
        )
        return without_family(parse_topology(text, "world.toml"))

    four, six = '"192.0.2.1"', '"2001:db8::1"'
    assert said(four, four) == said(f"{four}, {six}", f"{four}, {six}") == said(six) == ""
    assert said(f"{four}, {six}", four, four) == (
        "r1, r2 without AAAA addresses: clients that want them are sent to other regions"
    )
    assert said(four, six).count("without") == 2

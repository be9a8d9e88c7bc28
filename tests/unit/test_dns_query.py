"""Reading DNS queries: as dnspython reads them, and never a crash."""

import struct
from ipaddress import ip_network

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regions.dns.query import MOST_PAYLOAD, Bad, Edns, Query, Rcode, Subnet, read


def made(name: str = "Relay.Test.", qtype: str = "A", **options: object) -> bytes:
    return dns.message.make_query(name, qtype, id=7, **options).to_wire()  # type: ignore[arg-type]


def good(wire: bytes) -> Query:
    found = read(wire)
    assert isinstance(found, Query)
    return found


def test_a_plain_query() -> None:
    found = good(made())
    assert found == Query(7, True, b"\5Relay\4Test\0\0\1\0\1", b"\5relay\4test\0", 1, 1, None)


def test_edns_its_client_subnet_and_nsid() -> None:
    options = [dns.edns.ECSOption("198.51.100.0", 24), dns.edns.GenericOption(dns.edns.NSID, b"")]
    found = good(made(use_edns=0, payload=4096, ednsflags=dns.flags.DO, options=options))
    assert found.edns == Edns(MOST_PAYLOAD, True, Subnet(1, 24, b"\xc6\x33\x64"), True)
    assert found.edns.subnet is not None
    assert found.edns.subnet.network == ip_network("198.51.100.0/24")
    six = good(made(use_edns=0, payload=100, options=[dns.edns.ECSOption("2001:db8::", 33)]))
    assert six.edns is not None
    assert six.edns.payload == 512
    assert six.edns.subnet is not None
    assert six.edns.subnet.network == ip_network("2001:db8::/33")
    none = good(made(use_edns=0, options=[dns.edns.ECSOption("0.0.0.0", 0)]))
    assert none.edns is not None
    assert none.edns.subnet is not None
    assert none.edns.subnet.network is None


def wire_of(name: dns.name.Name) -> bytes:
    wire = name.to_wire()
    assert wire is not None
    return wire.lower()


def subnet(data: bytes) -> bytes:
    return made(use_edns=0, options=[dns.edns.GenericOption(dns.edns.ECS, data)])


@pytest.mark.parametrize(
    ("wire", "rcode"),
    [
        (made()[:-1], Rcode.FORMERR),
        (made() + b"\0", Rcode.FORMERR),
        (made()[:12] + b"\xc0\x0c\0\1\0\1", Rcode.FORMERR),  # a name that points to itself
        (made()[:12] + b"\x40" + b"a" * 64 + b"\0\0\1\0\1", Rcode.FORMERR),
        (made()[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", Rcode.FORMERR),  # 257 bytes
        (made()[:4] + b"\0\2" + made()[6:] + made()[12:], Rcode.FORMERR),
        (made(use_edns=0)[:-1], Rcode.FORMERR),
        (made(use_edns=1), Rcode.BADVERS),
        (subnet(b"\0\3\x18\0\xc0\0\2"), Rcode.FORMERR),  # no such family
        (subnet(b"\0\1\x18\x10\xc0\0\2"), Rcode.FORMERR),  # a query has no scope
        (subnet(b"\0\1\x18\0\xc0\0"), Rcode.FORMERR),
        (subnet(b"\0\1\x17\0\xc0\0\3"), Rcode.FORMERR),  # bits beyond the prefix
        (subnet(b"\0\1\x21\0\xc0\0\2\1\0"), Rcode.FORMERR),
        (subnet(b"\0\1\x18"), Rcode.FORMERR),
    ],
)
def test_what_is_wrong_is_answered_so(wire: bytes, rcode: Rcode) -> None:
    found = read(wire)
    assert isinstance(found, Bad)
    assert (found.id, found.rcode) == (7, rcode)


def test_other_opcodes_are_not_implemented_and_answers_are_not_answered() -> None:
    wire = bytearray(made())
    wire[2] |= 5 << 3  # UPDATE
    found = read(bytes(wire))
    assert isinstance(found, Bad)
    assert (found.opcode, found.rcode) == (5, Rcode.NOTIMP)
    wire = bytearray(made())
    wire[2] |= 0x80
    assert read(bytes(wire)) is None
    assert read(b"\0" * 11) is None


_labels = st.lists(st.binary(min_size=1, max_size=20), max_size=5)


@given(
    _labels,
    st.integers(0, 0xFFFF),
    st.sampled_from([1, 3, 255]),
    st.none() | st.tuples(st.integers(0, 0xFFFF), st.booleans(), st.integers(0, 32)),
)
def test_it_reads_what_dnspython_writes(
    labels: list[bytes], qtype: int, qclass: int, edns: tuple[int, bool, int] | None
) -> None:
    name = dns.name.Name([*labels, b""])
    message = dns.message.QueryMessage(id=99)
    message.flags = dns.flags.RD
    message.find_rrset(
        message.question, name, dns.rdataclass.RdataClass(qclass), dns.rdatatype.RdataType(qtype),
        create=True, force_unique=True,
    )  # fmt: skip
    if edns is not None:
        payload, do, bits = edns
        message.use_edns(
            0, dns.flags.DO if do else 0, payload,
            options=[dns.edns.ECSOption("203.0.113.77", bits)],
        )  # fmt: skip
    found = good(message.to_wire())
    assert (found.id, found.rd, found.qtype, found.qclass) == (99, True, qtype, qclass)
    assert found.name == wire_of(name)
    assert (found.edns is None) == (edns is None)
    if edns is not None and found.edns is not None:
        assert (found.edns.do, found.edns.subnet and found.edns.subnet.source) == (do, bits)


@settings(max_examples=300)
@given(st.binary(max_size=80), st.integers(0, 80), st.binary(max_size=8))
def test_whatever_comes_is_read_or_answered_with_an_error(
    noise: bytes, at: int, change: bytes
) -> None:
    wire = made(use_edns=0, options=[dns.edns.ECSOption("198.51.100.0", 24)])
    changed = wire[:at] + change + wire[at + len(change) :]
    for data in (noise, changed, struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 1) + noise):
        found = read(data)
        if not isinstance(found, Query):
            continue
        # What is taken is a question for dnspython, too; of options it reads more than we do.
        message = dns.message.from_wire(data, question_only=True)
        assert len(message.question) == 1
        assert message.question[0].rdtype == found.qtype
        assert wire_of(message.question[0].name) == found.name

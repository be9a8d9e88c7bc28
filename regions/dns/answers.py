"""Putting an answer together: header, the question as it was asked, packed records, EDNS. Pure."""

import struct
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network

from regions.dns.query import (
    AA,
    HEADER,
    LEAST_PAYLOAD,
    NSID_OPTION,
    OPT_TYPE,
    QR,
    RD,
    SUBNET_OPTION,
    TC,
    Address,
    Bad,
    Edns,
    Network,
    Query,
    Rcode,
    Subnet,
)
from regions.dns.zone import Section, Zone

SCOPE = {1: 24, 2: 48}  # bits of a client's network that an answer holds for
IN = 1
_OPT = struct.Struct("!BHHBBHH")
_OPTION = struct.Struct("!HH")
_SUBNET = struct.Struct("!HHHBB")
_NOTHING = Section()

Order = Callable[[Network], tuple[str, ...]]  # the regions for a client network, best first


class Answers:
    """Answers queries.

    Args:
        zone: what there is.
        order: what steering says.
        nsid: names this server (RFC 5001).
    """

    def __init__(self, zone: Zone, order: Order, nsid: bytes = b"") -> None:
        self.zone = zone
        self.order = order
        self._nsid = nsid

    def answer(self, query: Query | Bad, source: Address, *, tcp: bool) -> bytes:
        """The answer to a query.

        Args:
            query: as it was read.
            source: who sent it; where he is counts, if he does not say whom he asks for.
            tcp: whether it may be as long as it is.
        """
        if isinstance(query, Bad):
            flags = QR | (query.opcode << 11) | (query.rcode & 0xF) | (RD if query.rd else 0)
            return _whole(
                query.id, flags, query.question, _NOTHING,
                self._edns(query.edns, query.rcode, None),
            )  # fmt: skip
        rcode, section, steered = self._find(query, source)
        flags = QR | int(rcode) | (RD if query.rd else 0)
        if rcode is not Rcode.REFUSED:
            flags |= AA
        edns = self._edns(query.edns, rcode, steered)
        wire = _whole(query.id, flags, query.question, section, edns)
        most = LEAST_PAYLOAD if query.edns is None else query.edns.payload
        if not tcp and len(wire) > most:
            return _whole(query.id, flags | TC, query.question, _NOTHING, edns)
        return wire

    def _find(self, query: Query, source: Address) -> tuple[Rcode, Section, bool]:
        """What is answered, and whether it depends on who asks."""
        zone = self.zone
        if query.qclass != IN or not zone.holds(query.name) or query.qtype in (251, 252):
            return Rcode.REFUSED, _NOTHING, False
        order: tuple[str, ...] = ()
        steered = zone.is_steered(query.name, query.qtype)
        if steered:
            subnet = None if query.edns is None else query.edns.subnet
            network = None if subnet is None else subnet.network
            order = self.order(_network(source) if network is None else _cut(network))
        section = zone.section(query.name, query.qtype, order)
        exists = bool(section.answers) or zone.exists(query.name)
        return (Rcode.NOERROR if exists else Rcode.NXDOMAIN), section, steered

    def _edns(self, edns: Edns | None, rcode: Rcode, steered: bool | None) -> bytes:
        if edns is None:
            return b""
        options = b""
        if edns.subnet is not None and steered is not None:
            options += _told(edns.subnet, steered)
        if edns.nsid and self._nsid:
            options += _OPTION.pack(NSID_OPTION, len(self._nsid)) + self._nsid
        flags = 0x8000 if edns.do else 0
        return _OPT.pack(0, OPT_TYPE, 1232, rcode >> 4, 0, flags, len(options)) + options


def _whole(ident: int, flags: int, question: bytes, section: Section, edns: bytes) -> bytes:
    header = HEADER.pack(
        ident, flags, bool(question), section.answers, section.authorities, bool(edns)
    )
    return header + question + section.body + edns


def _told(subnet: Subnet, steered: bool) -> bytes:
    """The subnet back, with the bits that the answer holds for; 0: it holds for all."""
    scope = SCOPE[subnet.family] if steered and subnet.source else 0
    size = 4 + len(subnet.address)
    return _SUBNET.pack(SUBNET_OPTION, size, subnet.family, subnet.source, scope) + subnet.address


def _cut(network: Network) -> Network:
    """The network, no smaller than what an answer holds for."""
    most = SCOPE[1 if network.version == 4 else 2]
    return network.supernet(new_prefix=most) if network.prefixlen > most else network


def _network(source: Address) -> Network:
    mapped = getattr(source, "ipv4_mapped", None)
    address = source if mapped is None else mapped
    bits = 24 if address.version == 4 else 48
    if address.version == 4:
        return IPv4Network((address, bits), strict=False)
    return IPv6Network((address, bits), strict=False)

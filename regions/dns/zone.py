"""What a zone holds, packed for the wire once: answers are put together by joining bytes. Pure.

Names: the zone itself and what is steered there; `<region>.<zone>` for one region as it is; the
name servers. Addresses of the zone itself are those of the region that steering names first.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

import dns.exception
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from regions.dns.query import HEADER
from regions.errors import TopologyError
from regions.topology import Topology, is_address

A, NS, SOA, HINFO, TXT, AAAA, SVCB, HTTPS, ANY, CAA = 1, 2, 6, 13, 16, 28, 64, 65, 255, 257
KNOWN = frozenset({A, NS, SOA, TXT, AAAA, SVCB, HTTPS, CAA, ANY})
STEERED = frozenset({A, AAAA, SVCB, HTTPS, TXT})
NEGATIVE_S = 30  # what is not there is remembered so long
REFRESH_S, RETRY_S, EXPIRE_S = 3_600, 600, 604_800
MOST_ADDRESSES = 8  # of one region in one answer
PACKED = 4_096  # different answers that are kept


class Section(NamedTuple):
    """Records as they stand in a message behind the question."""

    answers: int = 0
    authorities: int = 0
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where clients of a region connect."""

    region: str
    addresses: tuple[IPv4Address | IPv6Address, ...]
    ports: tuple[int, ...] = (443,)


@dataclass(frozen=True, slots=True)
class ZoneConfig:
    """A zone, as the topology describes it."""

    name: str  # `relay.example.org`
    entrances: tuple[Entrance, ...]
    nameservers: Mapping[str, Sequence[str]] = field(default_factory=dict)  # host -> addresses
    contact: str = ""  # mailbox as a name; hostmaster.<zone> without
    ttl_s: int = 30
    caa: tuple[str, ...] = ()  # who may issue certificates
    tls: bool = True


class Zone:
    """Answers of one zone.

    Args:
        config: what is in it.
        serial: of its SOA; Unix seconds of now without.

    Raises:
        TopologyError: a name or an address is wrong.
    """

    def __init__(self, config: ZoneConfig, serial: int | None = None) -> None:
        self.config = config
        try:
            self.name = dns.name.from_text(config.name).canonicalize()
            self._contact = dns.name.from_text(config.contact or "hostmaster", self.name)
            self._servers = {
                dns.name.from_text(host, self.name).canonicalize(): [*map(ip_address, addresses)]
                for host, addresses in (config.nameservers or {"ns1": []}).items()
            }
            self._regions = {
                dns.name.from_text(each.region, self.name).canonicalize(): each
                for each in config.entrances
            }
        except (dns.exception.DNSException, ValueError) as error:
            raise TopologyError(f"dns: {error}") from error
        self._entrances = {each.region: each for each in config.entrances}
        self.serial = int(time.time()) if serial is None else serial
        if twice := self._servers.keys() & self._regions.keys():
            raise TopologyError(f"dns: {min(twice)} is a region and a name server")
        self._suffix = _wire(self.name)
        self._wires = {_wire(self.name): self.name}
        for host in (*self._servers, *self._regions):
            name = host
            while name != self.name and name.is_subdomain(self.name):
                self._wires[_wire(name)] = name  # and what is between it and the zone
                name = name.parent()
        self._packed = lru_cache(PACKED)(self._pack)
        names = tuple(each.region for each in config.entrances)
        try:
            for wire in self._wires:
                for qtype in KNOWN:
                    self.section(wire, qtype, names)
        except (dns.exception.DNSException, ValueError) as error:
            raise TopologyError(f"dns: {error}") from error

    def holds(self, name: bytes) -> bool:
        """Whether a name (lower case, as on the wire) is in this zone."""
        if not name.endswith(self._suffix):
            return False
        at = 0
        while at < len(name) - len(self._suffix):
            at += 1 + name[at]
        return at == len(name) - len(self._suffix)

    def exists(self, name: bytes) -> bool:
        """Whether there is anything at a name of this zone."""
        return name in self._wires

    def is_steered(self, name: bytes, qtype: int) -> bool:
        """Whether the answer depends on who asks."""
        return name == self._suffix and qtype in STEERED

    def section(self, name: bytes, qtype: int, order: tuple[str, ...]) -> Section:
        """What is answered; without answers it says that nothing is there.

        Args:
            name: of the zone, lower case, as on the wire.
            qtype: what is asked for.
            order: the regions for who asks, best first; anything where it is not steered.
        """
        if name not in self._wires:  # all that are as long are alike
            return self._packed(_of_length(len(name) - len(self._suffix)) + self._suffix, 0, ())
        if qtype not in KNOWN:
            qtype = 0  # nothing is there, of whatever other type
        return self._packed(name, qtype, order if self.is_steered(name, qtype) else ())

    @property
    def hosts(self) -> list[str]:
        """The names of regions and name servers."""
        return [name.to_text() for name in (*self._regions, *self._servers)]

    def texts(self, name: str, qtype: int, order: tuple[str, ...] = ()) -> list[str]:
        """The records of a type at a name, as a zone file says them."""
        known = dns.name.from_text(name).canonicalize()
        return [text for _, _, texts in self._records(known, qtype, order) for text in texts]

    # --- packing -------------------------------------------------------------------------------

    def _pack(self, name: bytes, qtype: int, order: tuple[str, ...]) -> Section:
        known = self._wires.get(name)
        records = [] if known is None else self._records(known, qtype, order)
        message = dns.message.QueryMessage(id=0)
        asked = known if known is not None else dns.name.from_wire(name, 0)[0]
        message.question.append(
            dns.rrset.RRset(asked, dns.rdataclass.IN, dns.rdatatype.RdataType(qtype))
        )
        for owner, kind, texts in records:
            message.answer.append(self._rrset(owner, kind, texts, self._ttl_s(kind)))
        if not records:
            soa = self._soa()
            message.authority.append(self._rrset(self.name, SOA, [soa], NEGATIVE_S))
        wire = message.to_wire(max_size=65_535)
        counts = HEADER.unpack_from(wire)
        return Section(counts[3], counts[4], wire[HEADER.size + len(name) + 4 :])

    def _ttl_s(self, kind: int) -> int:
        return self.config.ttl_s if kind in STEERED else 3_600

    def _rrset(
        self, owner: dns.name.Name, kind: int, texts: Sequence[str], ttl_s: int
    ) -> dns.rrset.RRset:
        rdatas = [
            dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.RdataType(kind), text)
            for text in texts
        ]
        return dns.rrset.from_rdata_list(owner, ttl_s, rdatas)

    def _records(
        self, name: dns.name.Name, qtype: int, order: tuple[str, ...]
    ) -> list[tuple[dns.name.Name, int, list[str]]]:
        if qtype == ANY:  # RFC 8482
            return [(name, HINFO, ['"RFC8482" ""'])]
        found: list[str] = []
        if name == self.name:
            found = self._apex(qtype, order)
        elif name in self._regions:
            found = self._at(self._regions[name], qtype)
        elif name in self._servers:
            found = _addresses(self._servers[name], qtype)
        return [(name, qtype, found)] if found else []

    def _apex(self, qtype: int, order: tuple[str, ...]) -> list[str]:
        entrances = [self._entrances[name] for name in order if name in self._entrances]
        match qtype:
            case 6:
                return [self._soa()]
            case 2:
                return [name.to_text() for name in self._servers]
            case 257:
                return [f'0 issue "{issuer}"' for issuer in self.config.caa]
            case 16:
                text = f"v=jetrelay1 regions={','.join(order)}"
                parts = [f'"{text[at : at + 255]}"' for at in range(0, len(text), 255)]
                return [" ".join(parts)] if order else []
            case 64 | 65:
                return [
                    text
                    for place, each in enumerate(entrances, 1)
                    for text in self._https(each, place, dns.name.from_text(each.region, self.name))
                ]
            case 1 | 28:
                # The first that has one of that kind.
                found = (_addresses(each.addresses, qtype) for each in entrances)
                return next((texts for texts in found if texts), [])
        return []

    def _at(self, entrance: Entrance, qtype: int) -> list[str]:
        if qtype in (SVCB, HTTPS):
            return self._https(entrance, 1, dns.name.root)
        return _addresses(entrance.addresses, qtype)

    def _https(self, entrance: Entrance, place: int, target: dns.name.Name) -> list[str]:
        if not self.config.tls:
            return []
        return [
            f"{place} {target.to_text()} alpn=http/1.1" + (f" port={port}" if port != 443 else "")
            for port in entrance.ports[:MOST_ADDRESSES]
        ]

    def _soa(self) -> str:
        server = next(iter(self._servers)).to_text()
        times = f"{self.serial} {REFRESH_S} {RETRY_S} {EXPIRE_S} {NEGATIVE_S}"
        return f"{server} {self._contact.to_text()} {times}"


def zone_of(topology: Topology) -> Zone:
    """The zone of a topology.

    Raises:
        TopologyError: a name or an address is wrong, or a region has none.
    """
    settings = topology.dns
    for region in topology.regions:
        if not region.addresses and not is_address(region.bind):
            raise TopologyError(
                f"{topology.where}: regions.{region.name}: addresses are needed for DNS, since "
                f"bind is {region.bind!r}"
            )
    return Zone(
        ZoneConfig(
            settings.zone,
            tuple(
                Entrance(
                    region.name,
                    tuple(ip_address(text) for text in region.addresses or (region.bind,)),
                    (region.port,),
                )
                for region in topology.regions
            ),
            dict(settings.nameservers),
            settings.contact,
            settings.ttl_s,
            settings.caa,
        )
    )


def without_family(topology: Topology) -> str:
    """What to say where some regions have addresses of a family, and some have none; else nothing.

    Who prefers IPv6, and asks for a region that has none, is sent to the next one that has.
    """
    said = []
    for version, family in ((4, "A"), (6, "AAAA")):
        has = {
            region.name: any(
                ip_address(text).version == version for text in region.addresses or (region.bind,)
            )
            for region in topology.regions
        }
        lacking = [name for name, there in has.items() if not there]
        if lacking and any(has.values()):
            said.append(
                f"{', '.join(lacking)} without {family} addresses: clients that want them are sent "
                "to other regions"
            )
    return "; ".join(said)


def _wire(name: dns.name.Name) -> bytes:
    wire = name.to_wire()
    assert wire is not None  # it is only where it is written to a file
    return wire


def _of_length(size: int) -> bytes:
    """Labels that take so many bytes together."""
    labels = b""
    while size > 0:
        length = min(size - 1, 63)
        length -= size - 1 - length == 1  # a label of nothing ends a name
        labels += bytes([length]) + b"\0" * length  # as no name of ours is
        size -= 1 + length
    return labels


def _addresses(addresses: Sequence[IPv4Address | IPv6Address], qtype: int) -> list[str]:
    version = {A: 4, AAAA: 6}.get(qtype)
    return [str(each) for each in addresses if each.version == version][:MOST_ADDRESSES]

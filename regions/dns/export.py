"""The decision of this moment for other name servers: PowerDNS's GeoIP backend, Route 53. Pure.

Both take a table: which networks, or which countries, get which records. What a table can't say is
which of the networks of one place go where when a region takes but a part of them: there they are
as many as they should be, and not the same ones as ours.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Any

import yaml

from regions.dns.zone import AAAA, CAA, HTTPS, NS, SOA, SVCB, TXT, A, Zone
from relay.core.steering import Candidate, Place, Share, Whence, shares
from relay.geo.atlas import Atlas, Network
from relay.geo.countries import COUNTRIES

STEERED = {"a": A, "aaaa": AAAA, "svcb": SVCB, "https": HTTPS, "txt": TXT}
FIXED = {"soa": SOA, "ns": NS, "caa": CAA}
# Of Route 53: 1,000 records and 32,000 characters a batch, each counted twice with UPSERT.
MOST_RECORDS = 300
WEIGHTS = 1_000  # of a name's records of one kind together
UNKNOWN_THERE = frozenset({"BV", "CX", "EH", "HM"})  # countries that it does not know


@dataclass(frozen=True, slots=True)
class Way:
    """Where clients of some networks go: orders of regions, and which share of them each has."""

    orders: tuple[tuple[tuple[str, ...], float], ...]

    @property
    def likeliest(self) -> tuple[str, ...]:
        """The order that most of them get."""
        return max(self.orders, key=lambda each: each[1])[0]


class Decider:
    """Says where the clients of a place go, as the regions are at one moment.

    Args:
        regions: as they are.
    """

    def __init__(self, regions: Sequence[Candidate]) -> None:
        self._regions = regions
        self._known: dict[Place | None, Way] = {}

    def way(self, place: Place | None) -> Way:
        """Where they go; None: it is not known where they are."""
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = _way(shares(self._regions, Whence(place)))
        return known


def _way(given: Sequence[Share]) -> Way:
    names = [each.region for each in given]
    return Way(
        tuple(
            ((each.region, *(name for name in names if name != each.region)), round(each.share, 4))
            for each in given
            if each.share > 0
        )
    )


def ways_of(decider: Decider, atlas: Atlas) -> dict[Way, list[Network]]:
    """The networks that a database knows, by where their clients go; neighbours put together."""
    found: dict[Way, list[Network]] = {}
    for network in atlas.networks():
        place = atlas.find(network.network_address).whence.place
        if place is not None:
            found.setdefault(decider.way(place), []).append(network)
    return {way: _collapsed(networks) for way, networks in found.items()}


def _collapsed(networks: Iterable[Network]) -> list[Network]:
    four = [each for each in networks if isinstance(each, IPv4Network)]
    six = [each for each in networks if isinstance(each, IPv6Network)]
    return [*collapse_addresses(four), *collapse_addresses(six)]


def powerdns(zone: Zone, default: Way, ways: Mapping[Way, Sequence[Network]]) -> str:
    """The zones file of PowerDNS's GeoIP backend, as YAML.

    Each way has records under a name of its own, `way-<n>.<zone>`, to which networks are mapped.

    Args:
        zone: what there is.
        default: where clients go of whom nothing is known.
        ways: where the others go.
    """
    apex = zone.config.name.rstrip(".")
    records: dict[str, list[dict[str, Any]]] = {apex: list(_fixed(zone))}
    for name in _inside(zone):
        owned = [*_texts(zone, name, ("a", "aaaa", "svcb", "https"), ())]
        if owned:
            records[name.rstrip(".")] = [{kind: _plain(kind, text)} for kind, text in owned]
    networks: dict[str, list[str]] = {}
    for number, way in enumerate(dict.fromkeys((default, *ways))):
        name = f"way-{number}.{apex}"
        records[name] = list(_steered(zone, way))
        if way == default:
            networks["default"] = [name]
        for network in ways.get(way, ()):
            networks[str(network)] = [name]
    domain = {
        "domain": apex,
        "ttl": zone.config.ttl_s,
        "records": records,
        "services": {apex: networks},
    }
    return yaml.safe_dump({"domains": [domain]}, sort_keys=False, width=120)


def _fixed(zone: Zone) -> Iterator[dict[str, Any]]:
    for kind, text in _texts(zone, zone.config.name, FIXED, ()):
        yield {kind: {"content": _plain(kind, text), "ttl": 3_600}}


def _steered(zone: Zone, way: Way) -> Iterator[dict[str, Any]]:
    if len(way.orders) == 1:
        for kind, text in _texts(zone, zone.config.name, STEERED, way.likeliest):
            yield {kind: text}
        return
    # Of records with weights one is given out: a region's addresses have its share among them, and
    # what has to come whole is that of most.
    for kind, text in _texts(zone, zone.config.name, ("svcb", "https"), way.likeliest):
        yield {kind: text}
    for order, share in way.orders:
        for kind in ("a", "aaaa", "txt"):
            texts = [text for _, text in _texts(zone, zone.config.name, (kind,), order)]
            for text in texts:
                weight = max(round(share * WEIGHTS / len(texts)), 1)
                yield {kind: {"content": text, "weight": weight}}


def _texts(
    zone: Zone, name: str, kinds: Iterable[str], order: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """What the zone answers of some kinds, each record as text."""
    for kind in kinds:
        for text in zone.texts(name, (STEERED | FIXED)[kind], order):
            yield kind, text


def _plain(kind: str, text: str) -> str:
    """A record's text as PowerDNS's backends hold it: names without the dot at their end."""
    if kind in ("ns", "soa"):
        return " ".join(word.rstrip(".") if word != "." else word for word in text.split(" "))
    return text


def route53(zone: Zone, decider: Decider) -> list[dict[str, Any]]:
    """Change batches for Route 53, of records by country (geolocation routing), and of those of
    each region, which are the same for everybody.

    A country has one answer there: where its clients are to go to several regions, that of most.
    """
    apex = zone.config.name.rstrip(".") + "."
    sets = _regions53(zone)
    places: list[tuple[str, Place | None]] = [("*", None)]
    places += [
        (code, Place(*at)) for code, at in sorted(COUNTRIES.items()) if code not in UNKNOWN_THERE
    ]
    for code, place in places:
        order = decider.way(place).likeliest
        for kind in ("a", "aaaa"):
            texts = [text for _, text in _texts(zone, zone.config.name, (kind,), order)]
            if texts:
                steered = {
                    "SetIdentifier": "default" if code == "*" else code,
                    "GeoLocation": {"CountryCode": code},
                }
                sets.append(_set53(apex, kind, texts, zone.config.ttl_s) | steered)
    batches: list[list[dict[str, Any]]] = [[]]
    records = 0
    for one in sets:
        records += len(one["ResourceRecords"])
        if records > MOST_RECORDS:
            batches.append([])
            records = len(one["ResourceRecords"])
        batches[-1].append({"Action": "UPSERT", "ResourceRecordSet": one})
    comment = "jetrelay: where clients go, by country"
    return [{"Comment": comment, "Changes": changes} for changes in batches]


def _regions53(zone: Zone) -> list[dict[str, Any]]:
    """The addresses of each region and name server, under its own name."""
    found = []
    for name in _inside(zone):
        for kind in ("a", "aaaa"):
            texts = [text for _, text in _texts(zone, name, (kind,), ())]
            if texts:
                found.append(_set53(name.rstrip(".") + ".", kind, texts, zone.config.ttl_s))
    return found


def _set53(name: str, kind: str, texts: Sequence[str], ttl_s: int) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": kind.upper(),
        "TTL": ttl_s,
        "ResourceRecords": [{"Value": text} for text in texts],
    }


def _inside(zone: Zone) -> list[str]:
    """The names of the zone that have addresses; a name server may be outside of it."""
    apex = zone.config.name.rstrip(".")
    return [name for name in zone.hosts if f".{name.rstrip('.')}".endswith(f".{apex}")]

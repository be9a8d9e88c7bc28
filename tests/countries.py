"""Tiny databases of countries and cities, of the prefixes that are reserved for documentation.

And regions to send them to. `python -m tests.countries FILE` writes the one that `demo/` has.
"""

import sys
from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet

COUNTRIES = {
    "192.0.2.0/24": "US",
    "198.51.100.0/24": "DE",
    "203.0.113.0/24": "SG",
    "2001:db8::/32": "FR",
}


def write_countries(path: Path, countries: dict[str, str] | None = None) -> Path:
    """Write a GeoIP2 database of countries; `countries` is network -> code."""
    writer = MMDBWriter(
        ip_version=6, database_type="GeoIP2-Country", ipv4_compatible=True, int_type="u32"
    )
    for network, code in (COUNTRIES if countries is None else countries).items():
        writer.insert_network(IPSet([network]), {"country": {"iso_code": code}})
    writer.to_db_file(str(path))
    return path


# network -> country, latitude, longitude
CITIES = {
    "192.0.2.0/25": ("US", 40.7, -74.0),
    "192.0.2.128/25": ("BR", -23.5, -46.6),
    "198.51.100.0/24": ("DE", 52.5, 13.4),
    "203.0.113.0/24": ("SG", 1.3, 103.8),
    "2001:db8::/33": ("FR", 48.9, 2.4),
}


# More of the world, for tests that need it: of IPv6 there is room in what is reserved.
ABROAD = {
    "2001:db8:1000::/36": ("BR", -23.5, -46.6),
    "2001:db8:2000::/36": ("IN", 19.1, 72.9),
    "2001:db8:3000::/36": ("JP", 35.7, 139.7),
}


# Three regions, each nearest to one of the networks, for a topology file.
REGIONS = """
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


def write_cities(path: Path, kind: str = "GeoIP2-City", *, abroad: bool = False) -> Path:
    """Write a GeoIP2 database of cities; 2001:db8:8000::/33 has a country and no place."""
    writer = MMDBWriter(ip_version=6, database_type=kind, ipv4_compatible=True, int_type="u32")
    for network, (code, lat, lon) in (CITIES | (ABROAD if abroad else {})).items():
        place = {"latitude": lat, "longitude": lon}
        writer.insert_network(IPSet([network]), {"country": {"iso_code": code}, "location": place})
    writer.insert_network(IPSet(["2001:db8:8000::/33"]), {"country": {"iso_code": "JP"}})
    writer.to_db_file(str(path))
    return path


if __name__ == "__main__":
    write_cities(Path(sys.argv[1]), abroad=True)

"""A tiny database of countries, made of the prefixes that are reserved for documentation."""

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

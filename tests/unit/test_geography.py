"""Where clients are: addresses behind proxies, and their countries."""

import os
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from relay.core.device import plain
from relay.edge.geography import Geography, network_of
from relay.errors import ConfigError
from tests.countries import write_countries


def test_an_address_has_the_country_of_its_network(tmp_path: Path) -> None:
    where = Geography(write_countries(tmp_path / "c.mmdb"))
    for address, country in (
        ("192.0.2.9", "US"),
        ("198.51.100.255", "DE"),
        ("2001:db8::1", "FR"),
        ("127.0.0.1", "ZZ"),
        ("no address", "ZZ"),
        ("", "ZZ"),
    ):
        assert where.country(address) == country
    where.close()
    assert Geography().country("192.0.2.9") == "ZZ"


def test_a_code_that_is_none_is_unknown(tmp_path: Path) -> None:
    path = write_countries(tmp_path / "c.mmdb", {"192.0.2.0/24": "x\ny"})
    assert Geography(path).country("192.0.2.1") == "ZZ"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["forged"], "forged"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_a_header_is_believed_as_far_as_proxies_are_trusted(
    peer: str, forwarded: list[str], address: str
) -> None:
    assert Geography(proxies=["10.0.0.0/8"]).address(peer, forwarded) == address


async def test_a_new_database_counts_at_the_next_look_and_a_bad_one_changes_nothing(
    tmp_path: Path,
) -> None:
    path = write_countries(tmp_path / "c.mmdb")
    where = Geography(path)
    write_countries(tmp_path / "new", {"192.0.2.0/24": "JP"}).replace(path)
    os.utime(path, (1, 1))
    await where.atlas.refresh()
    assert where.country("192.0.2.1") == "JP"
    path.write_bytes(b"")  # in place, as `scp` does it: what is mapped must not shrink
    await where.atlas.refresh()
    assert where.country("192.0.2.1") == "JP"
    (tmp_path / "bad").write_text("no database")
    (tmp_path / "bad").replace(path)
    await where.atlas.refresh()
    assert where.country("192.0.2.1") == "JP"
    path.unlink()
    await where.atlas.refresh()
    assert where.country("192.0.2.1") == "JP"


def test_what_is_no_database_of_countries_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"geoip: .*none\.mmdb: No such file"):
        Geography(tmp_path / "none.mmdb")
    (tmp_path / "text").write_text("text")
    with pytest.raises(ConfigError, match="is no GeoIP2 database"):
        Geography(tmp_path / "text")
    writer = MMDBWriter(database_type="GeoLite2-ASN", int_type="u32")
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"autonomous_system_number": 64496})
    writer.to_db_file(str(tmp_path / "asn.mmdb"))
    with pytest.raises(ConfigError, match="of type GeoLite2-ASN: countries or cities"):
        Geography(tmp_path / "asn.mmdb")
    with pytest.raises(ConfigError, match=r"trusted_proxies: '10\.0\.0\.1/8' is no network"):
        Geography(proxies=["10.0.0.1/8"])


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("no address", ""),
        ("", ""),
    ],
)
def test_an_operator_sees_a_network_and_nobody_in_it(address: str, network: str) -> None:
    assert network_of(address) == network


def test_an_agent_is_plain_text() -> None:
    assert plain("curl/8\x1b[2J\u202eä " + "x" * 99) == "curl/8[2J " + "x" * 51

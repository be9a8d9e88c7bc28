"""Where client networks are, by databases of cities, of countries, or none."""

import os
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from relay.core.steering import Place, Whence
from relay.errors import ConfigError
from relay.geo.atlas import Atlas, Origin
from relay.geo.countries import COUNTRIES
from tests.countries import write_cities, write_countries


def find(atlas: Atlas, address: str) -> Origin:
    return atlas.find(ip_address(address))


def test_a_city_is_a_place_and_a_country_without_one_is_somewhere_in_it(tmp_path: Path) -> None:
    atlas = Atlas(write_cities(tmp_path / "cities.mmdb"))
    berlin = find(atlas, "198.51.100.7")
    assert berlin == Origin(ip_network("198.51.100.0/24"), Whence(Place(52.5, 13.4)), "DE", "DE")
    assert find(atlas, "::ffff:198.51.100.7") == berlin
    paris = find(atlas, "2001:db8:1:2::3")
    assert (paris.network, paris.country) == (ip_network("2001:db8:1::/48"), "FR")
    japan = find(atlas, "2001:db8:8000::1")
    assert (japan.whence.place, japan.how) == (Place(35.5, 138), "somewhere in JP")
    nowhere = find(atlas, "8.8.8.8")
    assert nowhere == Origin(
        ip_network("8.8.8.0/24"), Whence(), how="the database does not know it"
    )
    atlas.close()


def test_a_database_of_enterprises_is_one_of_cities(tmp_path: Path) -> None:
    atlas = Atlas(write_cities(tmp_path / "cities.mmdb", "GeoIP2-Enterprise"))
    assert find(atlas, "198.51.100.7").whence.place == Place(52.5, 13.4)
    atlas.close()


def test_of_a_database_of_countries_the_middle_of_a_country_is_taken(tmp_path: Path) -> None:
    atlas = Atlas(write_countries(tmp_path / "countries.mmdb"))
    assert find(atlas, "192.0.2.1").whence.place == Place(*COUNTRIES["US"])
    atlas.close()


async def test_without_a_database_nobody_is_anywhere() -> None:
    atlas = Atlas(None)
    assert find(atlas, "192.0.2.1").whence == Whence()
    assert not await atlas.refresh()
    atlas.close()


async def test_a_new_file_is_read_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    path = write_countries(tmp_path / "places.mmdb", {"192.0.2.0/24": "US"})
    atlas = Atlas(path)
    assert not await atlas.refresh()
    path.write_bytes(b"half of it")
    assert not await atlas.refresh()
    assert find(atlas, "192.0.2.1").country == "US"
    write_countries(tmp_path / "new.mmdb", {"192.0.2.0/24": "DE"}).replace(path)
    os.utime(path, (1, 1))
    assert await atlas.refresh()
    assert find(atlas, "192.0.2.1").country == "DE"
    path.unlink()
    assert not await atlas.refresh()
    assert find(atlas, "192.0.2.1").country == "DE"
    atlas.close()


def test_what_is_no_database_of_places_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Atlas(tmp_path / "none.mmdb")
    (tmp_path / "text.mmdb").write_text("text")
    with pytest.raises(ConfigError, match="is no GeoIP2 database"):
        Atlas(tmp_path / "text.mmdb")


def test_every_country_is_on_the_earth() -> None:
    assert len(COUNTRIES) == 250
    assert all(-90 <= lat <= 90 and -180 <= lon <= 180 for lat, lon in COUNTRIES.values())

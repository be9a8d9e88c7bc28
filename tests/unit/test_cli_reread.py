"""Topology files that are read again, and where the database of places is meanwhile."""

import os
from pathlib import Path

import pytest

from cli.reread import TopologyFile
from regions.errors import TopologyError

REGIONS = "".join(f'[[regions]]\nname = "{name}"\nedges = 1\n' for name in ("us", "eu"))
PLACES = '[clients]\ngeoip = "cities.mmdb"\n'


def write(path: Path, text: str) -> None:
    """Write it, so that it is seen to be another one."""
    path.write_text(text)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))


def test_it_is_read_again_where_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "topology.toml"
    write(path, REGIONS)
    file = TopologyFile(path)
    assert file.again() is None
    write(path, REGIONS + '[dns]\nzone = "relay.example"\n')
    found = file.again()
    assert found is not None
    assert found.dns.zone == "relay.example"
    write(path, "nonsense")
    with pytest.raises(TopologyError):
        file.again()
    assert file.again() is None, "it is said once"


def test_the_database_is_where_the_world_says(tmp_path: Path) -> None:
    """Files of a deployment stand elsewhere than beside the topology that it was rendered from."""
    path, places = tmp_path / "dns" / "topology.toml", tmp_path / "geoip" / "cities.mmdb"
    path.parent.mkdir()
    write(path, PLACES + REGIONS)
    with pytest.raises(TopologyError, match=r"clients\.geoip: no file"):
        TopologyFile(path)
    places.parent.mkdir()
    places.touch()
    file = TopologyFile(path, str(places))
    assert file.first.clients.geoip == str(places)
    write(path, PLACES + REGIONS + '[dns]\nzone = "relay.example"\n')
    again = file.again()
    assert again is not None
    assert again.clients.geoip == str(places)
    places.unlink()
    with pytest.raises(TopologyError, match=r"clients\.geoip: no file .*cities\.mmdb"):
        TopologyFile(path, str(places))

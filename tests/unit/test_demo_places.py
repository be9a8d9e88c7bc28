"""The database of places in `demo/` is what `tests.countries` writes, and its regions are found."""

from ipaddress import ip_address, ip_network
from pathlib import Path

from regions.topology_file import builtin_topology, load_topology
from relay.core.steering import Candidate, Place, State, Verdict, shares
from relay.geo.atlas import Atlas
from tests.countries import ABROAD, CITIES

DEMO = Path(__file__).parents[2] / "demo" / "places.toml"
WELL = Verdict(State.OK, "all edges are ready", admits=True)


def test_its_regions_are_those_of_the_default_world() -> None:
    demo, usual = load_topology(DEMO), builtin_topology("three")
    assert [(one.name, len(one.edges)) for one in demo.regions] == [
        (one.name, len(one.edges)) for one in usual.regions
    ]
    assert all(one.addresses for one in demo.regions)


def test_each_network_has_its_place_and_goes_to_the_nearest_region() -> None:
    topology = load_topology(DEMO)
    assert topology.clients.geoip is not None
    atlas = Atlas(Path(topology.clients.geoip))
    regions = [Candidate(one.name, Place(one.lat, one.lon), WELL) for one in topology.regions]
    nearest = {}
    for network, (country, lat, lon) in (CITIES | ABROAD).items():
        found = atlas.find(ip_address(ip_network(network).network_address + 1))
        assert (found.country, found.whence.place) == (country, Place(lat, lon))
        nearest[network] = shares(regions, found.whence)[0].region
    assert nearest["192.0.2.0/25"] == "us"
    assert nearest["198.51.100.0/24"] == "eu"
    assert nearest["203.0.113.0/24"] == "ap"
    atlas.close()

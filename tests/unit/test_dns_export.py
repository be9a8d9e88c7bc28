"""The decision as tables for other name servers."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import yaml

from regions.dns.export import MOST_RECORDS, Decider, Way, powerdns, route53, ways_of
from regions.dns.zone import Entrance, Zone, ZoneConfig
from relay.core.steering import Candidate, Place, State, Verdict
from relay.geo.atlas import Atlas
from tests.countries import write_cities

OK = Verdict(State.OK, "ready", admits=True)
DOWN = Verdict(State.DOWN, "gone", admits=False)
US = Candidate("us", Place(39.0, -77.5), OK, 10, 1_000)
EU = Candidate("eu", Place(50.1, 8.7), OK, 10, 1_000)
ZONE = Zone(
    ZoneConfig(
        "relay.test",
        (
            Entrance("us", (ip_address("192.0.2.1"), ip_address("2001:db8::1"))),
            Entrance("eu", (ip_address("192.0.2.2"),)),
        ),
    ),
    serial=7,
)


def domain(*regions: Candidate, atlas: Atlas) -> Any:
    decider = Decider(regions)
    text = powerdns(ZONE, decider.way(None), ways_of(decider, atlas))
    return yaml.safe_load(text)["domains"][0]


def test_networks_that_go_the_same_way_are_one_name_and_neighbours_one_entry(
    tmp_path: Path,
) -> None:
    atlas = Atlas(write_cities(tmp_path / "c.mmdb"))
    found = ways_of(Decider([US, EU]), atlas)
    assert {way.likeliest[0]: networks for way, networks in found.items()} == {
        "us": [ip_network("192.0.2.0/24")],
        "eu": [
            ip_network("198.51.100.0/24"),
            ip_network("203.0.113.0/24"),
            ip_network("2001:db8::/32"),
        ],
    }
    table = domain(US, EU, atlas=atlas)
    services = table["services"]["relay.test"]
    assert set(services) == {
        "default", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32",
    }  # fmt: skip
    (name,) = services["198.51.100.0/24"]
    assert {"a": "192.0.2.2"} in table["records"][name]
    assert {"aaaa": "2001:db8::1"} in table["records"][name], "of the first that has one"


def test_a_part_is_a_weight_and_what_is_down_is_not_there(tmp_path: Path) -> None:
    atlas = Atlas(write_cities(tmp_path / "c.mmdb"))
    eu = Candidate("eu", EU.place, OK, 10, 1_000, weight=30)
    table = domain(US, eu, atlas=atlas)
    (name,) = table["services"]["relay.test"]["198.51.100.0/24"]
    addresses = [record["a"] for record in table["records"][name] if "a" in record]
    assert addresses == [
        {"content": "192.0.2.2", "weight": 300},
        {"content": "192.0.2.1", "weight": 700},
    ]
    gone = domain(US, Candidate("eu", EU.place, DOWN, 0, 0), atlas=atlas)
    (name,) = gone["services"]["relay.test"]["198.51.100.0/24"]
    assert [record["a"] for record in gone["records"][name] if "a" in record] == ["192.0.2.1"]
    assert {"a": "192.0.2.2"} in gone["records"]["eu.relay.test"], "by its own name it is"


def test_route_53_has_an_answer_for_each_country_and_one_for_all_others() -> None:
    batches = route53(ZONE, Decider([US, EU]))
    given = [[one["ResourceRecordSet"] for one in batch["Changes"]] for batch in batches]
    assert all(sum(len(one["ResourceRecords"]) for one in each) <= MOST_RECORDS for each in given)
    steered = [one for each in given for one in each if one["Name"] == "relay.test."]
    sets = {(one["SetIdentifier"], one["Type"]): one for one in steered}
    assert len(sets) == len(steered)
    assert "BV" not in {country for country, _ in sets}, "Route 53 does not know it"
    assert sets["DE", "A"]["ResourceRecords"] == [{"Value": "192.0.2.2"}]
    assert sets["BR", "A"]["ResourceRecords"] == [{"Value": "192.0.2.1"}]
    assert sets["default", "A"]["GeoLocation"] == {"CountryCode": "*"}
    # By its own name a region is the same for everybody: that is how edges call themselves.
    own = [one for each in given for one in each if one["Name"] != "relay.test."]
    assert [(one["Name"], one["Type"], one["ResourceRecords"]) for one in own] == [
        ("us.relay.test.", "A", [{"Value": "192.0.2.1"}]),
        ("us.relay.test.", "AAAA", [{"Value": "2001:db8::1"}]),
        ("eu.relay.test.", "A", [{"Value": "192.0.2.2"}]),
    ]
    assert not any("SetIdentifier" in one or "GeoLocation" in one for one in own)


def test_where_most_go_is_the_likeliest_way() -> None:
    assert Way(((("us", "eu"), 0.3), (("eu", "us"), 0.7))).likeliest == ("eu", "us")


def test_a_name_server_outside_of_the_zone_is_written_nowhere() -> None:
    config = replace(
        ZONE.config,
        nameservers={"ns.other.example.": ("192.0.2.9",), "ns1": ("192.0.2.53",)},
    )
    zone = Zone(config, serial=7)
    decider = Decider([US, EU])
    changes = [one for batch in route53(zone, decider) for one in batch["Changes"]]
    names = {one["ResourceRecordSet"]["Name"] for one in changes}
    assert names == {"relay.test.", "us.relay.test.", "eu.relay.test.", "ns1.relay.test."}
    text = powerdns(zone, decider.way(None), {})
    assert "ns.other.example" not in yaml.safe_load(text)["domains"][0]["records"]


def test_no_batch_is_larger_than_route_53_takes() -> None:
    entrances = tuple(
        Entrance(f"r{n}", tuple(ip_address(f"198.51.{n}.{k}") for k in range(1, 30)))
        for n in range(16)
    )
    regions = [Candidate(each.region, Place(0.0, 10.0 * n), OK) for n, each in enumerate(entrances)]
    batches = route53(Zone(ZoneConfig("relay.test", entrances), serial=1), Decider(regions))
    sizes = [
        sum(len(one["ResourceRecordSet"]["ResourceRecords"]) for one in batch["Changes"])
        for batch in batches
    ]
    assert max(sizes) <= MOST_RECORDS
    assert sum(sizes) > 16 * 29

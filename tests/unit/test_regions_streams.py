"""The table of streams, and how a region differs from it."""

from typing import Any

import msgspec
import pytest

from regions.streams import Change, Declared, Difference, compare, declare, extras, merged
from regions.topology_file import builtin_topology

THREE = builtin_topology("three")


def table(region: str = "us") -> dict[str, Declared]:
    """The declared entries of a region, by name."""
    return {entry.name: entry for entry in declare(THREE, THREE.region(region))}


def as_the_server_says(entry: Declared, **more: Any) -> dict[str, Any]:
    """The declared configuration with what the server adds."""
    config: dict[str, Any] = msgspec.to_builtins(entry.config)
    config = {key: value for key, value in config.items() if value not in (0, False, "")}
    metadata = config.get("metadata", {}) | {"_nats.ver": "2.15.1"}
    return {**config, "metadata": metadata, "max_consumers": -1, "deny_delete": False, **more}


def test_a_region_has_its_streams_a_consumer_for_each_mirror_elsewhere_and_its_mirrors() -> None:
    names = [(entry.step, entry.name) for entry in declare(THREE, THREE.region("us"))]
    assert names == [
        ("home", "EV_us"),
        ("home", "REC_us"),
        ("home", "LOG_us"),
        ("home", "MIN_us"),
        ("home", "OPS_us"),
        ("home", "TELE"),
        ("home", "LEASE"),
        ("home", "SIGNAL"),
        ("home", "EV_us/MIR_EV_us_to_eu"),
        ("home", "EV_us/MIR_EV_us_to_ap"),
        ("home", "REC_us/MIR_REC_us_to_eu"),
        ("home", "REC_us/MIR_REC_us_to_ap"),
        ("home", "LOG_us/MIR_LOG_us_to_eu"),
        ("home", "LOG_us/MIR_LOG_us_to_ap"),
        ("home", "MIN_us/MIR_MIN_us_to_eu"),
        ("home", "MIN_us/MIR_MIN_us_to_ap"),
        ("home", "OPS_us/MIR_OPS_us_to_eu"),
        ("home", "OPS_us/MIR_OPS_us_to_ap"),
        ("mirror", "EV_eu"),
        ("mirror", "REC_eu"),
        ("mirror", "LOG_eu"),
        ("mirror", "MIN_eu"),
        ("mirror", "OPS_eu"),
        ("mirror", "EV_ap"),
        ("mirror", "REC_ap"),
        ("mirror", "LOG_ap"),
        ("mirror", "MIN_ap"),
        ("mirror", "OPS_ap"),
    ]


def test_a_mirror_is_republished_into_its_own_region_and_never_answers_for_the_origin() -> None:
    config = as_the_server_says(table()["EV_eu"], mirror_direct=False)
    assert config["republish"] == {"src": "ev.eu.>", "dest": "live.us.eu.>"}
    assert config["mirror"] == {
        "name": "EV_eu",
        "external": {"api": "$JS.eu.API", "deliver": ""},
        "consumer": {"name": "MIR_EV_eu_to_us", "deliver_subject": "mirror.EV_eu.us"},
    }
    assert "subjects" not in config


def test_copies_follow_the_number_of_servers() -> None:
    topology = builtin_topology("three-by-three")
    configs = [msgspec.to_builtins(e.config) for e in declare(topology, topology.region("eu"))]
    assert {config["num_replicas"] for config in configs if "num_replicas" in config} == {3}


@pytest.mark.parametrize("name", list(table()))
def test_what_the_server_adds_or_leaves_out_is_no_difference(name: str) -> None:
    entry = table()[name]
    assert compare(entry, as_the_server_says(entry)) is None


def test_what_is_missing_is_created() -> None:
    assert compare(table()["LEASE"], None) == Change("us", "LEASE", "create")


def test_each_key_that_differs_is_named_old_and_new() -> None:
    entry = table()["EV_us"]
    actual = as_the_server_says(entry, max_age=60, republish={"src": "ev.us.>", "dest": "x.>"})
    change = compare(entry, actual)
    assert change is not None
    assert change.action == "update"
    assert change.differences == [
        Difference("max_age", "60", "86400000000000"),
        Difference("republish.dest", '"x.>"', '"live.us.us.>"'),
    ]
    assert str(change) == (
        'us: update EV_us (max_age 60 -> 86400000000000, republish.dest "x.>" -> "live.us.us.>")'
    )


def test_the_epoch_is_set_once_and_never_again() -> None:
    entry = table()["EV_us"]
    actual = as_the_server_says(entry, metadata={"epoch": "5", "_nats.ver": "2.15.1"})
    assert compare(entry, actual) is None
    assert merged(entry, actual)["metadata"] == {"epoch": "5"}
    without = compare(entry, as_the_server_says(entry, metadata={"_nats.ver": "2.15.1"}))
    assert without is not None
    assert without.differences == [Difference("metadata.epoch", "null", '"1"')]


def test_an_update_keeps_what_is_not_declared() -> None:
    entry = table()["EV_us"]
    sent = merged(entry, as_the_server_says(entry, description="ours", max_age=60))
    assert sent["description"] == "ours"
    assert sent["max_age"] == 86_400_000_000_000


def test_what_nobody_declared_is_shown_and_left_alone() -> None:
    found = {"EV_us": ["MIR_EV_us_to_eu", "mine"], "OTHER": []}
    changes = extras("us", list(table().values()), found)
    assert [str(change) for change in changes] == ["us: extra EV_us/mine", "us: extra OTHER"]

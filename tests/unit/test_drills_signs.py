"""What telemetry shows of trouble, and when a world is as before."""

from typing import Any

import pytest

from regions.drills.signs import Watchman
from relay.core.telemetry import EdgeFrame

NOW_S = 100.0


def watchman(at_s: float = NOW_S - 0.1, **said: Any) -> Watchman:
    """It heard one edge."""
    base: dict[str, Any] = {
        "region": "us", "edge": "us-1", "epoch": 1, "frame": 1, "at_ms": 0, "url": "ws://x",
        "version": "0", "state": "ready", "nats_connected": True, "connections": 0, "sessions": 0,
        "rooms": 0, "lag_ms": {"us": 5.0, "eu": 80.0}, "mirrors": {"eu": "current"},
    }  # fmt: skip
    one = Watchman()
    one.hear(at_s, EdgeFrame(**base | said))
    return one


def test_a_world_is_well_when_every_origin_was_heard_since_it_was_healed() -> None:
    assert watchman().unwell(NOW_S) is None
    assert watchman().unwell(NOW_S, NOW_S - 1) is None
    assert watchman().unwell(NOW_S, NOW_S - 0.12) == "us has heard nothing of eu since"
    quiet = watchman(lag_ms={"us": 2_500.0, "eu": 80.0})
    assert quiet.unwell(NOW_S, NOW_S - 2) == "us has heard nothing of us since"
    assert quiet.unwell(NOW_S, NOW_S - 3) is None
    assert watchman(lag_ms={"us": None}).unwell(NOW_S, NOW_S - 9) is not None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"state": "cut_off"}, "us-1 is cut_off"),
        ({"nats_connected": False}, "us-1 has lost its NATS"),
        ({"mirrors": {"eu": "wedged"}}, "the mirror of eu in us is wedged"),
        ({"alarms": ["eu diverged"]}, "eu diverged"),
        ({"lag_ms": {"eu": 3_100.0}}, "us last heard eu 3.1 s ago"),
    ],
)
def test_what_is_wrong_is_named(said: dict[str, Any], why: str) -> None:
    assert watchman(**said).unwell(NOW_S) == why


@pytest.mark.parametrize("state", ["cordoned", "drained"])
def test_what_an_operator_wants_is_nothing_wrong(state: str) -> None:
    assert watchman(state=state).unwell(NOW_S) is None


def test_an_edge_that_is_not_heard_since_is_not_well() -> None:
    assert watchman(NOW_S - 3).unwell(NOW_S) == "nothing is heard of us-1"
    assert watchman(NOW_S - 1).unwell(NOW_S, NOW_S - 0.5) == "nothing is heard of us-1"

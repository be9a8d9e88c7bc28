"""Why a region is not ok: edges that fail, mirrors that hear nothing, clocks that are off."""

from collections.abc import Mapping

import pytest

from console.model import Fleet, FleetView, Link, LinkState, change_link, fold, observe
from tests.unit.test_console_fold import frame

EDGES = ("us-1", "us-2", "eu-1")


def heard(at_ms: int = 0, **edges: Mapping[str, object]) -> Fleet:
    """A fleet in which each edge said something now; `us_1={…}`: what is not as usual."""
    fleet = change_link(Fleet(), Link(LinkState.CONNECTED, 0, "us"))
    for name in EDGES:
        values = {"lag_ms": {"us": 5.0, "eu": 40.0}} | dict(edges.get(name.replace("-", "_"), {}))
        fleet = fold(fleet, frame(1, region=name[:2], edge=name, **values), at_ms)
    return fleet


def said(view: FleetView, region: str) -> tuple[str, str]:
    found = next(each for each in view.regions if each.name == region)
    return found.state, found.reason


def test_a_mirror_that_hears_nothing_of_its_origin_is_named_before_its_lag_is_large() -> None:
    cut = {"mirrors": {"us": "cut"}, "lag_ms": {"us": 900.0, "eu": 5.0}}
    assert said(observe(heard(eu_1=cut), 0), "eu") == ("degraded", "hears nothing of us")
    current = {"mirrors": {"us": "current"}, "lag_ms": {"us": 900.0, "eu": 5.0}}
    assert said(observe(heard(eu_1=current), 0), "eu") == ("ok", "")


def test_an_edge_that_starts_has_not_heard_of_mirrors_yet() -> None:
    fleet = heard(
        us_1={"state": "ready", "mirrors": {"eu": "current"}},
        us_2={"state": "starting", "mirrors": {"eu": "cut"}},
    )
    view = observe(fleet, 0)
    assert view.lag["eu", "us"].mirror == "current"
    assert said(view, "us") == ("degraded", "us-2 starting")


def test_a_region_that_does_not_hear_its_own_events_is_not_ok() -> None:
    late = {"lag_ms": {"us": 2_500.0, "eu": 40.0}}
    view = observe(heard(us_1=late, us_2=late), 0)
    assert said(view, "us") == ("degraded", "its own events are late")


def test_an_edge_that_can_not_store_is_named_with_its_next_frame() -> None:
    fleet = heard()
    failing = frame(2, edge="us-1", publishes_failed=3, lag_ms={"us": 5.0, "eu": 40.0})
    view = observe(fold(fleet, failing, 1_000), 1_000)
    assert said(view, "us") == ("degraded", "us-1 can't store what is published")
    well = frame(3, edge="us-1", publishes_failed=3, lag_ms={"us": 5.0, "eu": 40.0})
    assert said(observe(fold(fold(fleet, failing, 1_000), well, 2_000), 2_000), "us") == ("ok", "")


def ticking(seconds: int, edge: str, off_ms: int, late_ms: int = 0) -> Fleet:
    """Frames of a fleet in which one edge's clock is off, and its frames come late."""
    fleet = change_link(Fleet(), Link(LinkState.CONNECTED, 0, "us"))
    for second in range(1, seconds + 1):
        for name in EDGES:
            mine = name == edge
            stamp = frame().at_ms + second * 1000 + (off_ms if mine else 0)
            # What it reads is stamped by others.
            lag = {"us": max(5.0, off_ms) if mine else 5.0, "eu": 40.0}
            fleet = fold(
                fleet,
                frame(second, region=name[:2], edge=name, at_ms=stamp, lag_ms=lag),
                second * 1000 + (late_ms if mine and second < seconds else 0),
            )
    return fleet


@pytest.mark.parametrize(
    ("off_ms", "words"), [(300_000, "300 s ahead"), (-300_000, "300 s behind")]
)
def test_a_clock_that_is_off_is_named_and_what_it_measures_left_out(
    off_ms: int, words: str
) -> None:
    view = observe(ticking(8, "eu-1", off_ms), 8_200)
    assert said(view, "eu") == ("degraded", f"eu-1 has a clock {words}")
    eu_1 = next(edge for edge in view.edges if edge.name == "eu-1")
    assert (eu_1.state, eu_1.age_ms, eu_1.clock_off_ms) == ("ready", 200, off_ms)
    assert view.lag["us", "eu"].lag_ms is None, "nobody else there reads it"
    assert said(view, "us") == ("ok", "")
    assert view.worst_lag is not None
    assert view.worst_lag.lag_ms == 40.0


def test_frames_that_a_link_held_back_say_nothing_of_a_clock() -> None:
    assert said(observe(ticking(8, "eu-1", 0, late_ms=900), 8_200), "eu") == ("ok", "")
    delayed = ticking(8, "us-2", 0)
    for number in range(9, 13):  # for four seconds they come 6 s late
        held = frame(number, edge="us-2", at_ms=frame().at_ms + number * 1000)
        delayed = fold(delayed, held, number * 1000 + 6_000)
    assert observe(delayed, 18_000).edges[1].clock_off_ms == 0


def test_of_two_edges_nobody_knows_whose_clock_is_right() -> None:
    fleet = Fleet()
    for name, ahead_ms in (("us-1", 0), ("us-2", 60_000)):
        fleet = fold(fleet, frame(1, edge=name, at_ms=frame().at_ms + ahead_ms), 0)
    assert {edge.clock_off_ms for edge in observe(fleet, 0).edges} == {0}

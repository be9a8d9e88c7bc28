"""What the console says of a fleet at a time: ages, silence, reasons, lag."""

import pytest

from console.model import (
    Fleet,
    FleetView,
    Freshness,
    LagLevel,
    Link,
    LinkState,
    change_link,
    expect,
    fold,
    observe,
)
from console.views.lag import matrix_cell
from tests.unit.test_console_fold import frame


def listening(since_ms: int = 0) -> Fleet:
    return change_link(Fleet(), Link(LinkState.CONNECTED, since_ms, "us"))


def edge_state(fleet: Fleet, now_ms: int) -> str:
    return observe(fleet, now_ms).edges[0].state


def heard_at(*arrivals: tuple[int, dict[str, object]]) -> Fleet:
    fleet = listening()
    for number, (at_ms, changes) in enumerate(arrivals, 1):
        fleet = fold(fleet, frame(number, **changes), at_ms)
    return fleet


@pytest.mark.parametrize(
    ("age_ms", "freshness"),
    [
        (0, Freshness.LIVE),
        (3_000, Freshness.LIVE),
        (3_001, Freshness.STALE),
        (10_000, Freshness.STALE),
        (10_001, Freshness.GONE),
    ],
)
def test_values_age(age_ms: int, freshness: Freshness) -> None:
    edge = observe(heard_at((0, {})), age_ms).edges[0]
    assert edge.freshness is freshness
    assert (edge.connections is None) == (freshness is Freshness.GONE)
    assert edge.age_ms == age_ms


def test_an_edge_that_fell_silent_is_dark_and_its_region_says_why() -> None:
    fleet = expect(heard_at((0, {}), (60_000, {"edge": "us-2"})), "us")
    view = observe(fleet, 60_500)
    assert [edge.state for edge in view.edges] == ["dark", "ready"]
    assert (view.regions[0].state, view.regions[0].reason) == ("degraded", "us-1 dark")
    assert view.regions[0].connections == 10


def test_a_silent_region_is_dark() -> None:
    region = observe(heard_at((0, {})), 11_000).regions[0]
    assert (region.state, region.connections, region.rates) == ("dark", None, None)
    assert region.age_ms == 11_000


def test_a_known_region_is_unknown_until_the_console_has_listened_for_long_enough() -> None:
    fleet = expect(listening(since_ms=5_000), "eu", ["eu-1"])
    assert edge_state(fleet, 15_000) == "unknown"
    assert edge_state(fleet, 15_001) == "dark"
    assert observe(fleet, 15_000).regions[0].reason == "nothing heard yet"


def test_without_a_link_silence_says_nothing_of_the_edge() -> None:
    fleet = change_link(heard_at((0, {})), Link(LinkState.LOST, 500, "us"))
    assert edge_state(fleet, 9_000) == "ready"
    assert edge_state(fleet, 60_000) == "unknown"
    assert observe(fleet, 60_000).regions[0].reason == "no link"


def test_after_the_link_is_back_an_edge_has_time_to_speak() -> None:
    fleet = change_link(heard_at((0, {})), Link(LinkState.CONNECTED, 50_000, "eu"))
    assert edge_state(fleet, 59_000) == "unknown"
    assert edge_state(fleet, 60_001) == "dark"


@pytest.mark.parametrize("state", ["starting", "draining", "full"])
def test_a_region_is_degraded_while_an_edge_is_not_ready(state: str) -> None:
    region = observe(heard_at((0, {"state": state})), 0).regions[0]
    assert (region.state, region.reason) == ("degraded", f"us-1 {state}")


def test_a_region_whose_edges_are_all_cut_off_says_so() -> None:
    assert observe(heard_at((0, {"state": "cut_off"})), 0).regions[0].state == "cut_off"


def lag_view(*lags: float | None, now_ms: int = 0) -> FleetView:
    fleet = listening()
    for number, lag in enumerate(lags):
        heard = frame(1, region="eu", edge=f"eu-{number}", lag_ms={"us": lag, "eu": 2.0})
        fleet = fold(fleet, heard, 0)
    return observe(fleet, now_ms)


@pytest.mark.parametrize(
    ("lag", "level"),
    [
        (0.0, LagLevel.OK),
        (1_000.0, LagLevel.OK),
        (1_000.1, LagLevel.WARN),
        (3_000.0, LagLevel.WARN),
        (3_000.1, LagLevel.BAD),
        (None, LagLevel.NONE),
    ],
)
def test_lag_levels(lag: float | None, level: LagLevel) -> None:
    assert lag_view(lag).lag["us", "eu"].level is level


def test_the_matrix_takes_the_best_of_a_regions_edges() -> None:
    assert lag_view(900.0, 40.0, None).lag["us", "eu"].lag_ms == 40.0


def test_a_stale_reading_counts_only_without_a_fresh_one() -> None:
    fleet = fold(listening(), frame(1, region="eu", edge="eu-1", lag_ms={"us": 5.0}), 0)
    fleet = fold(fleet, frame(1, region="eu", edge="eu-2", lag_ms={"us": 700.0}), 5_000)
    assert observe(fleet, 5_000).lag["us", "eu"].lag_ms == 700.0
    alone = fold(listening(), frame(1, region="eu", edge="eu-1", lag_ms={"us": 5.0}), 0)
    cell = observe(alone, 5_000).lag["us", "eu"]
    assert (cell.lag_ms, cell.age_ms) == (5.0, 5_000)


def test_every_pair_has_a_cell_also_without_a_figure() -> None:
    view = lag_view(5.0)
    assert set(view.lag) == {("us", "us"), ("us", "eu"), ("eu", "us"), ("eu", "eu")}
    assert view.lag["eu", "us"].lag_ms is None


def test_the_worst_lag_is_that_of_a_pair_not_of_a_home() -> None:
    fleet = fold(listening(), frame(1, lag_ms={"us": 9_000.0, "eu": 30.0}), 0)
    worst = observe(fleet, 0).worst_lag
    assert worst is not None
    assert (worst.origin, worst.region, worst.lag_ms) == ("eu", "us", 30.0)


def test_a_late_mirror_degrades_the_region_that_reads_it() -> None:
    fleet = fold(listening(), frame(1, lag_ms={"eu": 3_500.0}), 0)
    fleet = fold(fleet, frame(1, region="eu", edge="eu-1", lag_ms={"us": 20.0}), 0)
    us, eu = observe(fleet, 0).regions
    assert (us.state, us.reason) == ("degraded", "reads eu late")
    assert eu.state == "ok"


def test_the_lag_from_a_dark_region_names_that_region() -> None:
    fleet = expect(fold(listening(), frame(1, lag_ms={"eu": 15_000.0}), 15_000), "eu", ["eu-1"])
    assert observe(fleet, 15_000).regions[0].reason == "nothing comes from eu"


def test_edges_are_sorted_as_people_count() -> None:
    fleet = listening()
    for name in ("us-10", "us-2", "us-1"):
        fleet = fold(fleet, frame(1, edge=name), 0)
    assert [edge.name for edge in observe(fleet, 0).edges] == ["us-1", "us-2", "us-10"]


def test_a_mirror_that_stands_still_or_differs_is_said_whatever_its_lag() -> None:
    good: dict[str, object] = {
        "lag_ms": {"us": 3.0},
        "mirrors": {"us": "current"},
        "lag_events": {"us": 0},
    }
    bad = good | {"mirrors": {"us": "diverged"}, "lag_events": {"us": 12}}
    fleet = fold(listening(), frame(1, region="eu", edge="eu-1", **bad), 0)
    fleet = fold(fleet, frame(1, region="eu", edge="eu-2", **good), 500)
    view = observe(fleet, 500)
    cell = view.lag["us", "eu"]
    assert (cell.mirror, cell.lag_events, cell.broken) == ("diverged", 12, True)
    region = next(region for region in view.regions if region.name == "eu")
    assert (region.state, region.reason) == ("degraded", "its mirror of us is diverged")
    assert "forked" in matrix_cell(cell).text


def test_a_frame_with_a_mirror_state_that_does_not_exist_is_refused() -> None:
    odd = frame(1, lag_ms={"us": 3.0}, mirrors={"us": "[red]x"})
    assert fold(listening(), odd, 0).refused == 1


def fleet_of(*edges: tuple[str, int, int, str]) -> FleetView:
    """Edges with (region, connections, room, state), each in a region of its own name."""
    fleet = listening()
    for number, (region, connections, room, state) in enumerate(edges):
        fleet = fold(
            fleet,
            frame(
                1, region=region, edge=f"{region}-{number}", connections=connections, room=room,
                state=state,
            ),
            100,
        )  # fmt: skip
    return observe(fleet, 200)


def lost(view: FleetView) -> dict[str, float | None]:
    return {region.name: region.if_lost for region in view.regions}


def test_if_a_region_were_lost_the_others_would_be_so_full() -> None:
    view = fleet_of(("us", 50, 100, "ready"), ("eu", 30, 100, "ready"), ("ap", 20, 100, "ready"))
    assert lost(view) == {"us": 0.5, "eu": 0.5, "ap": 0.5}
    uneven = fleet_of(("us", 90, 100, "ready"), ("eu", 20, 50, "ready"))
    assert lost(uneven) == {"us": 2.2, "eu": 1.1}


def test_an_edge_that_takes_nobody_has_no_room_for_those_of_others() -> None:
    view = fleet_of(("us", 50, 100, "ready"), ("eu", 30, 100, "ready"), ("eu", 10, 100, "draining"))
    assert lost(view) == {"us": 0.9, "eu": 0.9}


def test_what_a_loss_would_be_is_not_said_where_it_is_not_known() -> None:
    assert lost(fleet_of(("us", 50, 100, "ready"))) == {"us": None}
    older = fleet_of(("us", 50, 100, "ready"), ("eu", 30, 0, "ready"))
    assert lost(older) == {"us": None, "eu": 0.8}
    closed = fleet_of(("us", 50, 100, "ready"), ("eu", 30, 100, "drained"))
    assert lost(closed) == {"us": None, "eu": 0.8}

"""Frames fold into a fleet: newer replaces older, rates come from counters, bounds hold."""

import pytest

from console.model import MAX_EDGES, MAX_REGIONS, Fleet, Series, expect, fold
from relay.core.telemetry import EdgeFrame

EPOCH = 1_000_000


def frame(number: int = 1, **changes: object) -> EdgeFrame:
    values: dict[str, object] = {
        "region": "us",
        "edge": "us-1",
        "epoch": EPOCH,
        "frame": number,
        "at_ms": EPOCH + number * 1000,
        "url": "ws://127.0.0.1:1/gateway",
        "version": "0.1.0",
        "state": "ready",
        "nats_connected": True,
        "connections": 10,
        "sessions": 10,
        "rooms": 1,
    }
    return EdgeFrame(**(values | changes))  # type: ignore[arg-type]


def play(*frames: EdgeFrame, every_ms: int = 1000) -> Fleet:
    """The fleet after `frames`, which come at `every_ms`."""
    fleet = Fleet()
    for at, heard in enumerate(frames):
        fleet = fold(fleet, heard, at * every_ms)
    return fleet


def test_rates_are_differences_of_counters_over_the_edges_own_time() -> None:
    fleet = play(
        frame(1, events_in=100, events_out=1000, publishes=5),
        frame(2, events_in=150, events_out=3000, publishes=6),
    )
    rates = fleet.edges["us", "us-1"].rates
    assert rates is not None
    assert (rates.events_in, rates.events_out, rates.publishes) == (50, 2000, 1)


def test_jitter_of_delivery_does_not_show_in_the_rates() -> None:
    fleet = fold(Fleet(), frame(1, events_out=0), 0)
    fleet = fold(fleet, frame(2, events_out=100), 1900)
    rates = fleet.edges["us", "us-1"].rates
    assert rates is not None
    assert rates.events_out == 100


def test_a_lost_frame_costs_only_freshness() -> None:
    fleet = fold(Fleet(), frame(1, events_out=0), 0)
    fleet = fold(fleet, frame(4, events_out=300), 3000)
    rates = fleet.edges["us", "us-1"].rates
    assert rates is not None
    assert rates.events_out == 100


def test_no_rates_from_a_single_frame() -> None:
    assert play(frame(700, events_out=10**9)).edges["us", "us-1"].rates is None


@pytest.mark.parametrize("late", [1, 2], ids=["out of order", "twice"])
def test_late_frames_change_nothing_and_are_counted(late: int) -> None:
    fleet = play(frame(1), frame(2, connections=20))
    again = fold(fleet, frame(late, connections=99), 2000)
    assert again.edges == fleet.edges
    assert again.late == 1


def test_a_restarted_edge_replaces_the_old_one_at_once() -> None:
    fleet = play(frame(1, events_out=5000), frame(2, events_out=6000))
    fleet = fold(fleet, frame(1, epoch=EPOCH + 9000, at_ms=EPOCH + 9500, events_out=3), 3000)
    track = fleet.edges["us", "us-1"]
    assert track.frame is not None
    assert (track.frame.frame, track.rates, track.restarts) == (1, None, 1)
    fleet = fold(fleet, frame(2, epoch=EPOCH + 9000, at_ms=EPOCH + 10500, events_out=43), 4000)
    track = fleet.edges["us", "us-1"]
    assert track.rates is not None
    assert track.rates.events_out == 40


def test_a_frame_of_the_old_process_after_the_restart_is_late() -> None:
    fleet = play(frame(9), frame(1, epoch=EPOCH + 9000))
    fleet = fold(fleet, frame(10), 2000)
    track = fleet.edges["us", "us-1"]
    assert track.frame is not None
    assert track.frame.epoch == EPOCH + 9000
    assert fleet.late == 1


def test_an_edge_whose_clock_was_set_back_is_heard_again_after_a_silence() -> None:
    fleet = play(frame(9))
    fleet = fold(fleet, frame(1, epoch=EPOCH - 9000, connections=77), 10_500)
    track = fleet.edges["us", "us-1"]
    assert track.frame is not None
    assert track.frame.connections == 77


def test_a_stepped_clock_does_not_make_a_rate() -> None:
    fleet = fold(Fleet(), frame(1, events_out=0), 0)
    fleet = fold(fleet, frame(2, at_ms=EPOCH + 3_600_000, events_out=100), 1000)
    rates = fleet.edges["us", "us-1"].rates
    assert rates is not None
    assert rates.events_out == 100


def test_counters_that_fall_within_an_epoch_give_no_negative_rate() -> None:
    rates = play(frame(1, events_out=100), frame(2, events_out=50)).edges["us", "us-1"].rates
    assert rates is not None
    assert rates.events_out == 0


def test_frames_in_quick_succession_are_averaged() -> None:
    frames = [frame(n, at_ms=EPOCH + n * 50, events_out=n * 7) for n in range(1, 30)]
    rates = play(*frames, every_ms=50).edges["us", "us-1"].rates
    assert rates is not None
    assert rates.events_out == pytest.approx(140)


def test_a_regions_history_is_the_sum_of_its_edges() -> None:
    fleet = Fleet()
    for second in range(6):
        for edge in ("us-1", "us-2"):
            heard = frame(second + 1, edge=edge, events_out=second * 30)
            fleet = fold(fleet, heard, second * 1000)
    assert (fleet.regions["us"].end, fleet.regions["us"].last) == (5, 60.0)


def test_history_is_bounded() -> None:
    frames = [frame(n, events_out=n) for n in range(1, 400)]
    fleet = play(*frames)
    history = fleet.edges["us", "us-1"].history
    assert {len(series.values) for series in history.values()} == {120}
    assert len(fleet.regions["us"].values) == 120


def test_history_shows_a_gap_as_a_gap() -> None:
    series = Series().add(10, 1.0).add(11, 2.0).add(20, 3.0)
    assert series.window(21, 12) == (1, 2, 2, 2, None, None, None, None, None, None, 3, 3)


def test_a_long_silence_leaves_nothing_of_before() -> None:
    series = Series().add(10, 1.0).add(10_000, 2.0)
    assert len(series.values) == 120
    assert series.window(10_001, 3) == (None, 2, 2)
    assert series.window(10_500, 3) == (None, None, None)
    assert series.window(11, 2) == (None, None)
    assert Series().window(5, 2) == (None, None)


def test_of_one_second_the_last_value_stays_and_none_comes_back() -> None:
    series = Series().add(10, 1.0).add(10, 5.0).add(11, 2.0).add(9, 7.0)
    assert series.window(11, 3) == (None, 5, 2)


def test_edges_of_the_world_are_known_before_they_speak() -> None:
    fleet = expect(Fleet(), "us", ["us-1", "us-2"])
    assert list(fleet.edges) == [("us", "us-1"), ("us", "us-2")]
    assert fold(fleet, frame(1), 0).edges["us", "us-2"].frame is None


def test_a_region_named_as_origin_is_known() -> None:
    assert list(play(frame(1, lag_ms={"us": 1.0, "eu": None})).regions) == ["us", "eu"]


def test_edges_beyond_the_limit_are_counted_not_kept() -> None:
    names = [f"e-{number}" for number in range(MAX_EDGES)]
    fleet = expect(Fleet(), "us", names)
    fleet = fold(fleet, frame(1, edge="one-more"), 0)
    assert len(fleet.edges) == MAX_EDGES
    assert fleet.over_limit == 1
    assert fold(fleet, frame(1, edge="e-7"), 0).over_limit == 1


def test_regions_beyond_the_limit_are_counted_not_kept() -> None:
    fleet = Fleet()
    for number in range(MAX_REGIONS):
        fleet = expect(fleet, f"r{number}")
    fleet = fold(fleet, frame(1, region="one-more"), 0)
    assert len(fleet.regions) == MAX_REGIONS
    assert (fleet.over_limit, len(fleet.edges)) == (1, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"edge": ""},
        {"edge": "x" * 65},
        {"region": "x" * 65},
        {"connections": -1},
        {"events_out": 10**30},
        {"loop_lag_ms": float("nan")},
        {"lag_ms": {"eu": float("inf")}},
        {"lag_ms": {"x" * 65: 1.0}},
        {"lag_ms": {f"r{number}": 1.0 for number in range(40)}},
        {"users": -1},
        {"countries": {f"c{number}": (1, 1, 0) for number in range(1_001)}},
        {"closed": {str(number): 1 for number in range(1_001)}},
    ],
)
def test_frames_out_of_bounds_are_refused(change: dict[str, object]) -> None:
    fleet = play(frame(1, **change))
    assert (fleet.refused, len(fleet.edges), len(fleet.regions)) == (1, 0, 0)

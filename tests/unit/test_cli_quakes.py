"""The quakes of the demo: which room, which region, when."""

import pytest

from cli.quakes import Quake, Site, load_quakes, nearest, rooms_of, schedule
from relay.core.places import great_circle_km

SITES = (
    Site("us", 39.0, -77.5),
    Site("eu", 50.1, 8.7),
    Site("ap", 35.7, 139.7),
)


def quake(mag: float = 1.0, lat: float = 0.0, lon: float = 0.0, time_ms: int = 0) -> Quake:
    return Quake("q", time_ms, mag, "somewhere", lat, lon, 10.0)


def test_the_whole_week_is_there_in_order_with_unique_ids() -> None:
    week = load_quakes()
    assert len(week) == 1707
    assert len({each.id for each in week}) == 1707
    times = [each.time_ms for each in week]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("mag", "room"),
    [(-0.8, "m0"), (0.0, "m0"), (0.99, "m0"), (1.0, "m1"), (6.4, "m6"), (9.5, "m7")],
)
def test_the_room_is_the_whole_part_of_the_magnitude(mag: float, room: str) -> None:
    assert rooms_of(quake(mag)) == ("quakes:all", f"quakes:{room}")


@pytest.mark.parametrize(
    ("lat", "lon", "region"),
    [(36.0, -120.0, "us"), (38.0, 22.0, "eu"), (-8.0, 118.0, "ap"), (52.0, 179.0, "ap")],
)
def test_a_quake_belongs_to_the_region_nearest_to_it(lat: float, lon: float, region: str) -> None:
    assert nearest(quake(lat=lat, lon=lon), SITES).name == region


def test_distances_are_those_of_the_globe() -> None:
    assert great_circle_km(52.52, 13.405, 48.8566, 2.3522) == pytest.approx(877.5, abs=1)
    assert great_circle_km(0, 179.5, 0, -179.5) == pytest.approx(111.2, abs=0.1)
    assert great_circle_km(90, 0, -90, 0) == pytest.approx(20015, abs=1)
    assert great_circle_km(10, 20, 10, 20) == 0


def test_the_replay_keeps_the_week_s_rhythm_at_any_speed() -> None:
    week = [quake(time_ms=5_000), quake(time_ms=65_000)]
    assert [due_s for due_s, _ in schedule(week, 60)] == [0.0, 1.0]
    assert [due_s for due_s, _ in schedule(week, 0)] == [0.0, 0.0]

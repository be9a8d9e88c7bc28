"""How fast clients leave: by those who take them, and slower when these let in less."""

from regions.operations.entry import Stage
from regions.operations.execution import MOST_WAIT_S, PACE_S, _Going
from regions.operations.pace import Takers, takers
from regions.operations.plan import MARGIN_S
from regions.steering.health import EdgeKey
from tests.unit.test_operations_plan import sight

EU = {EdgeKey("eu", "eu-1"): 10, EdgeKey("eu", "eu-2"): 10}


def test_the_others_of_the_region_take_clients_before_other_regions_do() -> None:
    outlook = sight(connections=100, room=1_000).outlook
    near = takers(outlook, {EdgeKey("eu", "eu-1"): 10}, 100)
    assert near == Takers(900, 1 / 10)  # one edge, 20/s, half of that
    assert takers(outlook, EU, 200).client_s == 1 / 20, "us alone, which is nearest: two edges"


def test_neighbours_that_are_full_take_nobody() -> None:
    full = sight(connections=100, room=100).outlook
    assert takers(full, {EdgeKey("eu", "eu-1"): 10}, 100).room == 0
    states = {"eu-2": "full"}
    away = takers(sight(connections=100, room=1_000, states=states).outlook,
                  {EdgeKey("eu", "eu-1"): 10}, 100)  # fmt: skip
    assert away.room > 0


def test_one_that_dies_of_those_who_take_them_halves_the_pace() -> None:
    seen = sight(connections=100, dead=("us-2",), room=1_000)
    assert takers(seen.outlook, EU, 200).client_s == 1 / 10


def going(left_s: float = 30.0) -> _Going:
    return _Going(Stage("x", [], "gone", left_s + MARGIN_S), dict(EU), left_s, 0.0)


def test_who_stays_is_not_asked_again_and_again() -> None:
    one = going()
    for now_s in range(200):
        one.pass_time(float(now_s))
        assert one.slower(5_000, Takers(9_000, 1 / 20)) is None, "the takers are as they were"
    assert one.until_s == 60


def test_where_the_others_let_in_less_what_is_left_goes_slower_once() -> None:
    one = going()
    one.pass_time(1.0)
    assert one.slower(600, Takers(9_000, 1 / 20)) is None
    one.pass_time(10.0)
    assert one.slower(400, Takers(9_000, 1 / 10)) == 40
    one.pass_time(10.0 + PACE_S)
    assert one.slower(350, Takers(9_000, 1 / 10)) is None
    assert one.until_s == 50 + MARGIN_S


def test_near_the_end_and_past_it_nothing_is_changed() -> None:
    one = going()
    one.pass_time(1.0)
    one.slower(600, Takers(9_000, 1 / 20))
    one.pass_time(31.0)
    assert one.slower(400, Takers(9_000, 1.0)) is None


def test_what_is_taken_up_goes_on_as_it_was_ordered() -> None:
    assert going(600.0).until_s == 600 + MARGIN_S


def test_it_waits_for_somebody_who_takes_clients_and_not_for_ever() -> None:
    one = going()
    for now_s in range(0, 7_200, 10):
        one.pass_time(float(now_s))
        one.wait()
    assert one.until_s <= MOST_WAIT_S + 60
    assert one.now_s > one.until_s

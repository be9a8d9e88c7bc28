"""Canaries: what did not arrive though somebody listens, and whose doing that is."""

from collections.abc import Iterable

from regions.steering.fleet import BLAMED_S, Fleet
from regions.steering.health import (
    LATE_S,
    EdgeKey,
    Flight,
    Flights,
    Heard,
    Observer,
    Said,
    with_canaries,
)
from regions.topology_file import parse_topology
from relay.core.orders import Orders
from relay.core.steady import Steady
from relay.core.steering import State, Verdict
from tests.places import three

NOW = 1_000.0
LONG = NOW - 600
LATELY = Said(LONG, NOW - 1)
OK = Verdict(State.OK, "all edges are ready", admits=True)
REGIONS = ("us", "eu", "ap")
NOT_IN_EU = "what is published there does not arrive in eu"


def pair(
    *, said: Said | None = LATELY, listening: float = LONG, arrived: float | None = None
) -> Flights:
    """Two regions: what us says, and since when eu listens, and when something came there."""
    return Flights(
        listening={"us": LONG, "eu": listening},
        said={} if said is None else {"us": said},
        arrived={} if arrived is None else {("us", "eu"): Flight(arrived, 85.0)},
    )


def fleet(lost: Iterable[tuple[str, str]]) -> Flights:
    """Three regions; between these pairs nothing arrives."""
    pairs = {(one, other) for one in REGIONS for other in REGIONS} - set(lost)
    return Flights(
        dict.fromkeys(REGIONS, LONG),
        dict.fromkeys(REGIONS, LATELY),
        {each: Flight(NOW - 1, 85.0) for each in pairs},
    )


def test_where_all_arrives_nothing_is_wrong() -> None:
    assert pair(arrived=NOW - 1).wrong("us", NOW) == ""
    assert [fleet(()).wrong(region, NOW) for region in REGIONS] == ["", "", ""]


def test_what_does_not_arrive_for_a_while_is_missing() -> None:
    assert pair(arrived=NOW - LATE_S).wrong("us", NOW) == ""
    assert pair(arrived=NOW - LATE_S - 0.1).wrong("us", NOW) == NOT_IN_EU
    assert pair().wrong("us", NOW) == NOT_IN_EU


def test_who_has_just_come_is_waited_for() -> None:
    assert pair(said=Said(NOW - 5, NOW - 1)).wrong("us", NOW) == ""
    assert pair(listening=NOW - 5).wrong("us", NOW) == ""


def test_where_nothing_is_said_or_nobody_listens_nothing_is_missing() -> None:
    assert pair(said=None).wrong("us", NOW) == ""
    assert pair(said=Said(LONG, NOW - LATE_S - 1)).wrong("us", NOW) == ""
    assert Flights({"us": LONG}, {"us": LATELY}).wrong("us", NOW) == ""


def test_a_region_that_is_cut_off_is_to_blame_and_the_others_are_not() -> None:
    cut = fleet([("us", "eu"), ("ap", "eu"), ("eu", "us"), ("eu", "ap")])
    assert cut.wrong("us", NOW) == cut.wrong("ap", NOW) == ""
    assert cut.wrong("eu", NOW) == (
        "what is published there does not arrive in ap, us; "
        "what is published in ap, us does not arrive there"
    )


def test_a_region_that_hears_nothing_is_to_blame_for_that() -> None:
    deaf = fleet([("us", "eu"), ("ap", "eu")])
    assert [deaf.wrong(region, NOW) for region in ("us", "ap")] == ["", ""]
    assert deaf.wrong("eu", NOW) == "what is published in ap, us does not arrive there"


def test_of_a_pair_that_is_cut_both_are_named() -> None:
    cut = fleet([("us", "eu"), ("eu", "us")])
    assert cut.wrong("us", NOW) == NOT_IN_EU
    assert cut.wrong("eu", NOW) == "what is published there does not arrive in us"
    assert cut.wrong("ap", NOW) == ""


def test_a_region_to_blame_is_degraded_and_takes_clients() -> None:
    found = with_canaries(OK, NOT_IN_EU)
    assert (found.state, found.admits, found.reason) == (State.DEGRADED, True, NOT_IN_EU)
    assert with_canaries(OK, "") is OK


def test_what_else_is_wrong_is_said_as_well_and_first() -> None:
    unheard = Verdict(State.DEGRADED, "us-1: not heard in eu", admits=True)
    assert with_canaries(unheard, NOT_IN_EU).reason == f"us-1: not heard in eu; {NOT_IN_EU}"


def test_what_is_down_says_nothing_of_canaries() -> None:
    down = Verdict(State.DOWN, "it has ended, and said so", admits=False)
    assert with_canaries(down, NOT_IN_EU) is down


def test_what_arrives_again_now_and_then_does_not_make_a_region_flap() -> None:
    topology = parse_topology(three(1, 1, 1), "test")
    heard = {EdgeKey(name, f"{name}-1"): Heard(NOW, "ready") for name in REGIONS}
    fleet_now = Fleet(topology, Steady())

    def state(at_s: float, flights: Flights) -> State:
        observers = [
            Observer(name, True, {key: Heard(at_s, "ready") for key in heard}) for name in REGIONS
        ]
        outlook = fleet_now.look(observers, {}, at_s, Orders(), 0, flights)
        return outlook.region("us").verdict.state

    late, fine = pair(), pair(arrived=NOW)
    assert state(NOW, fine) == State.OK
    assert state(NOW + 0.5, late) == State.DEGRADED
    for after_s in (1.0, 5.0, BLAMED_S):
        assert state(NOW + after_s, fine) == State.DEGRADED
    assert state(NOW + BLAMED_S + 0.5, fine) == State.OK

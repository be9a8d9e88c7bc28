"""Canaries: what did not arrive though somebody listens, and what it says of a region."""

from regions.steering.health import LATE_S, Flight, Flights, Said, with_canaries
from relay.core.steering import State, Verdict

NOW = 1_000.0
LONG = NOW - 600
OK = Verdict(State.OK, "all edges are ready", admits=True)


def flights(
    *, said: Said | None = None, listening: float = LONG, arrived: float | None = None
) -> Flights:
    """Two regions: what us says, and since when eu listens, and when something came there."""
    return Flights(
        listening={"us": LONG, "eu": listening},
        said={} if said is None else {"us": said},
        arrived={} if arrived is None else {("us", "eu"): Flight(arrived, 85.0)},
    )


def test_what_arrives_is_not_missing() -> None:
    assert flights(said=Said(LONG, NOW - 1), arrived=NOW - 1).missing("us", NOW) == []


def test_what_does_not_arrive_for_a_while_is_missing() -> None:
    said = Said(LONG, NOW - 1)
    assert flights(said=said, arrived=NOW - LATE_S).missing("us", NOW) == []
    assert flights(said=said, arrived=NOW - LATE_S - 0.1).missing("us", NOW) == ["eu"]
    assert flights(said=said).missing("us", NOW) == ["eu"]


def test_who_has_just_come_is_waited_for() -> None:
    assert flights(said=Said(NOW - 5, NOW - 1)).missing("us", NOW) == []
    assert flights(said=Said(LONG, NOW - 1), listening=NOW - 5).missing("us", NOW) == []


def test_where_nothing_is_said_or_nobody_listens_nothing_is_missing() -> None:
    assert flights().missing("us", NOW) == []
    assert flights(said=Said(LONG, NOW - LATE_S - 1)).missing("us", NOW) == []
    deaf = Flights({"us": LONG}, {"us": Said(LONG, NOW - 1)})
    assert deaf.missing("us", NOW) == []


def test_a_region_of_which_nothing_arrives_is_degraded_and_takes_clients() -> None:
    found = with_canaries(OK, ["eu", "ap"])
    assert (found.state, found.admits) == (State.DEGRADED, True)
    assert found.reason == "what is published there does not arrive in eu, ap"
    assert with_canaries(OK, []) is OK


def test_what_else_is_wrong_is_said_as_well_and_first() -> None:
    unheard = Verdict(State.DEGRADED, "us-1: not heard in eu", admits=True)
    found = with_canaries(unheard, ["eu"])
    assert found.reason == "us-1: not heard in eu; what is published there does not arrive in eu"


def test_what_is_down_says_nothing_of_canaries() -> None:
    down = Verdict(State.DOWN, "it has ended, and said so", admits=False)
    assert with_canaries(down, ["eu"]) is down

"""The witness of `make truth` itself: what it takes for named, late, and green."""

from collections.abc import Mapping

import pytest

from console.feed import NewsHeard, apply
from console.judgement import Level
from console.model import Fleet, Link, LinkState, change_link, fold, observe
from console.report import FleetReport, report
from regions.drills.campaign import campaign
from regions.drills.places import Place, Places, choose
from regions.drills.step import Break, Drop, Restart
from regions.faults.fault import (
    DownFault,
    FillDiskFault,
    KillFault,
    LinkFault,
    PauseFault,
    RewindFault,
    WedgeFault,
)
from regions.faults.flow import Change
from regions.news import AlertsNews
from tests.truth.canary import Going
from tests.truth.doors import Doors
from tests.truth.expectations import disturbances, expected
from tests.truth.judge import Fault, judge
from tests.truth.statements import Statement, statements
from tests.truth.table import table
from tests.truth.witness import Sample
from tests.unit.test_console_fold import frame

NAMES = ("us", "eu", "ap")
PLACES = Places(tuple(Place(name, (f"{name}-1", f"{name}-2"), (f"{name}-n1",)) for name in NAMES))
LAG = {"us": 50.0, "eu": 50.0, "ap": 110.0}


def says(
    silent: Mapping[str, int] = {},
    lag: Mapping[tuple[str, str], float] = {},
    state: Mapping[str, str] = {},
    via: str = "us",
) -> FleetReport:
    """What a console says: of all that is well, but for what is named.

    Args:
        silent: edge -> ms since it was heard.
        lag: (origin, region) -> ms.
        state: edge -> what it says of itself.
        via: the region in which it listens.
    """
    fleet = change_link(Fleet(), Link(LinkState.CONNECTED, 0, via))
    for region in NAMES:
        for edge in PLACES.region(region).edges:
            lags = LAG | {origin: ms for (origin, reader), ms in lag.items() if reader == region}
            heard = frame(
                1, region=region, edge=edge, state=state.get(edge, "ready"), lag_ms=lags,
                mirrors=dict.fromkeys(NAMES, "current"),
            )  # fmt: skip
            fleet = fold(fleet, heard, 20_000 - silent.get(edge, 500))
    keeper = NewsHeard("us", AlertsNews(at_ms=19_000, alerts=[], rules=1))
    return report(observe(apply(fleet, keeper, 19_000), 20_000), 0)


WELL = says()


def sample(t_s: float, said: FleetReport, *doors: Going, **flights: float) -> Sample:
    ages = {pair.replace("_", ">"): age_s for pair, age_s in flights.items()}
    return Sample(t_s, {"us": said}, ages, list(doors))


CUT = LinkFault([("us", "eu"), ("eu", "us")], Change(cut=True))


@pytest.mark.parametrize(
    ("step", "via", "right", "wrong"),
    [
        (Break("1", KillFault(["us-1"])), "eu", ("edge", "us-1"), ("edge", "us-2")),
        (Break("1", PauseFault(["us-1"])), "eu", ("alert", "us-1"), ("region", "us")),
        (Break("1", PauseFault(["ap-n1"])), "us", ("region", "ap"), ("region", "eu")),
        (Break("1", PauseFault(["ap-n1"])), "us", ("link", "ap"), ("link", "us")),
        (Break("1", DownFault(["ap-1", "ap-n1"])), "us", ("edge", "ap-2"), ("edge", "us-1")),
        (Break("1", CUT), "us", ("pair", "us>eu"), ("pair", "us>ap")),
        (Break("1", CUT), "us", ("edge", "eu-2"), ("edge", "ap-1")),
        (Break("1", CUT), "ap", ("pair", "us>eu"), ("edge", "us-1")),
        (Break("1", CUT), "us", ("pair", "eu>us"), ("slower", "eu>us")),
        (Break("1", WedgeFault("eu", "us")), "ap", ("pair", "us>eu"), ("pair", "eu>us")),
        (Break("1", FillDiskFault("us-n1", "limit")), "ap", ("edge", "us-2"), ("edge", "eu-2")),
        (Break("1", RewindFault("eu")), "ap", ("pair", "eu>us"), ("pair", "us>ap")),
        (Break("1", LinkFault([("us", "eu")], Change(delay_ms=200))), "us",
         ("slower", "us>eu"), ("slower", "eu>us")),
        (Restart("eu-2"), "us", ("edge", "eu-2"), ("edge", "eu-1")),
    ],
)  # fmt: skip
def test_a_fault_has_its_own_places(
    step: Break | Restart, via: str, right: tuple[str, str], wrong: tuple[str, str]
) -> None:
    wanted = expected(step, PLACES)
    assert not wanted.need_not
    assert wanted.fits(Statement(*right, ""), via, PLACES)  # type: ignore[arg-type]
    assert not wanted.fits(Statement(*wrong, ""), via, PLACES)  # type: ignore[arg-type]


def test_a_region_names_what_it_misses_or_is_said_not_to_be_heard() -> None:
    wedge = expected(Break("1", WedgeFault("eu", "ap")), PLACES)
    for text, fits in (("degraded: reads ap late", True), ("degraded: eu-1 silent for 3 s", False)):
        assert wedge.fits(Statement("region", "eu", text), "us", PLACES) == fits
    assert wedge.fits(Statement("edge", "eu-1", "heard 4 s ago", True), "us", PLACES)
    assert not wedge.fits(Statement("edge", "eu-1", "starting"), "us", PLACES)
    assert not wedge.fits(Statement("edge", "ap-1", "heard 4 s ago", True), "us", PLACES)


def test_what_need_not_be_said_has_a_reason() -> None:
    assert expected(Drop("eu"), PLACES).need_not
    assert expected(Break("1", LinkFault([("us", "eu")], Change(loss=0.1))), PLACES).need_not


def test_every_fault_of_a_campaign_has_its_places() -> None:
    for seed in range(20):
        plan = campaign(choose(PLACES, seed), 600)
        steps = disturbances(plan)
        assert len(steps) == sum(isinstance(each, Break | Drop) for each in plan.steps)
        assert all(expected(each, PLACES).names for each in steps)


def kinds(now: FleetReport, before: FleetReport = WELL) -> set[tuple[str, str]]:
    return {(each.kind, each.on) for each in statements(now, before)}


def test_what_is_wrong_is_found_in_the_report() -> None:
    assert WELL.status == Level.OK.name.lower()
    assert kinds(WELL) == set()
    assert kinds(says(silent={"us-1": 4_000})) == {("edge", "us-1"), ("region", "us")}
    assert kinds(says(state={"eu-2": "starting"})) == {("edge", "eu-2"), ("region", "eu")}
    assert kinds(says(lag={("us", "eu"): 1_500.0})) == {("pair", "us>eu"), ("region", "eu")}
    assert kinds(says(lag={("us", "eu"): 300.0})) == {("slower", "us>eu")}
    assert kinds(says(via="eu")) == {("link", "us")}


KILL = Fault("kill us-1", 10.0, 14.0, expected(Break("1", KillFault(["us-1"])), PLACES))
SILENT = says(silent={"us-1": 4_000})


def test_a_fault_that_is_named_in_time_passes() -> None:
    samples = [sample(t_s, SILENT if t_s >= 14 else WELL) for t_s in range(5, 30)]
    found = judge(samples, [KILL], PLACES)
    named = found.faults[0].named["us"]
    assert named is not None
    assert (named.after_s, named.words) == (4.0, "us-1 heard 4 s ago")
    assert found.faults[0].red_s == 4.0
    assert found.passed
    assert list(table(found))[-1] == "passed"


@pytest.mark.parametrize("named_s", [16, 99])
def test_a_fault_that_is_named_late_or_never_does_not(named_s: int) -> None:
    samples = [sample(t_s, SILENT if t_s >= named_s else WELL) for t_s in range(5, 30)]
    found = judge(samples, [KILL], PLACES)
    assert found.faults[0].missed == ["us"]
    assert not found.passed
    assert list(table(found))[-1] == "NOT PASSED"


def test_what_was_said_before_or_of_others_names_nothing() -> None:
    before = [sample(t_s, SILENT) for t_s in range(5, 30)]
    assert judge(before, [KILL], PLACES).faults[0].missed == ["us"]
    others = says(silent={"us-2": 4_000})
    samples = [sample(t_s, others if t_s >= 11 else WELL) for t_s in range(5, 30)]
    assert judge(samples, [KILL], PLACES).faults[0].missed == ["us"]


def test_without_a_fault_nothing_is_shown() -> None:
    assert not judge([sample(1, WELL)], [], PLACES).passed


def door(began_s: float, failed: str = "", took_s: float = 3.0) -> Going:
    return Going("us-1", began_s, began_s + took_s, failed)


def test_a_door_fails_from_the_first_try_that_failed_to_the_first_that_did_not() -> None:
    doors = Doors([door(3, "x"), door(1), door(2, "x"), door(4, took_s=0.1)])
    assert doors.failing(1.9) == {}
    assert doors.failing(2.5) == {"us-1": (0.5, "x")}
    assert doors.failing(3.5) == {"us-1": (1.5, "x")}
    assert doors.failing(4.05) == {}


@pytest.mark.parametrize(("age_s", "lies"), [(4.9, 0), (5.1, 1)])
def test_green_while_a_canary_fails_is_a_lie(age_s: float, lies: int) -> None:
    samples = [sample(9, WELL), sample(10, WELL, us_eu=age_s), sample(14, SILENT)]
    found = judge(samples, [KILL], PLACES)
    assert len(found.lies) == lies
    assert found.passed == (not lies)
    assert found.longest_green_s == age_s


def test_a_door_that_is_shut_for_long_counts_as_a_canary() -> None:
    shut = [door(at_s, "no answer") for at_s in range(10, 20)]
    samples = [sample(t_s, WELL, *(shut if t_s == 17 else ())) for t_s in range(5, 18)]
    found = judge(samples, [KILL], PLACES)
    assert [each.t_s for each in found.lies] == [11.0, 12.0], "16 s and 17 s, of those from 5 s on"
    assert found.lies[0].failing == ["the door of us-1"]
    red = [sample(each.t_s, SILENT, *each.doors) for each in samples]
    assert judge(red, [KILL], PLACES).lies == []


def test_red_without_a_reason_is_shown_too() -> None:
    samples = [sample(t_s, SILENT if 14 <= t_s <= 60 else WELL) for t_s in range(5, 70)]
    found = judge(samples, [KILL], PLACES)
    assert [each.t_s + 5 for each in found.alarms] == list(range(35, 61)), "20 s after healing"

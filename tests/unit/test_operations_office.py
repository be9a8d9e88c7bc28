"""What has changed between the plan that was confirmed and the one that is submitted."""

import msgspec
import pytest

from regions.operations.entry import Entry, Objection, Plan, decode_entry
from regions.operations.office import _changed

LAST = Objection("last", "eu", "eu is the last region that takes clients")


def full(percent: int, name: str = "us") -> Objection:
    """A region that would be too full."""
    return Objection("full", name, f"{name} would be {percent}% full", percent / 100)


def unreached(regions: int) -> Objection:
    """So many regions do not answer."""
    return Objection("unreached", "", f"{regions} regions do not answer", regions)


@pytest.mark.parametrize(
    ("confirmed", "fresh", "worse"),
    [
        ([], [], ""),
        ([full(82)], [full(84)], ""),
        ([full(140)], [full(82)], ""),
        ([full(82)], [], ""),
        ([full(82)], [full(140)], "us would be 140% full"),
        ([full(82)], [LAST], LAST.text),
        ([full(82), LAST], [LAST, full(81)], ""),
        ([full(82)], [full(82, "ap")], "ap would be"),
        ([unreached(1)], [unreached(2)], "2 regions"),
        ([unreached(2)], [unreached(1)], ""),
    ],
)
def test_an_objection_that_nobody_confirmed_is_no_confirmed_one(
    confirmed: list[Objection | str], fresh: list[Objection | str], worse: str
) -> None:
    found = _changed(Plan([], objections=confirmed), Plan([], objections=fresh))
    assert found.startswith(worse)
    assert bool(found) == bool(worse)


def test_as_many_clients_more_or_less_change_nothing() -> None:
    assert _changed(Plan([], moves=1_000), Plan([], moves=1_200)) == ""
    assert _changed(Plan([], moves=1_000), Plan([], moves=1_500)).startswith("1,500 clients")


def test_what_an_earlier_version_stored_is_read() -> None:
    """Its objections were words alone."""
    old = Plan([], objections=["us is the last region that takes clients"])
    line = Entry(run="r1", at_ms=1, by="ops", what="submitted", plan=old)
    found = decode_entry(msgspec.json.encode(line))
    assert found is not None
    assert found.plan is not None
    assert found.plan.against == ["us is the last region that takes clients"]
    assert _changed(Plan([], objections=[LAST]), Plan([], objections=[LAST.text])) == LAST.text

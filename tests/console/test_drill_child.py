"""A drill as a child of the console: how it ended is said, whatever became of it."""

from pathlib import Path

import pytest

from console.doing.drill_child import DrillChild
from console.doing.drill_order import read_order
from console.errors import ConsoleError
from regions.errors import DrillError
from tests.console.drill_site import CANNOT, CRASHES, MISSES, PASSES, PlayedSite


@pytest.mark.parametrize(
    ("script", "word", "why", "code"),
    [
        pytest.param(PASSES, "pass", "", 0, id="passed"),
        pytest.param(MISSES, "missed", "far too late", 1, id="missed"),
        pytest.param(CANNOT, "failed", "us-1 is starting", 1, id="could not run"),
        pytest.param("", "failed", "it said nothing", 0, id="silent"),
        pytest.param(
            CRASHES, "failed", "ended by signal 9; the supervisor heals what it broke", -9,
            id="killed",
        ),
    ],
)  # fmt: skip
async def test_it_is_said_how_it_ended(
    script: str, word: str, why: str, code: int, tmp_path: Path
) -> None:
    site = PlayedSite(tmp_path, (), script=script)
    order = read_order("herd", "", site, "ops", "")
    child = DrillChild(order, site.command(order))
    await child.followed()
    assert (child.word, child.why, child.code) == (word, why, code)
    child.interrupt()
    assert not child.interrupted, "it has ended"


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    site = PlayedSite(tmp_path, ())
    with pytest.raises(OSError, match="No such file"):
        DrillChild(read_order("herd", "", site, "ops", ""), [str(tmp_path / "none")])


def test_what_is_said_is_ordered(tmp_path: Path) -> None:
    site = PlayedSite(tmp_path, ())
    plain = read_order("", "herd", site, "ops", "OPS-7")
    assert (plain.drill.name, plain.clients, plain.rate, plain.seed) == ("herd", 300, 200.0, 1)
    assert (plain.hold_s, plain.region, plain.by, plain.why) == (None, None, "ops", "OPS-7")
    text = "one-way clients=24 rate=30.5 seed=7 for=8 region=eu"
    order = read_order(text, "herd", site, "ops", "")
    assert (order.drill.name, order.clients, order.rate) == ("one-way", 24, 30.5)
    assert (order.seed, order.hold_s, order.region) == (7, 8.0, "eu")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "which one?"),
        ("herd one-way", "what is 'one-way'?"),
        ("herd clients=1", "clients: 2 to 100,000, not '1'"),
        ("herd clients=many", "not 'many'"),
        ("herd clients=²", "not '²'"),
        ("herd seed=99999999999999", "seed: 0 to"),
        ("herd rate=0", "rate: events/s, up to 100,000, not '0'"),
        ("herd rate=nan", "not 'nan'"),
        ("herd for=soon", "'soon' is no number of seconds"),
        ("herd rooms=3", "there is no 'rooms'"),
    ],
)
def test_what_makes_no_sense_is_named(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConsoleError) as caught:
        read_order(text, "", PlayedSite(tmp_path, ()), "ops", "")
    assert why in str(caught.value)


def test_a_slip_is_answered_with_what_may_have_been_meant(tmp_path: Path) -> None:
    with pytest.raises(DrillError, match="did you mean herd"):
        read_order("hurd", "", PlayedSite(tmp_path, ()), "ops", "")

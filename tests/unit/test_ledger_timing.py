"""What a ledger measures: a client's gap, its outage, and how long until it was current."""

from pathlib import Path

import msgspec
import pytest

from regions.ledger.findings import ClientGap, Findings, Spread
from regions.ledger.record import Acked, Delivered, Ended, Phase
from regions.ledger.tally import Times, spread_of
from tests.unit.ledger_history import MS, History


@pytest.fixture
def history() -> History:
    """Ann loses her connection for 5 s, in which bob speaks at 1 s and at 2 s."""
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    history.add(Phase(history.now(), "before"))
    history.say("bob", "tea")
    history.add(Phase(history.now(), "fault"))
    history.down("ann")
    history.now(1_000)
    history.say("bob", "tea")
    history.now(1_000)
    history.say("bob", "tea")
    history.now(1_000)
    history.add(Phase(history.now(), "healed"))
    history.now(2_000)
    history.resume("ann")
    history.say("bob", "tea")
    return history.end()


def of(findings: Findings, client: str) -> ClientGap:
    (found,) = (gap for gap in findings.gaps if gap.client == client)
    return found


def moments(history: History, client: str, number: int) -> tuple[int, int]:
    """When an event was acknowledged, and when a client got it."""
    acked = history.records[history.find(Acked, id=f"bob.tea.{number}")].t
    return acked, history.records[history.find(Delivered, client=client, number=number)].t


def test_a_gap_is_the_longest_wait_for_an_acknowledged_event(
    history: History, tmp_path: Path
) -> None:
    findings = history.check(tmp_path)
    acked, got = moments(history, "ann", 2)
    assert of(findings, "ann").gap_ms == (got - acked) / MS == 4_007
    assert of(findings, "bob").gap_ms < 10
    assert findings.gap_ms.count == 2
    assert findings.gap_hit_ms == Spread(1, 4_007, 4_007, 4_007)
    assert findings.hit == 1


@pytest.mark.parametrize("marked", [True, False])
def test_what_came_before_the_fault_is_no_gap(tmp_path: Path, marked: bool) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    slow = history.say("bob", "tea", silent="ann")
    history.now(9_000)
    history.deliver("ann", slow)
    if marked:
        history.add(Phase(history.now(), "fault"))
    history.say("bob", "tea")
    gap_ms = of(history.end().check(tmp_path), "ann").gap_ms
    assert gap_ms < 10 if marked else gap_ms > 9_000


def test_an_outage_begins_with_the_last_frame_that_came(history: History, tmp_path: Path) -> None:
    findings = history.check(tmp_path)
    assert of(findings, "ann").outages == 1
    assert 5_000 < of(findings, "ann").outage_ms < 5_020
    assert findings.outage_ms.count == 1


def test_a_client_is_current_when_it_has_what_was_acknowledged_before_the_mark(
    history: History, tmp_path: Path
) -> None:
    before, fault, healed = history.check(tmp_path).phases
    assert [phase.name for phase in (before, fault, healed)] == ["before", "fault", "healed"]
    mark = history.records[history.find(Phase, name="healed")].t
    _, got = moments(history, "ann", 3)  # the later of the two that she lacked
    assert healed.current_ms == Spread(2, 0.0, (got - mark) / MS, (got - mark) / MS)
    assert before.current_ms.max == fault.current_ms.max == 0.0


def test_latency_belongs_to_the_phase_in_which_an_event_was_published(
    history: History, tmp_path: Path
) -> None:
    before, fault, healed = history.check(tmp_path).phases
    assert [phase.latency_ms.count for phase in (before, fault, healed)] == [2, 4, 2]
    assert before.latency_ms.max < 10
    assert 4_000 < fault.latency_ms.max < 4_100
    assert healed.latency_ms.max < 10


def test_a_client_that_ends_on_its_own_is_not_current(history: History, tmp_path: Path) -> None:
    history.change(history.find(Ended, client="ann"), why="Replaced: by a newer one")
    findings = history.check(tmp_path)
    assert findings.undrained == 1
    assert "ann ended on its own: Replaced" in findings.examples[0].text


def test_times_are_kept_to_two_percent() -> None:
    times = Times()
    for ms in range(1, 1_001):
        times.add(ms * MS)
    spread = times.spread()
    assert spread.count == 1_000
    assert spread.p50 == pytest.approx(500, rel=0.02)
    assert spread.p99 == pytest.approx(990, rel=0.02)
    assert spread.max == 1_000


def test_a_few_times_are_kept_exactly() -> None:
    assert spread_of([ms * MS for ms in range(100, 0, -1)]) == Spread(100, 50, 99, 100)
    assert spread_of([]) == Spread()


def test_who_waits_for_an_acknowledgement_shows_in_the_phase_of_the_publish(
    history: History, tmp_path: Path
) -> None:
    index = history.find(Acked, id="bob.tea.2")
    late = history.records.pop(index)
    history.add(msgspec.structs.replace(late, t=late.t + 7_000 * MS))
    findings = history.check(tmp_path)
    assert findings.passed  # everybody got it; only its publisher had to wait
    before, fault, healed = (phase.ack_ms for phase in findings.phases)
    assert [each.count for each in (before, fault, healed)] == [1, 2, 1]
    assert 7_000 < fault.max < 7_010
    assert before.max == healed.max == 1.0

"""The checker on what is declared: a GAP, a lost session and a new epoch excuse what they name."""

from pathlib import Path

from regions.ledger.record import (
    Fork,
    GapSaid,
)
from tests.unit.ledger_history import History, violations


def test_a_gap_that_was_said_in_time_is_declared(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    lost = history.say("bob", "tea", silent="ann")
    history.gap("ann", lost, why="poison")
    history.say("bob", "tea")
    findings = history.end().check(tmp_path)
    assert violations(findings) == {}
    assert (findings.declared_gaps, findings.declared_events) == (1, 1)
    assert findings.declared == {"poison": 1}


def test_a_gap_that_was_said_after_a_later_event_is_late(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    lost = history.say("bob", "tea", silent="ann")
    history.say("bob", "tea")
    history.gap("ann", lost)
    findings = history.end().check(tmp_path)
    assert violations(findings) == {"late_gaps": 1}
    assert findings.declared_events == 0


def test_events_that_are_declared_and_come_all_the_same_are_counted(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    stored = history.say("bob", "tea", silent="ann")
    history.gap("ann", stored)
    history.deliver("ann", stored)
    findings = history.end().check(tmp_path)
    assert violations(findings) == {}
    assert (findings.declared_events_by, findings.declared_delivered) == ({"late": 1}, 1)


def test_what_a_later_session_brings_was_not_declared_in_vain(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    stored = history.say("bob", "tea", silent="ann")
    history.gap("ann", stored)
    history.down("ann")
    history.lose("ann", "session")
    history.deliver("ann", stored)
    assert history.end().check(tmp_path).declared_delivered == 0


def test_an_open_gap_declares_nothing_that_is_published_after_it(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    history.say("bob", "tea", silent="ann")
    history.add(GapSaid(history.now(), "ann", "us", 1, 1, None, "epoch"))
    history.say("bob", "tea", silent="ann")
    findings = history.end().check(tmp_path)
    assert violations(findings) == {"missing": 1, "undeclared_gaps": 1}
    assert "us/1/2" in findings.examples[0].text
    assert findings.declared_events_by == {"epoch": 1}
    gone = history.find(GapSaid)
    history.change(gone, why="origin_removed")
    assert violations(history.check(tmp_path)) == {}


def test_a_gap_covers_its_own_room_and_range_alone(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea", "sea")
    tea = history.say("ann", "tea", silent="ann")
    sea = history.say("ann", "sea", silent="ann")
    history.add(GapSaid(history.now(), "ann", "us", 1, 1, 2, "late", "tea"))
    findings = history.end().check(tmp_path)
    assert (tea.seq, sea.seq) == (1, 2)
    assert violations(findings) == {"missing": 1, "undeclared_gaps": 1}
    assert "us/1/2 (sea" in findings.examples[0].text


def test_a_lost_session_declares_what_lies_before_the_next_one(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    history.say("bob", "tea")
    history.down("ann")
    history.say("bob", "tea")
    history.say("bob", "tea")
    history.lose("ann", "expired")
    history.say("bob", "tea")
    findings = history.end().check(tmp_path)
    assert violations(findings) == {}
    assert (findings.sessions_lost, findings.declared_events) == (1, 2)
    assert findings.sessions_lost_by == {"expired": 1}
    assert findings.declared_events_by == {"expired": 2}
    assert findings.declared == {"expired": 1}


def test_a_lost_session_excuses_no_hole_before_it(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    history.say("bob", "tea", silent="ann")
    history.say("bob", "tea")
    history.down("ann")
    history.lose("ann", "expired")
    assert violations(history.end().check(tmp_path)) == {"missing": 1, "undeclared_gaps": 1}


def test_a_new_session_that_nobody_announced_excuses_nothing(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    history.down("ann")
    history.say("bob", "tea")
    history.join("ann")
    assert violations(history.end().check(tmp_path)) == {"missing": 1, "undeclared_gaps": 1}


def test_a_ready_whose_cursor_claims_too_much_is_found(tmp_path: Path) -> None:
    history = History()
    history.join("bob", "tea")
    history.join("ann", "tea")
    history.change(1, at={"us": (1, 1), "eu": (1, 0)})  # beyond what is said after it
    history.say("bob", "tea", silent="ann")
    history.say("bob", "tea")
    findings = history.end().check(tmp_path)
    assert violations(findings) == {"missing": 1, "undeclared_gaps": 1}
    assert "published after it was told it is there" in findings.examples[0].text


def test_an_origin_that_lost_its_tail_is_declared_by_its_new_epoch(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    history.say("bob", "tea")
    history.down("ann")
    history.say("bob", "tea")  # stored, acknowledged, heard by bob, and gone
    history.lose_tail("us", 1)
    history.lose("ann", "epoch")
    history.say("bob", "tea")
    findings = history.end().check(tmp_path)
    assert violations(findings) == {}
    assert (findings.lost_by_epoch, findings.declared_events) == (1, 1)


def test_a_new_epoch_that_a_client_was_not_told_of_is_found(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    history.say("bob", "tea")
    history.say("bob", "tea", silent="ann")
    history.lose_tail("us", 1)
    history.say("bob", "tea")
    findings = history.end().check(tmp_path)
    assert violations(findings) == {"missing": 1, "undeclared_gaps": 1}
    assert findings.lost_by_epoch == 1


def test_a_new_epoch_excuses_nothing_below_the_place_where_it_begins(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    for _ in range(4):
        history.say("ann", "tea")
    history.lose_tail("us", 1)
    history.say("ann", "tea")
    del history.streams["us"][1]  # long before the end that was lost
    findings = history.end().check(tmp_path)
    assert violations(findings) == {"lost": 1}
    assert "us/1/2" in findings.examples[0].text
    assert findings.lost_by_epoch == 1


def test_a_scan_that_does_not_say_where_an_epoch_begins_is_not_whole(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.say("ann", "tea")
    history.lose_tail("us", 1)
    history.end()
    history.records = [one for one in history.records if not isinstance(one, Fork)]
    assert violations(history.check(tmp_path)) == {"unread": 1}

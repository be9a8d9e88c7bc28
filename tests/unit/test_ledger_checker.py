"""The checker: a correct history passes, and each kind of broken promise is found and named."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from regions.errors import LedgerError
from regions.ledger.checker import check
from regions.ledger.record import (
    Acked,
    Delivered,
    Drained,
    Failed,
    GapSaid,
    Opening,
    Ready,
    Resumed,
    Resuming,
    Stored,
    Stream,
    Surfaced,
    Trying,
    Unread,
)
from regions.ledger.spec import SPEC_FILE, CrowdSpec
from tests.unit.ledger_history import History, violations


@pytest.fixture
def talk() -> History:
    """Two in one room, one in another; one of them loses her connection and resumes."""
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea", "sea")
    history.join("cat", "sea")
    for _ in range(3):
        history.say("bob", "tea")
        history.say("ann", "tea", "eu")
        history.say("cat", "sea")
    history.down("ann")
    for _ in range(3):
        history.say("bob", "tea")
        history.say("bob", "sea", "eu")
    history.resume("ann")
    history.say("ann", "tea")
    return history


def test_a_history_without_a_fault_passes(talk: History, tmp_path: Path) -> None:
    findings = talk.end().check(tmp_path)
    assert violations(findings) == {}
    assert findings.clients == 3
    assert findings.acked == findings.asked == findings.stored == 16
    assert findings.delivered == findings.surfaced == 32
    assert findings.replayed == 3
    assert (findings.disconnects, findings.resumes, findings.hit) == (1, 1, 1)
    assert findings.raw_repeats == findings.declared_gaps == 0


def test_an_event_that_never_came_is_missing_and_an_undeclared_gap(
    talk: History, tmp_path: Path
) -> None:
    index = talk.end().find(Delivered, client="bob", number=2, user="ann")
    del talk.records[index]
    findings = talk.check(tmp_path)
    assert violations(findings) == {"missing": 1, "undeclared_gaps": 1}
    assert "bob never got eu/1/2 (tea, ann #2" in findings.examples[0].text
    assert findings.examples[0].text.endswith("middle")
    where = findings.examples[0].where[0]
    line = (tmp_path / "crowd-0.jsonl").read_text().splitlines()[int(where.split(":")[1]) - 1]
    assert '"k":"ok"' in line
    assert '"id":"ann.tea.2"' in line


@pytest.mark.parametrize(("number", "kind"), [(1, "prefix"), (6, "postfix")])
def test_what_is_missing_at_either_end_is_found_too(
    talk: History, tmp_path: Path, number: int, kind: str
) -> None:
    del talk.records[talk.end().find(Delivered, client="bob", number=number, user="bob")]
    findings = talk.check(tmp_path)
    if number == 6:  # ann's event came after it, in the same room and from the same origin
        kind = "middle"
    assert violations(findings) == {"missing": 1, "undeclared_gaps": 1}
    assert kind in findings.examples[0].text


def test_the_newest_event_that_did_not_come_is_missing(talk: History, tmp_path: Path) -> None:
    del talk.records[talk.end().find(Delivered, client="bob", number=4, user="ann")]
    findings = talk.check(tmp_path)
    assert violations(findings) == {"missing": 1, "undeclared_gaps": 1}
    assert "postfix" in findings.examples[0].text


def begin_at(history: History, first: int, *regions: str) -> None:
    """These copies of us hold nothing before a sequence, and say so themselves."""
    for region in regions:
        history.change(history.find(Stream, region=region, origin="us"), first=first)
    history.records = [
        one
        for one in history.records
        if not (
            isinstance(one, Stored)
            and (one.origin, one.region in regions) == ("us", True)
            and one.seq < first
        )
    ]


def test_a_mirror_that_begins_later_than_its_origin_lacks_what_came_before(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    for _ in range(20):
        history.say("ann", "tea")
    begin_at(history.end(), 15, "eu")
    assert violations(history.check(tmp_path)) == {"mirror_missing": 14}
    # Also where nobody looked before the crowd came.
    history.records = [one for one in history.records if not isinstance(one, Opening)]
    assert violations(history.check(tmp_path)) == {"mirror_missing": 14}


def test_copies_that_all_lost_their_beginning_are_held_against_what_they_held_before(
    tmp_path: Path,
) -> None:
    history = History()
    history.join("ann", "tea")
    for _ in range(20):
        history.say("ann", "tea")
    begin_at(history.end(), 15, "us", "eu")
    assert violations(history.check(tmp_path)) == {"lost": 14}


def test_an_acknowledged_event_that_no_stream_holds_is_lost(talk: History, tmp_path: Path) -> None:
    talk.end()
    talk.records = [
        record
        for record in talk.records
        if not (isinstance(record, Stored) and record.id == "bob.tea.2")
    ]
    assert violations(talk.check(tmp_path)) == {"lost": 1}


def test_an_event_that_was_delivered_and_not_stored_is_lost(talk: History, tmp_path: Path) -> None:
    talk.end()
    talk.records = [
        record
        for record in talk.records
        if not (isinstance(record, (Stored, Acked)) and record.id == "bob.tea.2")
    ]
    assert violations(talk.check(tmp_path)) == {"lost": 1}


def test_an_event_that_nobody_published_is_a_phantom(talk: History, tmp_path: Path) -> None:
    index = talk.end().find(Delivered, client="cat")
    found = talk.records[index]
    assert isinstance(found, Delivered)
    fake = Delivered(found.t, "cat", "sea", "eve", "eve.1", 1, "us", 1, 3_000, "00", app=True)
    talk.records.insert(index, fake)
    assert violations(talk.check(tmp_path)) == {"phantom": 1, "lost": 1}


def test_a_failed_publish_that_is_stored_is_a_phantom(talk: History, tmp_path: Path) -> None:
    index = talk.find(Acked, id="bob.tea.3")
    acked = talk.records[index]
    talk.records[index] = Failed(acked.t, "bob", "tea", "bob.tea.3", "NotSent: it never left")
    findings = talk.end().check(tmp_path)
    assert violations(findings) == {"phantom": 1}
    assert findings.failed == 1


def test_data_that_its_publisher_did_not_say_is_a_phantom(talk: History, tmp_path: Path) -> None:
    talk.end()
    for index, record in enumerate(talk.records):
        if isinstance(record, (Stored, Delivered)) and record.id == "bob.sea.1":
            talk.change(index, hash="beef")
    found = violations(talk.check(tmp_path))
    assert found["disagreements"] > 0


def test_one_place_with_two_contents_is_a_disagreement(talk: History, tmp_path: Path) -> None:
    talk.change(talk.end().find(Delivered, client="ann", number=2), hash="beef")
    assert violations(talk.check(tmp_path)) == {"disagreements": 1}


def test_a_mirror_that_holds_something_else_is_a_disagreement(
    talk: History, tmp_path: Path
) -> None:
    talk.change(talk.end().find(Stored, region="eu", origin="us", seq=4), id="bob.tea.9")
    assert violations(talk.check(tmp_path)) == {"disagreements": 1}


def test_a_hole_in_a_mirror_is_found(talk: History, tmp_path: Path) -> None:
    del talk.records[talk.end().find(Stored, region="eu", origin="us", seq=4)]
    findings = talk.check(tmp_path)
    assert violations(findings) == {"mirror_missing": 1}
    assert "the mirror in eu" in findings.examples[0].text


def test_what_only_a_mirror_holds_is_a_disagreement(talk: History, tmp_path: Path) -> None:
    talk.end()
    talk.records = [
        record
        for record in talk.records
        if not (isinstance(record, (Stored, Acked, Delivered)) and record.id == "ann.tea.2")
        or (isinstance(record, Stored) and record.region == "us")
    ]
    assert violations(talk.check(tmp_path)) == {"disagreements": 1}


def test_an_event_in_the_wrong_room_is_found(talk: History, tmp_path: Path) -> None:
    talk.change(talk.end().find(Delivered, client="bob", user="cat", number=2), room="tea")
    found = violations(talk.check(tmp_path))
    assert found["disagreements"] == 1
    assert found["missing"] == 1


def test_an_event_for_somebody_who_is_not_in_the_room_is_found(
    talk: History, tmp_path: Path
) -> None:
    index = talk.end().find(Delivered, client="bob", user="ann", number=1)
    talk.records.insert(index, talk.records[index])
    talk.change(index, client="cat")
    assert violations(talk.check(tmp_path)) == {"misdelivered": 1}


def test_two_events_that_changed_places_are_reordered(talk: History, tmp_path: Path) -> None:
    talk.end()
    first = talk.find(Delivered, client="cat", user="cat", number=1)
    second = talk.find(Delivered, client="cat", user="cat", number=2)
    talk.records[first], talk.records[second] = talk.records[second], talk.records[first]
    assert violations(talk.check(tmp_path)) == {"reordered": 1}


def test_a_publisher_whose_numbers_fall_is_reordered(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.say("ann", "tea")
    history.say("ann", "tea")
    history.end()
    said = {
        record.seq: {"id": record.id, "number": record.number, "hash": record.hash}
        for record in history.records
        if isinstance(record, Stored)
    }
    for index, record in enumerate(history.records):  # stored in the other order than published
        if isinstance(record, (Delivered, Stored)):
            history.change(index, **said[3 - record.seq])
    history.records = [one for one in history.records if not isinstance(one, Acked)]
    assert violations(history.check(tmp_path)) == {"reordered": 1}


def test_an_application_that_gets_an_event_twice_is_a_repeat(talk: History, tmp_path: Path) -> None:
    index = talk.end().find(Delivered, client="bob", user="ann", number=1)
    one = talk.records[index]
    assert isinstance(one, Delivered)
    again = Surfaced(
        one.t, one.client, one.room, one.user, one.id, one.number, one.origin, one.epoch, one.seq,
        one.hash,
    )  # fmt: skip
    talk.records.insert(index + 1, again)
    assert violations(talk.check(tmp_path)) == {"repeated": 1}


def test_an_event_that_is_sent_twice_is_found_though_the_library_hides_it(
    talk: History, tmp_path: Path
) -> None:
    index = talk.end().find(Delivered, client="bob", user="ann", number=1)
    talk.records.insert(index + 1, talk.records[index])
    talk.change(index + 1, app=False)
    findings = talk.check(tmp_path)
    assert violations(findings) == {"resent": 1}
    assert findings.raw_repeats == 1


def test_a_repeat_in_a_session_after_a_lost_one_is_no_fault_once(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    first = history.say("bob", "tea")
    history.down("ann")
    history.lose("ann", "expired")
    history.deliver("ann", first)  # the region that it reached stands before it
    index = len(history.records) - 1
    history.change(index, app=False)
    history.say("bob", "tea")
    findings = history.end().check(tmp_path)
    assert violations(findings) == {}
    assert findings.raw_repeats == 1
    history.records.insert(index, history.records[index])
    assert violations(history.check(tmp_path)) == {"resent": 1}


def test_an_event_that_the_library_swallows_is_missing(talk: History, tmp_path: Path) -> None:
    talk.change(talk.end().find(Delivered, client="bob", user="ann", number=1), app=False)
    findings = talk.check(tmp_path)
    assert violations(findings) == {"missing": 1}
    assert "application never got" in findings.examples[0].text


def test_a_resume_that_sends_again_what_the_cursor_covered_is_found(
    talk: History, tmp_path: Path
) -> None:
    resumed = talk.find(Resumed, client="ann")
    before = talk.records[talk.find(Delivered, client="ann", user="bob", number=3)]
    talk.records.insert(resumed, before)
    talk.change(resumed, app=False, replayed=True)
    talk.change(resumed + 1, replayed=4)
    assert violations(talk.end().check(tmp_path)) == {"resent": 1}


def test_a_resume_that_begins_one_too_late_is_found(talk: History, tmp_path: Path) -> None:
    del talk.records[talk.find(Delivered, client="ann", replayed=True)]
    talk.change(talk.find(Resumed, client="ann"), replayed=2)
    assert violations(talk.end().check(tmp_path)) == {"missing": 1, "undeclared_gaps": 1}


def test_a_resumed_that_miscounts_is_found(talk: History, tmp_path: Path) -> None:
    talk.change(talk.find(Resumed, client="ann"), replayed=4)
    assert violations(talk.end().check(tmp_path)) == {"miscounted": 1}


def test_a_duplicate_ack_that_names_another_event_is_found(talk: History, tmp_path: Path) -> None:
    talk.change(talk.end().find(Acked, id="bob.tea.2"), seq=1, dup=True)
    findings = talk.check(tmp_path)
    assert violations(findings) == {"disagreements": 1}
    assert "the ACK to bob has tea, bob, id bob.tea.2" in findings.examples[0].text


def test_a_publish_that_is_stored_twice_in_one_stream_is_found(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    first = history.say("bob", "tea")
    twin = store_again(history, first, "us")
    for name in ("ann", "bob"):
        history.deliver(name, twin)
    history.end()
    hide_twins(history, twin)
    assert violations(history.check(tmp_path)) == {"stored_twice": 1}


def test_a_publish_that_is_stored_in_two_regions_is_none_if_it_is_handed_on_once(
    tmp_path: Path,
) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    first = history.say("bob", "tea")
    twin = store_again(history, first, "eu")
    for name in ("ann", "bob"):
        history.deliver(name, twin)
    history.end()
    assert violations(history.check(tmp_path)) == {"repeated": 2}
    hide_twins(history, twin)
    assert violations(history.check(tmp_path)) == {}


def store_again(history: History, first: Stored, origin: str) -> Stored:
    """The same publish, stored once more."""
    history.heads[origin] += 1
    twin = Stored(
        0, origin, origin, 1, history.heads[origin], first.room, first.user, first.id,
        first.number, first.hash, first.ts + 500,
    )  # fmt: skip
    history.streams[origin].append(twin)
    return twin


def hide_twins(history: History, twin: Stored) -> None:
    """The library drops the second copy."""
    for index, record in enumerate(history.records):
        if isinstance(record, Delivered) and (record.origin, record.seq) == (
            twin.origin,
            twin.seq,
        ):
            history.change(index, app=False)


def test_a_client_that_was_not_drained_is_found(talk: History, tmp_path: Path) -> None:
    talk.change(talk.end().find(Drained, client="bob"), reached=False, lacks=("tea us/1/9",))
    assert violations(talk.check(tmp_path)) == {"undrained": 1}


def test_a_copy_that_was_not_read_is_found(talk: History, tmp_path: Path) -> None:
    index = talk.end().find(Stream, region="eu", origin="us")
    talk.records[index] = Unread(talk.records[index].t, "eu", "us", "no answer in time")
    assert violations(talk.check(tmp_path)) == {"unread": 1}


def test_a_ledger_without_a_scan_does_not_pass(talk: History, tmp_path: Path) -> None:
    found = violations(talk.check(tmp_path))
    assert found == {"unread": 4, "undrained": 3}


def test_a_line_that_was_not_finished_is_left_out(talk: History, tmp_path: Path) -> None:
    whole = talk.end().check(tmp_path)
    with (tmp_path / "crowd-0.jsonl").open("ab") as file:
        file.write(b'{"k":"event","t":12')
    assert check(tmp_path).records == whole.records


def test_a_ledger_that_is_split_says_the_same(talk: History, tmp_path: Path) -> None:
    del talk.records[talk.end().find(Delivered, client="bob", number=2, user="ann")]
    whole = talk.check(tmp_path)
    assert violations(whole) == {"missing": 1, "undeclared_gaps": 1}
    assert check(tmp_path, part_bytes=2_000) == whole


def test_the_history_hash_is_that_of_the_lines(talk: History, tmp_path: Path) -> None:
    findings = talk.end().check(tmp_path)
    data = (tmp_path / "crowd-0.jsonl").read_bytes()
    assert findings.history == hashlib.sha256(data).hexdigest()
    assert check(tmp_path) == findings


@pytest.mark.parametrize("text", ["nonsense\n", '{"k":"event"}\n', '{"k":"new","t":1}\n'])
def test_a_line_that_is_no_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "crowd-0.jsonl").write_text('{"k":"clock","t":1,"w":2}\n' + text)
    with pytest.raises(LedgerError, match=r"crowd-0\.jsonl:2: not a record"):
        check(tmp_path)


@pytest.mark.parametrize("covered", [True, False])
def test_what_comes_before_a_new_sessions_ready_is_covered_by_it_or_misdelivered(
    tmp_path: Path, *, covered: bool
) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    history.say("bob", "tea")
    history.down("ann")
    history.say("bob", "tea")
    before = history.places()
    stored = history.say("bob", "tea")
    history.lose("ann", "session")
    index = history.find(Ready, client="ann", at=history.places())
    if not covered:
        history.change(index, at=before)
    ready = history.records.pop()
    history.deliver("ann", stored, replayed=True)
    history.add(ready)
    found = violations(history.end().check(tmp_path))
    assert found.get("misdelivered", 0) == int(not covered)
    assert covered == (not found)


def test_a_replay_from_before_the_session_is_found(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    old = history.say("ann", "tea")
    history.join("bob", "tea")
    history.down("bob")
    history.clients["bob"].at = {}  # the edge goes back to the streams' beginning
    history.say("ann", "tea")
    history.resume("bob")
    findings = history.end().check(tmp_path)
    assert violations(findings) == {"outside_window": 1}
    assert f"us/1/{old.seq}" in findings.examples[0].text


def test_a_gap_declares_nothing_that_is_published_after_it(tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    history.add(GapSaid(history.now(), "bob", "us", 1, 1, 10**9, "expired", None))
    history.say("ann", "tea", silent="bob")
    found = violations(history.end().check(tmp_path))
    assert found == {"missing": 1, "undeclared_gaps": 1}


@pytest.mark.parametrize("last", ["resumed", "nothing"])
def test_a_resume_without_an_answer_is_found(last: str, tmp_path: Path) -> None:
    history = History()
    history.join("ann", "tea")
    history.down("ann")
    history.add(Resuming(history.now(), "ann", "s-ann", history.places()))
    if last == "resumed":
        history.resume("ann")
    assert violations(history.end().check(tmp_path)) == {"miscounted": 1}


@pytest.mark.parametrize(("silent_s", "found"), [(13, {}), (15, {"miscounted": 1})])
def test_a_resume_whose_connection_ended_is_no_violation_but_silence_is(
    silent_s: int, found: dict[str, int], tmp_path: Path
) -> None:
    history = History()
    history.join("ann", "tea")
    history.down("ann")
    history.add(Resuming(history.now(), "ann", "s-ann", history.places()))
    history.add(Trying(history.now(silent_s * 1_000), "ann", "ws://other", 1, 0))
    history.resume("ann")
    assert violations(history.end().check(tmp_path)) == found


def test_a_client_of_the_crowd_without_a_record_is_found(talk: History, tmp_path: Path) -> None:
    talk.end().check(tmp_path)
    crowd = CrowdSpec("crowd", clients=2)
    for ledger in (tmp_path, tmp_path / "ledger"):
        if any(ledger.glob("*.jsonl*")):
            (ledger / SPEC_FILE).write_bytes(msgspec.json.encode(crowd))
    findings = check(tmp_path)
    assert violations(findings) == {"undrained": 2}
    assert "crowd-0" in findings.examples[0].text

"""Presence without I/O: windows, rosters, and edges that talk over a line that loses things."""

import random
from collections.abc import Iterable

import pytest

from relay.core.answers import RefusalError
from relay.core.attendance import Attendance
from relay.core.presence import ONLINE, Changes, Scope, Shown, Status, most_present
from relay.core.presence_messages import (
    Answer,
    Window,
    asks,
    changes_in,
    decode_answer,
    decode_ask,
    decode_window,
    encode,
    members_in,
    tables,
)
from relay.core.presence_ops import read_presence
from relay.core.roster import Roster
from relay.core.rosters import Rosters, Source

ROOM: Scope = ("_", "doc:7")
IDLE, DND = Shown(Status.IDLE), Shown(Status.DND)


# --- what is shown -----------------------------------------------------------------------------


def test_what_clients_ask_to_be_seen_as() -> None:
    assert read_presence(None, 5) == ONLINE
    assert read_presence({"status": "dnd", "activities": [], "afk": False}, 5) == DND
    assert read_presence({"status": "invisible", "custom": {"a": 1}}, 5) is None
    assert read_presence({"custom": {"page": 2}}, 5) == Shown(Status.ONLINE, b'{"page":2}', 5)
    assert read_presence({"custom": {}}, 5) == ONLINE


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"status": "away"}, "invalid_data"),
        ({"status": 3}, "invalid_data"),
        ({"status": ["online"]}, "invalid_data"),
        ({"custom": "hi"}, "invalid_data"),
        ({"custom": {"x": b"bytes"}}, "invalid_data"),
        ({"custom": {"x": "y" * 250}}, "too_large"),
    ],
)
def test_what_can_not_be_shown_is_refused(asked: dict[str, object], code: str) -> None:
    with pytest.raises(RefusalError) as caught:
        read_presence(asked, 0)
    assert caught.value.code == code


def test_the_most_present_session_is_shown_and_of_two_the_one_that_was_set_last() -> None:
    old, new = Shown(Status.ONLINE, b'{"a":1}', 10), Shown(Status.ONLINE, b'{"a":2}', 20)
    assert most_present([DND, None, IDLE]) == IDLE
    assert most_present([None, None]) is None
    assert most_present([old, new, ONLINE]) == most_present([ONLINE, new, old]) == new


# --- windows -----------------------------------------------------------------------------------


def test_a_window_is_the_net_change() -> None:
    here = Attendance()
    here.enter("s1", "_", "ann", ONLINE, ["doc:7"])
    here.enter("s2", "_", "bob", ONLINE, ["doc:7"])
    here.leave("s2", "doc:7")
    assert here.window(0) == {("_", "~"): {"ann": ONLINE, "bob": ONLINE}, ROOM: {"ann": ONLINE}}
    assert here.window(2) == {}
    here.leave("s1", "doc:7")
    here.join("s1", "doc:7")
    here.show("s1", IDLE)
    here.show("s1", ONLINE)
    assert here.window(4) == {}
    here.show("s1", IDLE)
    assert here.window(6) == {("_", "~"): {"ann": IDLE}, ROOM: {"ann": IDLE}}


def test_moving_between_pages_costs_one_change_in_each() -> None:
    here = Attendance()
    here.enter("s1", "_", "ann", ONLINE, ["doc:7", "doc:7:page:1"])
    here.window(0)
    here.leave("s1", "doc:7:page:1")
    here.join("s1", "doc:7:page:2")
    assert here.window(2) == {
        ("_", "doc:7:page:1"): {"ann": None},
        ("_", "doc:7:page:2"): {"ann": ONLINE},
    }


def test_a_user_with_two_devices_goes_offline_once_after_the_last() -> None:
    here = Attendance()
    here.enter("phone", "_", "ann", IDLE, ["doc:7"])
    here.enter("laptop", "_", "ann", ONLINE, ["doc:7"])
    assert here.window(0)[ROOM] == {"ann": ONLINE}
    here.end("laptop", 1, 0)
    assert here.window(2)[ROOM] == {"ann": IDLE}
    here.end("phone", 3, 0)
    assert here.window(4)[ROOM] == {"ann": None}
    assert here.said == {}
    assert len(here) == 0


def test_an_abnormal_end_has_a_grace_in_which_a_resume_shows_nothing() -> None:
    here = Attendance()
    here.enter("s1", "_", "ann", DND, ["doc:7"])
    here.window(0)
    here.end("s1", 1, 10)
    assert here.window(10.9) == {}
    here.enter("s1", "_", "ann", here.shown("s1"), ["doc:7"])
    assert here.window(12) == {}
    here.end("s1", 13, 10)
    assert here.window(23) == {("_", "~"): {"ann": None}, ROOM: {"ann": None}}


def test_a_session_that_was_resumed_elsewhere_leaves_sooner() -> None:
    here = Attendance()
    here.enter("s1", "_", "ann", ONLINE, ["doc:7"])
    here.window(0)
    here.end("s1", 1, 4)  # the takeover
    here.end("s1", 1.1, 10)  # then its connection is closed
    assert here.window(4.9) == {}
    assert here.window(5)[ROOM] == {"ann": None}


def test_who_is_invisible_is_nowhere() -> None:
    here = Attendance()
    here.enter("s1", "_", "ann", None, ["doc:7"])
    assert here.window(0) == {}
    here.show("s1", ONLINE)
    assert here.window(2)[ROOM] == {"ann": ONLINE}
    here.show("s1", None)
    assert here.window(4)[ROOM] == {"ann": None}


def test_an_edge_that_stood_still_has_nobody() -> None:
    here = Attendance()
    here.enter("s1", "_", "ann", ONLINE, ["doc:7"])
    here.end("s1", 0, 10)
    here.window(1)
    here.clear()
    assert here.window(2)[ROOM] == {"ann": None}
    assert here.window(60) == {}


def test_snapshots_are_what_was_said() -> None:
    here = Attendance()
    here.enter("s1", "_", "ann", ONLINE, ["doc:7"])
    assert here.snapshot([ROOM, ("_", "~ann")]) == {}
    here.window(0)
    asked = [ROOM, ("_", "~ann"), ("_", "~bob"), ("other", "doc:7"), ("_", "doc:8")]
    assert here.snapshot(asked) == {ROOM: {"ann": ONLINE}, ("_", "~ann"): {"ann": ONLINE}}


# --- rosters -----------------------------------------------------------------------------------

US: Source = ("us", "us-1", 100)
EU: Source = ("eu", "eu-1", 100)
ME: Source = ("ap", "ap-1", 100)


def test_a_roster_is_the_union_and_passes_on_the_net_change() -> None:
    roster = Roster()
    roster.apply(US, {"ann": ONLINE, "bob": IDLE})
    roster.apply(EU, {"bob": ONLINE})
    assert roster.take() == {"ann": ONLINE, "bob": ONLINE}
    roster.apply(EU, {"bob": None})
    roster.apply(US, {"ann": None})
    roster.apply(US, {"ann": ONLINE})
    assert roster.take() == {"bob": IDLE}
    roster.drop(US)
    assert roster.take() == {"ann": None, "bob": None}
    assert roster.now == {}


def test_of_many_changes_those_that_came_first_go_first() -> None:
    roster = Roster()
    roster.apply(US, {f"u{n}": ONLINE for n in range(5)})
    assert list(roster.take(2)) == ["u0", "u1"]
    roster.apply(US, {"u2": None, "u0": IDLE})
    assert roster.take(2) == {"u3": ONLINE}  # u2 came and went
    assert roster.take() == {"u4": ONLINE, "u0": IDLE}


def test_who_opens_a_scope_asks_everybody_and_knows_when_all_have_answered() -> None:
    rosters = Rosters(ME)
    rosters.hear(US, 7, {}, 10)
    rosters.hear(EU, 1, {}, 10)
    rosters.open(ROOM, {"me": ONLINE})
    assert not rosters.complete(ROOM, 10)
    assert rosters.asks(10) == {US: [ROOM], EU: [ROOM]}
    assert rosters.asks(10.5) == {}
    rosters.answer(US, 7, {ROOM: {"ann": ONLINE}})
    rosters.hear(US, 8, {ROOM: {"bob": ONLINE}}, 12)
    rosters.hear(EU, 2, {ROOM: {"cat": ONLINE}}, 12)  # in its answer as well
    assert rosters.asks(12) == {EU: [ROOM]}
    rosters.answer(EU, 1, {ROOM: {}})  # of before: asked again
    assert rosters.asks(12) == {EU: [ROOM]}
    rosters.answer(EU, 2, {ROOM: {"cat": ONLINE}})
    assert rosters.complete(ROOM, 12)
    assert set(rosters.rosters[ROOM].now) == {"me", "ann", "bob", "cat"}
    assert rosters.touched() == [ROOM]
    assert rosters.touched() == []


def test_an_edge_that_is_heard_late_is_asked_for_what_it_said_before() -> None:
    rosters = Rosters(ME)
    rosters.open(ROOM, {})
    rosters.hear(US, 7, {ROOM: {"bob": ONLINE}}, 0)
    assert rosters.asks(0) == {US: [ROOM]}
    rosters.answer(US, 7, {ROOM: {"ann": ONLINE, "bob": ONLINE}})
    assert set(rosters.rosters[ROOM].now) == {"ann", "bob"}


def test_a_missing_number_is_noticed_and_what_was_missed_is_asked_for() -> None:
    rosters = Rosters(ME)
    rosters.open(ROOM, {})
    rosters.hear(US, 1, {ROOM: {"ann": ONLINE}}, 0)
    rosters.hear(US, 3, {ROOM: {"cat": ONLINE}}, 4)
    assert rosters.missed == 1
    assert set(rosters.rosters[ROOM].now) == {"ann"}
    assert rosters.asks(4) == {US: [ROOM]}
    rosters.answer(US, 3, {ROOM: {"bob": ONLINE, "cat": ONLINE}})
    assert rosters.rosters[ROOM].take() == {"bob": ONLINE, "cat": ONLINE}
    rosters.hear(US, 3, {ROOM: {"bob": None}}, 5)  # a repeat
    assert set(rosters.rosters[ROOM].now) == {"bob", "cat"}


def test_a_dead_edge_leaves_after_ten_seconds_and_its_next_start_is_another() -> None:
    rosters = Rosters(ME)
    rosters.open(ROOM, {})
    rosters.hear(US, 1, {ROOM: {"ann": ONLINE, "bob": ONLINE}}, 0)
    again = ("us", "us-1", 200)
    rosters.hear(again, 1, {ROOM: {"ann": ONLINE}}, 4)
    rosters.hear(US, 2, {ROOM: {"zed": ONLINE}}, 5)  # a process that was replaced
    rosters.sweep(9.9, 0)
    assert set(rosters.rosters[ROOM].now) == {"ann", "bob"}
    rosters.rosters[ROOM].take()
    rosters.sweep(10, 0)
    assert rosters.rosters[ROOM].take() == {"bob": None}  # ann never flickered


def test_nobody_waits_for_an_edge_that_was_replaced() -> None:
    rosters = Rosters(ME)
    rosters.hear(US, 5, {}, 0)
    rosters.hear(("us", "us-1", 200), 1, {}, 1)
    rosters.open(ROOM, {})
    assert rosters.asks(1) == {("us", "us-1", 200): [ROOM]}
    rosters.answer(("us", "us-1", 200), 1, {ROOM: {}})
    assert rosters.complete(ROOM, 1)


def test_who_hears_nothing_judges_nobody() -> None:
    rosters = Rosters(ME)
    rosters.open(ROOM, {})
    rosters.hear(US, 1, {ROOM: {"ann": ONLINE}}, 0)
    rosters.sweep(30, 25)
    assert set(rosters.rosters[ROOM].now) == {"ann"}
    rosters.sweep(35, 25)
    assert rosters.rosters[ROOM].now == {}
    assert rosters.edges == 0


def test_single_users_are_scopes_too() -> None:
    rosters = Rosters(ME)
    rosters.hear(US, 1, {}, 0)
    rosters.open(("_", "~ann"), {})
    assert rosters.asks(0) == {US: [("_", "~ann")]}
    rosters.answer(US, 1, {("_", "~ann"): {}})
    rosters.hear(US, 2, {("_", "~"): {"ann": IDLE, "bob": ONLINE}}, 2)
    assert rosters.rosters["_", "~ann"].now == {"ann": IDLE}
    assert (rosters.touched(), rosters.touched_users()) == ([], [("_", "~ann")])
    rosters.close(("_", "~ann"))
    rosters.hear(US, 3, {("_", "~"): {"ann": None}}, 4)
    assert rosters.rosters == {}
    assert rosters.touched_users() == []


# --- messages ----------------------------------------------------------------------------------


def test_large_scopes_come_in_pieces_and_small_ones_together() -> None:
    crowd = {f"user-{n:05}": Shown(Status.ONLINE, b'{"x":1}', n) for n in range(6_000)}
    found: dict[Scope, dict[str, Shown]] = {
        ("_", "empty"): {}, ("_", "big"): crowd, ("t", "small"): {"ann": IDLE},
    }  # fmt: skip
    said = [encode(Answer(*US, 9, *table)) for table in tables(found)]
    assert max(map(len, said)) < 64 * 1024
    assert len(said) > 3
    rosters = Rosters(ME)
    rosters.hear(US, 9, {}, 0)
    for scope in found:
        rosters.open(scope, {})
    for data in said:
        answer = decode_answer(data)
        source = (answer.region, answer.edge, answer.epoch)
        rosters.answer(source, answer.number, members_in(answer.scopes), answer.total)
    assert {scope: dict(rosters.rosters[scope].now) for scope in found} == found
    assert all(rosters.complete(scope, 0) for scope in found)


def test_a_piece_that_is_lost_is_no_answer() -> None:
    crowd = {f"user-{n:05}": ONLINE for n in range(6_000)}
    rosters = Rosters(ME)
    rosters.hear(US, 9, {}, 0)
    rosters.open(ROOM, {})
    for table, total in list(tables({ROOM: crowd}))[1:]:
        rosters.answer(US, 9, members_in(table), total)
    assert not rosters.complete(ROOM, 0)
    assert rosters.rosters[ROOM].now == {}


def test_questions_come_in_messages_that_fit() -> None:
    scopes = [("_", f"room-{n:04}" + "x" * 100) for n in range(2_000)]
    messages = [encode(one) for one in asks("us", "us-1", scopes)]
    assert max(map(len, messages)) < 64 * 1024
    asked = [decode_ask(data) for data in messages]
    assert [("_", name) for one in asked for name in one.scopes["_"]] == scopes


# --- edges that talk ---------------------------------------------------------------------------


class Talker:
    """An edge with nothing but presence, whose messages a test carries."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.attendance = Attendance()
        self.rosters = Rosters(source)
        self.number = 0

    def say(self, now_s: float) -> list[bytes]:
        changes = self.attendance.window(now_s)
        self.rosters.mine(changes)
        messages = []
        for table, _ in list(tables(changes)) or [({}, 0)]:
            self.number += 1
            messages.append(encode(Window(*self.source, self.number, table)))
        return messages

    def hear(self, data: bytes, now_s: float) -> None:
        window = decode_window(data)
        source = (window.region, window.edge, window.epoch)
        self.rosters.hear(source, window.number, changes_in(window.changes), now_s)

    def answer(self, scopes: Iterable[Scope]) -> list[bytes]:
        found = self.attendance.snapshot(scopes)
        whole = {scope: found.get(scope, {}) for scope in scopes}
        return [encode(Answer(*self.source, self.number, *table)) for table in tables(whole)]


@pytest.mark.parametrize("seed", range(40))
def test_views_converge_whatever_is_lost(seed: int) -> None:
    dice = random.Random(seed)
    edges = [Talker((region, f"{region}-1", 1)) for region in ("us", "eu", "ap")]
    rooms = ["a", "b", "c"]
    truth: dict[str, tuple[Talker, str, set[str], Shown | None]] = {}
    views: dict[tuple[int, Scope], Changes] = {}
    now_s = 0.0
    for turn in range(80):
        now_s += 2
        lossy = turn < 60
        for _ in range(dice.randint(0, 4) if lossy else 0):
            _disturb(dice, edges, rooms, truth, now_s)
        for edge in edges:
            if dice.random() < 0.1:
                edge.rosters.open(("_", dice.choice(rooms)), {})
        for room in rooms:
            for edge in edges:
                mine = edge.attendance.snapshot([("_", room)]).get(("_", room), {})
                edge.rosters.open(("_", room), mine)
        for edge in edges:
            for data in edge.say(now_s):
                for other in edges:
                    if other is not edge and not (lossy and dice.random() < 0.2):
                        other.hear(data, now_s)
        for asker in edges:
            for source, scopes in asker.rosters.asks(now_s).items():
                asked = next(edge for edge in edges if edge.source == source)
                if lossy and dice.random() < 0.3:
                    continue
                for data in asked.answer(scopes):
                    if not (lossy and dice.random() < 0.2):
                        said = decode_answer(data)
                        asker.rosters.answer(
                            source, said.number, members_in(said.scopes), said.total
                        )
        for number, edge in enumerate(edges):
            edge.rosters.sweep(now_s, 0)
            for scope in edge.rosters.touched():
                view = views.setdefault((number, scope), {})
                for user, shown in edge.rosters.rosters[scope].take().items():
                    view[user] = shown
                    if shown is None:
                        del view[user]
    for number, _edge in enumerate(edges):
        for room in rooms:
            expected: dict[str, list[Shown | None]] = {}
            for _, user, at, shown in truth.values():
                if room in at:
                    expected.setdefault(user, []).append(shown)
            online = {user: most_present(each) for user, each in expected.items()}
            wanted = {user: shown for user, shown in online.items() if shown is not None}
            assert views.get((number, ("_", room)), {}) == wanted, (seed, number, room)


def _disturb(
    dice: random.Random,
    edges: list[Talker],
    rooms: list[str],
    truth: dict[str, tuple[Talker, str, set[str], Shown | None]],
    now_s: float,
) -> None:
    """One user does something."""
    session = f"s{dice.randint(0, 19)}"
    user = f"u{int(session[1:]) % 8}"
    known = truth.get(session)
    if known is None:
        edge = dice.choice(edges)
        at = set(dice.sample(rooms, dice.randint(0, 3)))
        shown = dice.choice([ONLINE, IDLE, None])
        truth[session] = (edge, user, at, shown)
        edge.attendance.enter(session, "_", user, shown, at)
        return
    edge, _, at, _ = known
    match dice.randint(0, 3):
        case 0:
            del truth[session]
            edge.attendance.end(session, now_s, 0)
        case 1:
            room = dice.choice(rooms)
            (edge.attendance.leave if room in at else edge.attendance.join)(session, room)
            at ^= {room}
        case 2:
            shown = dice.choice([ONLINE, IDLE, DND, None])
            truth[session] = (edge, user, at, shown)
            edge.attendance.show(session, shown)
        case _:  # to another edge, as a resume does
            other = dice.choice([one for one in edges if one is not edge])
            other.attendance.enter(session, "_", user, known[3], at)
            edge.attendance.end(session, now_s, 4)
            truth[session] = (other, user, at, known[3])

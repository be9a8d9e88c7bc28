"""A session's presence: what it shows, where it is, and at whom it looks."""

import pytest

from relay.core.effects import Appear, Attend, Effect, Join, Resume, Typing, Watch
from relay.core.grants import Act, RoomGrant
from relay.core.presence import ONLINE, Shown, Status
from relay.core.tokens import mint
from tests.unit.session_playbook import KEY, NOW_MS, Playbook, cursor, error, mine, sent, token

IDLE = Shown(Status.IDLE)


def watcher(*users: str) -> str:
    """A token for everything that may watch these users."""
    rooms = (RoomGrant("*", frozenset(Act)),)
    return mint(KEY, "ann", rooms, NOW_MS // 1000, 3600, watch=users)


def live(book: Playbook, with_token: str, *rooms: object) -> None:
    """A session that has begun with this token."""
    book.send(2, {"token": with_token, "rooms": list(rooms)})
    list(book.session.entered({}, 1, book.now))


def test_a_session_shows_what_its_identify_says() -> None:
    book = Playbook()
    book.send(2, {"token": token(), "presence": {"status": "idle", "activities": []}})
    assert (book.session.shown, book.session.shows) == (IDLE, True)
    silent = Playbook()
    silent.live()
    assert (silent.session.shown, silent.session.shows) == (ONLINE, False)


def test_a_presence_that_is_none_is_named_and_the_session_begins_online() -> None:
    book = Playbook()
    effects = book.send(2, {"token": token(), "presence": {"status": "asleep"}})
    assert error(effects) == "invalid_data"
    assert len(effects) == 2
    assert (book.session.shown, book.session.shows) == (ONLINE, False)


def test_who_wants_to_be_invisible_is_whatever_else_is_wrong() -> None:
    book = Playbook()
    presence = {"status": "invisible", "custom": {"x": "y" * 300}}
    effects = book.send(2, {"token": token(), "presence": presence})
    assert error(effects) == "too_large"
    assert (book.session.shown, book.session.shows) == (None, True)


def test_a_resume_may_say_what_it_shows() -> None:
    book = Playbook()
    presence = {"status": "invisible"}
    d = {"token": token(), "session_id": mine(), "cursor": cursor(us=1), "presence": presence}
    (resume,) = book.send(6, d)
    assert isinstance(resume, Resume)
    assert (book.session.shown, book.session.shows) == (None, True)


def test_presence_update_is_granted_by_the_shell() -> None:
    book = Playbook()
    session = book.live()
    assert book.send(3, {"status": "idle"}) == [Appear(IDLE)]
    assert session.shown == ONLINE
    assert session.appear(IDLE) == [Attend()]
    assert (session.shown, session.shows) == (IDLE, True)
    custom = {"page": "x" * 300}
    assert error(book.send(3, {"status": "online", "custom": custom})) == "too_large"
    assert error(book.send(3, {"status": "gone"})) == "invalid_data"
    assert error(book.send(3, {})) == "invalid_data"


def test_the_last_subscribe_says_whether_who_is_there_is_told() -> None:
    book = Playbook()
    session = book.live("a")
    assert session.looking == set()
    book.send(20, {"rooms": [{"room": "a", "presence": True}], "nonce": 1})
    assert session.looking == {"a"}
    (join,) = book.send(20, {"rooms": [{"room": "b", "presence": True}, "a"], "nonce": 2})
    assert isinstance(join, Join)
    assert session.looking == {"b"}
    book.send(21, {"rooms": ["b"], "nonce": 3})
    assert session.looking == set()


def test_presence_needs_its_grant() -> None:
    book = Playbook()
    grants = (RoomGrant("a", frozenset({Act.SUBSCRIBE})),)
    live(book, token(grants=grants))
    effects = book.send(20, {"rooms": [{"room": "a", "presence": True}], "nonce": 1})
    assert sent(effects)[0][1]["refused"] == [{"room": "a", "code": "not_permitted"}]
    assert book.session.looking == set()


def test_watch_takes_all_users_or_none() -> None:
    book = Playbook(watched_users=3)
    live(book, watcher("team:*"))
    users = frozenset({"team:bob", "team:cat"})
    assert book.send(24, {"users": sorted(users), "nonce": 1}) == [Watch(users, 1)]
    ack, attend = book.session.watch(users, 1)  # the edge has room
    assert sent([ack]) == [(30, {"nonce": 1})]
    assert attend == Attend()
    assert error(book.send(24, {"users": ["team:dan", "eve"], "nonce": 2})) == "not_permitted"
    assert error(book.send(24, {"users": ["b c"], "nonce": 3})) == "invalid_data"
    many = [f"team:{n}" for n in range(10_000)]
    assert error(book.send(24, {"users": many, "nonce": 4})) == "too_many_users"
    assert book.session.watched == {"team:bob", "team:cat"}
    book.send(25, {"users": ["team:bob", "nobody"], "nonce": 5})
    assert book.session.watched == {"team:cat"}


def test_what_was_sent_before_ready_is_carried_out_one_after_the_other() -> None:
    book = Playbook(watched_users=2)
    book.send(2, {"token": watcher("*"), "rooms": []})
    for op, users in ((24, ["bob"]), (25, ["bob"]), (24, ["cat", "dan"]), (24, ["eve"])):
        assert book.send(op, {"users": users, "nonce": 1}) == []
    codes: list[str | None] = []
    for effect in book.session.entered({}, 1, book.now):
        told: list[Effect] = [effect]
        if isinstance(effect, Watch):
            told = book.session.watch(effect.users, 1)
        codes += [d.get("code") for _, d in sent(told)]
    assert codes == [None, None, None, None, "too_many_users"]
    assert book.session.watched == {"cat", "dan"}


def test_a_fresh_token_that_grants_less_ends_what_it_does_not_grant() -> None:
    book = Playbook()
    live(book, watcher("*"), {"room": "a", "presence": True}, {"room": "b", "presence": True})
    book.session.watch(frozenset({"bob", "cat"}), None)
    rooms = (
        RoomGrant("a", frozenset({Act.SUBSCRIBE})),
        RoomGrant("b", frozenset({Act.SUBSCRIBE, Act.PRESENCE})),
    )
    less = mint(KEY, "ann", rooms, NOW_MS // 1000, 3600, watch=("bob",))
    effects = book.send(28, {"token": less, "nonce": 1})
    assert [d.get("code") for _, d in sent(effects)] == ["not_permitted", "not_permitted", None]
    assert book.session.looking == {"b"}
    assert book.session.watched == {"bob"}
    assert effects[-1] == Attend()


def test_typing_needs_the_right_to_publish() -> None:
    book = Playbook()
    live(book, token(grants=(RoomGrant("a", frozenset({Act.SUBSCRIBE, Act.PUBLISH})),)))
    assert book.send(23, {"room": "a"}) == [Typing("a")]
    assert error(book.send(23, {"room": "b"})) == "not_permitted"
    assert error(book.send(23, {"room": "b c"})) == "invalid_room"


@pytest.mark.parametrize("op", [3, 23, 24, 25])
def test_presence_ops_of_another_shape_end_the_connection(op: int) -> None:
    book = Playbook()
    book.live()
    (close,) = book.send(op, [1])
    assert getattr(close, "code", None) == 4002

"""The client's view of who is where, and what it lets others see."""

from typing import Any

from relay.client.effects import Emit, Hung, Send, Show, Start, Type, Unsubscribe, Watch
from relay.client.events import Presence, Typing, UserPresence, Who
from relay.client.presence import Appearance, Views
from relay.client.wire import Frame
from relay.core.codes import Op
from tests.unit.client_playbook import Playbook

ON, IDLE = Who("online"), Who("idle")


def batch(**d: Any) -> Frame:
    return Frame(0, {"room": "a", "window": 1, "total": 2, **d}, t="PRESENCE_BATCH")


def test_a_room_is_told_at_first_and_then_what_changes() -> None:
    views = Views()
    first = {"first": True, "page": 1, "pages": 1}
    online = {"ana": "online", "bo": "idle"}
    told = views.take(batch(online=online, offline=[], custom={"bo": {"x": 1}}, **first))
    assert told == Presence("a", {"ana": ON, "bo": Who("idle", {"x": 1})}, (), 2)
    told = views.take(batch(online={"bo": "idle", "cy": "dnd"}, offline=["ana", "eve"]))
    assert told == Presence("a", {"bo": IDLE, "cy": Who("dnd")}, ("ana",), 2)
    assert views.online("a") == {"bo": IDLE, "cy": Who("dnd")}
    views.forget("a")
    assert views.online("a") == {}


def test_told_anew_after_a_resume_it_says_what_changed_meanwhile() -> None:
    views = Views()
    views.take(batch(online={"ana": "online", "bo": "online"}, offline=[], first=True))
    told = views.take(batch(online={"bo": "online", "cy": "online"}, offline=[], first=True))
    assert told == Presence("a", {"cy": ON}, ("ana",), 2)


def test_a_list_in_pages_is_one_event() -> None:
    views = Views()
    views.take(batch(online={"old": "online", "u1": "online"}, offline=[], first=True))
    pages = [{"first": True, "page": page, "pages": 3} for page in (1, 2, 3)]
    assert views.take(batch(online={"u1": "online"}, offline=[], **pages[0])) is None
    assert views.take(batch(online={"u2": "online"}, offline=[], **pages[1])) is None
    assert set(views.online("a")) == {"old", "u1"}
    told = views.take(batch(online={"u3": "online"}, offline=[], **pages[2]))
    assert told == Presence("a", {"u2": ON, "u3": ON}, ("old",), 2)
    assert set(views.online("a")) == {"u1", "u2", "u3"}


def test_other_frames_about_presence() -> None:
    views = Views()
    one = Frame(0, {"user": "bo", "status": "dnd", "custom": 5}, t="PRESENCE")
    assert views.take(one) == UserPresence("bo", Who("dnd", 5))
    typing = Frame(0, {"room": "a", "user": "bo", "ts": 9}, t="TYPING")
    assert views.take(typing) == Typing("a", "bo", 9)
    assert views.take(Frame(0, {}, t="MESSAGE")) is None


def test_what_was_too_early_is_said_again_and_only_the_newest_of_it() -> None:
    appearance = Appearance()
    appearance.refused(10, 3)
    assert appearance.due_at is None, "nothing was said"
    appearance.show("idle", None)
    appearance.refused(10, 3)
    assert (appearance.due(12.9), appearance.due(13)) == (None, {"status": "idle"})
    assert appearance.due(20) is None
    appearance.refused(20, None)
    assert appearance.show("dnd", {"a": 1}) == {"status": "dnd", "custom": {"a": 1}}
    assert appearance.due_at is None


def test_it_is_shown_at_once_and_on_every_connection() -> None:
    book = Playbook()
    assert book.do(Show("idle")) == []  # goes out with IDENTIFY
    book.connected("a")
    sent = [effect.d for effect in book.do(Show("dnd", {"x": 1})) if isinstance(effect, Send)]
    assert sent == [{"status": "dnd", "custom": {"x": 1}}]
    book.hears(Op.ERROR, {"code": "rate_limited", "message": "", "retry_after": 4.0})
    again = [e for e in book.wait(4.5) if isinstance(e, Send) and e.op is Op.PRESENCE_UPDATE]
    assert [effect.d for effect in again] == [{"status": "dnd", "custom": {"x": 1}}]
    book.do(Hung(None, ""))
    book.until_open()
    book.hello()
    assert book.sent(Op.RESUME)["presence"] == {"status": "dnd", "custom": {"x": 1}}


def test_users_are_watched_again_on_the_next_connection() -> None:
    book = Playbook().connected("a")
    book.do(Watch(7, ("bo", "cy")))
    book.hears(Op.ACK, {"nonce": 7})
    book.do(Watch(8, ("bo",), on=False))
    book.hears(Op.ACK, {"nonce": 8})
    book.do(Hung(None, ""))
    book.until_open()
    book.hello()
    book.resumed("c1")
    (watch,) = [e.d for e in book.effects if isinstance(e, Send) and e.op is Op.WATCH]
    assert isinstance(watch, dict)
    assert watch["users"] == ["cy"]
    book.hears(Op.DISPATCH, {"user": "cy", "status": "online"}, t="PRESENCE", s=3)
    assert book.all(Emit)[0].event == UserPresence("cy", ON)


def test_typing_is_for_those_who_are_there() -> None:
    book = Playbook()
    assert book.do(Type("a")) == []
    book.connected("a")
    assert book.do(Type("a")) == [Send(Op.TYPING, {"room": "a"})]


def test_what_is_shown_while_it_identifies_or_resumes_is_said_once_it_is_ready() -> None:
    book = Playbook()
    book.do(Show("idle"))
    book.do(Start())
    book.hello()
    assert book.do(Show("dnd")) == []
    book.ready("a")
    said = [e.d for e in book.wait(0.0) if isinstance(e, Send) and e.op is Op.PRESENCE_UPDATE]
    assert said == [{"status": "dnd"}]
    assert book.session.deadline != book.now, "it is not said for ever"


def lost_and_back(book: Playbook) -> list[list[str]]:
    """The connection breaks and comes back; the users who are watched then, per WATCH."""
    book.do(Hung(None, ""))
    book.until_open()
    book.hello()
    book.resumed("c1")
    return watches(book)


def watches(book: Playbook) -> list[list[str]]:
    sent = [e.d for e in book.effects if isinstance(e, Send) and e.op is Op.WATCH]
    return [d["users"] for d in sent if isinstance(d, dict)]


def test_an_unwatch_that_was_not_answered_is_not_undone_by_the_next_connection() -> None:
    book = Playbook().connected("a")
    book.do(Watch(7, ("bo", "cy")))
    book.hears(Op.ACK, {"nonce": 7})
    book.do(Watch(8, ("bo",), on=False))
    assert lost_and_back(book) == [["cy"]]


def test_one_who_may_be_watched_no_more_costs_no_other() -> None:
    book = Playbook().connected("a")
    book.do(Watch(7, ("bo", "cy", "di")))
    book.hears(Op.ACK, {"nonce": 7})
    book.hears(Op.ERROR, {"code": "not_permitted", "message": "", "user": "di"})
    assert lost_and_back(book) == [["bo", "cy"]]
    refused = {"code": "not_permitted", "message": ""}
    book.hears(Op.ERROR, {"nonce": -1, **refused})
    assert watches(book) == [["bo"], ["cy"]]
    book.hears(Op.ERROR, {"nonce": -2, **refused})
    book.hears(Op.ACK, {"nonce": -3})
    assert lost_and_back(book) == [["cy"]]


def test_a_room_of_which_presence_alone_is_lost_is_kept() -> None:
    book = Playbook().connected("a")
    told = book.hears(Op.ERROR, {"code": "not_permitted", "message": "", "presence": "a"})
    assert (told, book.session.rooms) == ([], ("a",))
    told = book.hears(Op.ERROR, {"code": "not_permitted", "message": "", "room": "a"})
    assert [type(effect) for effect in told] == [Emit]
    assert book.session.rooms == ()


def test_of_a_room_that_was_left_nothing_is_kept() -> None:
    book = Playbook().connected("a")
    d = {"room": "a", "online": {"bo": "online"}, "offline": [], "total": 1}
    book.hears(Op.DISPATCH, d | {"first": True}, t="PRESENCE_BATCH", s=3)
    assert book.session.views.online("a") == {"bo": ON}
    book.do(Unsubscribe(9, "a"))
    assert book.session.views.online("a") == {}
    book.hears(Op.DISPATCH, d, t="PRESENCE_BATCH", s=4)  # was on its way
    assert book.session.views.online("a") == {}


def test_of_a_room_too_large_to_be_listed_nobody_is_said_to_have_gone() -> None:
    views = Views()
    views.take(batch(online={"ana": "online", "bo": "online"}, offline=[], first=True))
    told = views.take(batch(online={"bo": "idle"}, offline=[], first=True, partial=True))
    assert told == Presence("a", {"bo": IDLE}, (), 2, partial=True)
    assert views.online("a") == {"bo": IDLE}

"""The client's session, as conversations: what comes in, and what it does about it."""

import pytest

from relay.client.effects import (
    Emit,
    FetchToken,
    Garbled,
    HangUp,
    Hung,
    Open,
    Opened,
    OpenFailed,
    Ping,
    Probe,
    Probed,
    Publish,
    Quit,
    ReadHistory,
    Reject,
    Resolve,
    Send,
    SendRaw,
    Stalled,
    Start,
    Stop,
    Subscribe,
    Tick,
    TokenFailed,
    TokenGiven,
    Unsubscribe,
    Usable,
)
from relay.client.errors import (
    AuthenticationFailed,
    Closed,
    ConnectFailed,
    NothingGranted,
    NotSent,
    Refused,
    Replaced,
    TimedOut,
    Unknown,
)
from relay.client.events import (
    Connected,
    Disconnected,
    Gap,
    Lost,
    Message,
    Reconnecting,
    Resumed,
    RoomRefused,
    Signal,
)
from relay.core.codes import Op
from tests.unit.client_playbook import AWAY, HOME, RESUME_URL, Playbook, kinds

# --- the first connection ------------------------------------------------------------------------


def test_a_new_client_identifies_and_is_usable_after_ready() -> None:
    book = Playbook(rooms=("chat:a",))
    book.do(Start())
    assert book.one(Open).url == f"{HOME}?v=10&encoding=json"
    book.hello()
    assert book.sent(Op.IDENTIFY)["rooms"] == ["chat:a"]
    assert book.sent(Op.IDENTIFY)["token"] == "T"
    assert book.state == "connecting"
    book.ready("chat:a", "auto:b")
    assert len(book.all(Usable)) == 1
    assert book.events == [Connected("eu", "eu-1", "S1")]
    assert book.state == "ready"
    assert book.session.rooms == ("chat:a", "auto:b")
    assert (book.session.user, book.session.cursor) == ("ana", "c0")


def test_a_token_function_is_asked_before_the_socket_is_opened() -> None:
    book = Playbook(token=None, fresh_tokens=True)
    assert kinds(book.do(Start())) == ["FetchToken"]
    assert kinds(book.do(TokenGiven("fresh"))) == ["Open"]
    book.hello()
    assert book.sent(Op.IDENTIFY)["token"] == "fresh"


def test_a_token_function_that_fails_at_the_start_is_the_end() -> None:
    book = Playbook(token=None, fresh_tokens=True)
    book.do(Start(), TokenFailed("OSError: no key"))
    error = book.one(Stop).error
    assert isinstance(error, AuthenticationFailed)
    assert "OSError: no key" in str(error)


def test_every_address_is_tried_once_and_each_reason_is_told() -> None:
    book = Playbook(urls=("ws://a", "ws://b"))
    book.do(Start())
    book.do(OpenFailed("refused"))
    assert book.url == "ws://b"
    book.do(OpenFailed("HTTP 404"))
    error = book.one(Stop).error
    assert isinstance(error, ConnectFailed)
    assert error.reasons == (("ws://a", "refused"), ("ws://b", "HTTP 404"))


def test_an_address_has_less_time_while_others_were_not_tried_at_all() -> None:
    book = Playbook(urls=(HOME, AWAY, "ws://ap-1/gateway"))
    book.do(Start())
    assert book.one(Open).timeout_s == 3.0
    book.do(OpenFailed("did not open within 3 s"))
    assert (book.url, book.one(Open).timeout_s) == (AWAY, 3.0)
    book.do(Opened())
    assert kinds(book.wait(2.9)) == []
    assert book.wait(0.2)[0] == HangUp(4000, "HELLO did not come")
    assert (book.url, book.one(Open).timeout_s) == ("ws://ap-1/gateway", 5.0)
    book.do(Opened())
    assert kinds(book.wait(4.9)) == ["Ping"]
    book.wait(0.2)
    assert book.all(HangUp)[0] == HangUp(4000, "HELLO did not come")
    assert isinstance(book.one(Stop).error, ConnectFailed)


def test_a_busy_edge_is_waited_for_as_it_asks_but_not_for_ever() -> None:
    book = Playbook(timeout_s=8)
    book.do(Start())
    assert not book.all(Stop)
    book.do(OpenFailed("HTTP 503", busy=True, retry_after_s=3.0))
    assert not book.effects
    book.wait(2.9)
    assert not book.all(Open)
    book.wait(0.2)
    assert book.url == HOME
    book.wait(6)
    assert isinstance(book.one(Stop).error, ConnectFailed)
    assert "HTTP 503" in str(book.one(Stop).error)


def test_a_room_that_the_token_does_not_grant_fails_the_connect() -> None:
    book = Playbook(rooms=("chat:a", "chat:b"))
    book.do(Start())
    book.hello()
    book.ready("chat:a")
    error = book.one(Stop).error
    assert isinstance(error, Refused)
    assert error.code == "not_permitted"
    assert "chat:b" in str(error)
    assert book.one(HangUp).code == 1000


@pytest.mark.parametrize(
    ("code", "error"),
    [(4004, AuthenticationFailed), (4014, NothingGranted), (4022, Replaced)],
)
def test_final_close_codes_end_the_client(code: int, error: type[Exception]) -> None:
    book = Playbook()
    book.do(Start())
    book.hello()
    book.do(Hung(code, ""))
    assert isinstance(book.one(Stop).error, error)
    assert book.state == "closed"
    assert book.session.deadline is None


def test_a_refused_token_is_renewed_once() -> None:
    book = Playbook(token=None, fresh_tokens=True)
    book.do(Start(), TokenGiven("old"))
    book.hello()
    assert kinds(book.do(Hung(4004, ""))) == ["FetchToken"]
    book.do(TokenGiven("new"))
    assert book.url == HOME
    book.hello()
    book.do(Hung(4004, ""))
    assert isinstance(book.one(Stop).error, AuthenticationFailed)


# --- resuming ------------------------------------------------------------------------------------


def test_a_lost_connection_is_resumed_by_the_newest_cursor_on_the_edge_that_ready_named() -> None:
    book = Playbook().connected("chat:a")
    book.message(7, c="c7")
    book.hears(Op.HEARTBEAT_ACK, c="c8")
    book.do(Hung(None, "reset"))
    # base 100 ms + half of the 1 s of jitter
    assert book.events == [Disconnected(None, "reset"), Reconnecting(RESUME_URL, 600, 0)]
    assert book.state == "reconnecting"
    assert not book.all(Open)
    book.wait(0.6)
    assert book.one(Open).url == f"{RESUME_URL}?v=10&encoding=json&resume=1"
    book.hello(edge="eu-2")
    assert book.sent(Op.RESUME) == {
        "token": "T",
        "session_id": "S1",
        "cursor": "c8",
        "rooms": ["chat:a"],
    }
    book.message(9, c="c9")
    assert [type(event) for event in book.events] == [Message]
    book.now += 0.4
    book.resumed(cursor="c9", replayed=1, behind={"us": 2})
    assert book.events == [Resumed(1, {"us": 2}, "eu", "eu-2", 1000)]
    assert book.session.cursor == "c9"
    assert book.session.stats.resumes == 1


def test_op_7_and_4021_are_followed_without_a_wait() -> None:
    book = Playbook().connected()
    book.hears(Op.RECONNECT)
    assert book.one(HangUp).code == 4000
    assert book.url == RESUME_URL
    book.hello()
    book.resumed()
    book.do(Hung(4021, "draining"))
    assert book.url == RESUME_URL


def test_after_two_failures_the_next_region_is_tried() -> None:
    book = Playbook(dice=0.0).connected()
    book.do(Hung(None, ""))
    visited = []
    for _ in range(5):
        visited.append(book.until_open())
        book.do(OpenFailed("refused"))
    assert visited == [RESUME_URL, HOME, AWAY, AWAY, RESUME_URL]


def test_a_draining_or_full_edge_is_not_asked_before_its_time() -> None:
    book = Playbook(dice=0.0).connected()
    book.do(Hung(None, ""))
    book.wait(0.1)
    for _ in range(2):
        book.do(OpenFailed("refused"))
        book.wait(1)
    assert book.url == AWAY
    book.do(OpenFailed("HTTP 503", busy=True, retry_after_s=9.0))
    book.wait(8.9)
    assert not book.all(Open)
    book.wait(0.2)
    assert book.url == AWAY


def test_a_lost_session_is_told_before_anything_else_and_identified_anew_on_the_spot() -> None:
    book = Playbook().connected("chat:a")
    book.message(7, c="c7")
    book.do(Hung(None, ""))
    book.wait(1)
    book.hello()
    book.hears(Op.INVALID_SESSION, False, e={"reason": "expired", "missing": {"eu": [8, 20]}})
    assert book.events == [Lost("expired", {"eu": (8, 20)}, "c7")]
    assert book.sent(Op.IDENTIFY)["rooms"] == ["chat:a"]
    assert not book.all(HangUp)
    book.ready("chat:a", cursor="c20")
    assert book.session.cursor == "c20"
    assert book.session.stats.lost == 1


def test_a_bad_cursor_means_a_new_session_on_a_new_connection() -> None:
    book = Playbook().connected("chat:a")
    book.do(Hung(None, ""))
    book.wait(1)
    book.hello()
    book.do(Hung(4007, "invalid seq or cursor"))
    assert book.events[0] == Lost("cursor", {}, "c0")
    book.wait(2)
    assert "resume" not in book.one(Open).url
    book.hello()
    assert book.sent(Op.IDENTIFY)["rooms"] == ["chat:a"]


def test_a_resume_that_may_be_retried_is_repeated_three_times_on_the_same_connection() -> None:
    book = Playbook().connected()
    book.do(Hung(None, ""))
    book.wait(1)
    book.hello()
    for _ in range(3):
        book.hears(Op.INVALID_SESSION, True, e={"reason": "behind"})
        assert book.sent(Op.RESUME)["cursor"] == "c0"
    book.hears(Op.INVALID_SESSION, True, e={"reason": "behind"})
    assert book.one(HangUp).code == 4000
    book.wait(2)
    assert book.url == HOME


def test_a_session_that_no_edge_owns_is_given_up_after_one_asks_without_hurry() -> None:
    # A slow link looks the same to an edge that wants the RESUME within 2 s.
    book = Playbook().connected()
    book.do(Hung(None, ""))
    for asked in ("resume=1", "resume=1", "encoding=json"):
        book.until_open()
        assert asked in book.one(Open).url
        assert ("resume=1" in book.one(Open).url) is (asked == "resume=1")
        book.hello()
        book.do(Hung(4003, "not identified"))
    assert book.events[0] == Lost("session", {}, "c0")


def test_a_session_on_a_slow_link_goes_on_where_the_edge_has_patience() -> None:
    book = Playbook().connected()
    book.do(Hung(None, ""))
    for _ in range(2):
        book.until_open()
        book.hello()
        book.do(Hung(4003, "not identified"))
    book.until_open()
    book.hello()
    book.resumed("c1")
    assert book.state == "ready"
    assert not [event for event in book.events if isinstance(event, Lost)]


@pytest.mark.parametrize("code", [1013, 4000, 4021])
def test_an_edge_that_sends_away_who_has_just_come_is_no_reason_to_give_up(code: int) -> None:
    book = Playbook()
    book.do(Start())
    book.hello()
    if code == 4021:
        book.hears(Op.RECONNECT)
    else:
        book.do(Hung(code, ""))
    assert not book.all(Stop)
    book.until_open()
    book.hello()
    book.ready()
    assert book.state == "ready"


def test_who_is_asked_to_go_elsewhere_while_it_resumes_does_not_wait() -> None:
    book = Playbook().connected()
    book.do(Hung(None, ""))
    book.until_open()
    book.hello()
    book.hears(Op.RECONNECT)
    assert len(book.all(Open)) == 1  # at once


def test_a_token_function_that_fails_while_the_network_is_down_is_asked_again() -> None:
    book = Playbook(token=None, fresh_tokens=True)
    book.do(Start(), TokenGiven("T"))
    book.hello()
    book.ready()
    book.do(Hung(None, ""))
    book.until_open()
    book.hello()
    book.do(Hung(4004, ""))
    assert len(book.all(FetchToken)) == 1
    book.do(TokenFailed("ConnectionError"))
    assert not book.all(Stop)
    book.wait(1)
    assert len(book.all(FetchToken)) == 1
    book.do(TokenGiven("T2"))
    book.until_open()
    book.hello()
    assert book.sent(Op.RESUME)["token"] == "T2"
    book.do(Hung(4004, ""))
    assert len(book.all(Stop)) == 1


def test_a_token_function_that_never_works_again_ends_the_client() -> None:
    book = Playbook(token=None, fresh_tokens=True)
    book.do(Start(), TokenGiven("T"))
    book.hello()
    book.ready()
    book.do(Hung(4004, ""))
    for _ in range(5):
        book.do(TokenFailed("logged out"))
        assert not book.all(Stop)
        book.wait(10)
    book.do(TokenFailed("logged out"))
    assert isinstance(book.one(Stop).error, AuthenticationFailed)


def test_a_room_that_the_session_has_is_kept_when_asking_for_it_again_fails() -> None:
    book = Playbook().connected("chat:a")
    book.do(Hung(None, ""))
    book.do(Subscribe(7, "chat:a"), Subscribe(8, "chat:b"))
    book.wait(31)
    assert len(book.all(Reject)) == 2
    assert book.session.rooms == ("chat:a",)


def test_rooms_that_a_later_token_does_not_grant_are_told_and_dropped() -> None:
    book = Playbook().connected("chat:a", "chat:b")
    book.do(Hung(None, ""))
    book.wait(1)
    book.hello()
    book.resumed(refused=[{"room": "chat:b", "code": "not_permitted"}])
    assert RoomRefused("chat:b", "not_permitted") in book.events
    assert book.session.rooms == ("chat:a",)


def test_an_undecodable_payload_ends_the_connection_but_not_the_session() -> None:
    book = Playbook().connected()
    book.do(Garbled("not JSON"))
    assert book.one(HangUp).code == 4002
    book.wait(1)
    assert len(book.all(Open)) == 1
    book.hello()
    book.hears(Op.DISPATCH, {"room": 5}, t="MESSAGE")
    assert book.one(HangUp).code == 4002


# --- home again ----------------------------------------------------------------------------------


def away() -> Playbook:
    book = Playbook(home_after_s=60).connected()
    book.do(Hung(None, ""))
    for _ in range(2):
        book.wait(3)
        book.do(OpenFailed("refused"))
    book.wait(5)
    assert book.url == AWAY
    book.hello("us", "us-1")
    book.resumed()
    return book


def test_away_from_home_the_way_back_is_probed_first() -> None:
    book = away()
    assert book.session.route.region == "us"
    book.hears(Op.HEARTBEAT_ACK)
    book.session._liveness.closed()  # this test is not about silence
    book.wait(60.1)
    assert book.one(Probe).url == f"{HOME}?v=10&encoding=json"
    book.do(Probed(alive=False))
    assert not book.effects
    book.wait(120.1)
    assert len(book.all(Probe)) == 1
    book.do(Probed(alive=True))
    assert book.one(HangUp).code == 4000
    assert book.url == HOME
    book.hello()
    assert book.sent(Op.RESUME)["session_id"] == "S1"
    book.resumed()
    assert book.session.route.region == "eu"
    assert book.session._homing.deadline is None


def test_a_home_that_is_closed_is_no_failure_and_is_probed_soon_after_it_opened() -> None:
    book = away()
    book.session._liveness.closed()  # this test is not about silence
    book.hears(Op.REGIONS, [{"name": "us", "url": AWAY}])
    for _ in range(10):
        book.wait(60.1)
        assert not book.all(Probe)
    book.hears(Op.REGIONS, [{"name": "us", "url": AWAY}, {"name": "eu", "url": HOME}])
    book.wait(60.1)
    assert len(book.all(Probe)) == 1


# --- is the edge alive? --------------------------------------------------------------------------


def test_the_first_heartbeat_comes_after_a_random_part_of_the_interval() -> None:
    book = Playbook(dice=0.25)
    book.do(Start())
    book.hello()
    book.ready()
    book.wait(4.9)
    assert not book.all(Send)
    book.wait(0.1)
    assert book.sent(Op.HEARTBEAT) == 1
    book.hears(Op.HEARTBEAT_ACK)
    book.hears(Op.DISPATCH, {}, t="TYPING", s=77)
    for _ in range(5):
        book.wait(4)
        book.hears(Op.DISPATCH, {}, t="TYPING", s=78)
    book.hears(Op.HEARTBEAT)
    assert book.sent(Op.HEARTBEAT) == 78


def test_a_heartbeat_without_an_answer_ends_the_connection_with_a_resumable_code() -> None:
    book = Playbook(dice=0.0).connected()
    book.wait(0)  # the first heartbeat
    for _ in range(9):
        book.wait(2.2)
        book.hears(Op.REGIONS, [])  # so it is not silent
        assert not book.all(HangUp)
    book.wait(2)
    assert book.one(HangUp).code == 4000
    assert book.state == "reconnecting"


@pytest.mark.parametrize("before_s", [0.0, 2.5, 4.99])
def test_an_edge_that_froze_is_noticed_within_eleven_seconds(before_s: float) -> None:
    book = Playbook().connected()
    book.wait(before_s)
    book.hears(Op.HEARTBEAT_ACK)
    silent_since = book.now
    while not book.all(HangUp):
        book.wait(0.05)
    assert book.now - silent_since <= 11


def test_our_own_sleep_is_not_taken_for_a_dead_edge() -> None:
    book = Playbook().connected()
    book.wait(5)
    assert len(book.all(Ping)) == 1
    book.now += 300
    book.do(Tick())
    assert not book.all(HangUp)
    book.hears(Op.HEARTBEAT_ACK)
    book.wait(4)
    assert not book.all(HangUp)


def test_while_the_application_is_behind_silence_is_our_own() -> None:
    book = Playbook().connected()
    book.do(Stalled(on=True))
    effects = book.wait(60)
    assert not any(isinstance(effect, HangUp) for effect in effects)
    assert any(isinstance(effect, Send) and effect.op is Op.HEARTBEAT for effect in effects)
    book.do(Stalled(on=False))
    effects = book.wait(30)
    assert any(isinstance(effect, HangUp) for effect in effects)


# --- events --------------------------------------------------------------------------------------


def test_signals_and_gaps_reach_the_application() -> None:
    book = Playbook().connected("chat:a")
    book.hears(Op.DISPATCH, {"room": "chat:a", "data": 1, "user": "bob"}, t="SIGNAL")
    assert book.events == [Signal("chat:a", 1, "bob")]
    gap = {"origin": "eu", "epoch": 1, "first": 3, "last": 9, "reason": "expired"}
    book.hears(Op.DISPATCH, gap, t="GAP")
    assert book.events == [Gap("eu", 1, 3, 9, "expired")]
    book.hears(Op.DISPATCH, gap | {"last": None, "reason": "epoch"}, t="GAP")
    assert book.events == [Gap("eu", 1, 3, None, "epoch")]


def test_what_a_later_version_sends_is_ignored() -> None:
    book = Playbook().connected()
    assert not book.hears(Op.DISPATCH, {"x": 1}, t="SOMETHING")
    assert not book.do(*[])
    assert not book.hears(99)  # type: ignore[arg-type]


def test_repeated_events_are_dropped_and_counted() -> None:
    book = Playbook().connected("chat:a")
    book.message(7, c="c7")
    book.message(7, c="c7b")
    assert not book.events
    book.message(3, c="c8", origin="us", id="id-7")  # the same publish, stored in two regions
    assert not book.events
    assert book.session.cursor == "c8"
    assert (book.session.stats.received, book.session.stats.duplicates) == (1, 2)


# --- rooms ---------------------------------------------------------------------------------------


def test_subscribing_resolves_at_the_ack_and_moves_the_cursor() -> None:
    book = Playbook().connected()
    book.do(Subscribe(1, "chat:a"))
    assert book.sent(Op.SUBSCRIBE) == {"rooms": [{"room": "chat:a"}], "nonce": 1}
    book.hears(Op.ACK, {"nonce": 1, "rooms": ["chat:a"], "refused": []}, c="c5")
    assert book.effects == [Resolve(1)]
    assert book.session.cursor == "c5"
    assert book.session.rooms == ("chat:a",)


def test_a_refused_room_rejects_the_call() -> None:
    book = Playbook().connected()
    book.do(Subscribe(1, "chat:a"))
    refused = [{"room": "chat:a", "code": "not_permitted"}]
    book.hears(Op.ACK, {"nonce": 1, "rooms": [], "refused": refused}, c="c5")
    error = book.one(Reject).error
    assert isinstance(error, Refused)
    assert error.code == "not_permitted"
    assert book.session.rooms == ()


def test_a_since_that_was_cut_starts_over_and_each_event_comes_once() -> None:
    book = Playbook().connected("chat:b")
    book.do(Subscribe(1, "chat:a", since="old"))
    book.message(1)
    book.message(2)
    book.message(9, c="c9", room="chat:b")
    book.do(Hung(None, ""))
    book.wait(1)
    book.hello()
    assert book.sent(Op.RESUME)["rooms"] == ["chat:b"]
    book.resumed(cursor="c9")
    assert book.sent(Op.SUBSCRIBE)["rooms"] == [{"room": "chat:a", "since": "old"}]
    got = []
    for seq in (1, 2, 3):
        book.message(seq)
        got += [event.seq for event in book.events if isinstance(event, Message)]
    assert got == [3]
    book.hears(Op.ACK, {"nonce": 1, "rooms": ["chat:a"], "refused": []}, c="c10")
    assert book.one(Resolve).ticket == 1


def test_a_past_that_is_asked_for_comes_even_if_it_was_seen() -> None:
    book = Playbook().connected()
    book.subscribed("chat:a")
    book.message(7, c="c7")
    book.do(Unsubscribe(2, "chat:a"))
    assert book.sent(Op.UNSUBSCRIBE) == {"rooms": ["chat:a"], "nonce": 2}
    book.hears(Op.ACK, {"nonce": 2})
    book.do(Subscribe(3, "chat:a", since={"last": 1}))
    book.message(7)
    assert [event.seq for event in book.events if isinstance(event, Message)] == [7]


def test_calls_wait_for_the_connection_and_time_out() -> None:
    book = Playbook().connected()
    book.do(Hung(None, ""))
    assert not book.do(ReadHistory(1, "chat:a", 10))
    book.wait(1)
    book.hello()
    book.resumed()
    assert book.sent(Op.HISTORY) == {"room": "chat:a", "limit": 10, "nonce": 1}
    book.session._liveness.closed()
    book.wait(30)
    assert isinstance(book.one(Reject).error, TimedOut)


def test_an_unavailable_subscribe_is_tried_again() -> None:
    book = Playbook().connected()
    book.do(Subscribe(1, "chat:a"))
    book.hears(Op.ERROR, {"nonce": 1, "code": "unavailable", "message": "no NATS"})
    assert not book.effects
    book.wait(1)
    assert book.sent(Op.SUBSCRIBE)["nonce"] == 1


def test_many_calls_are_paced_below_the_edge_s_limit() -> None:
    book = Playbook().connected()
    sent = 0
    for ticket in range(1, 151):
        sent += len(book.do(ReadHistory(ticket, "chat:a", 1)))
    assert sent == 99  # and IDENTIFY
    book.session._liveness.closed()
    book.session._calls._requests._waiting.clear()


def test_an_expiring_token_is_refreshed() -> None:
    book = Playbook(fresh_tokens=True).connected()
    book.hears(Op.ERROR, {"code": "token_expiring", "message": "in 60 s"})
    assert book.effects == [FetchToken()]
    book.do(TokenGiven("fresh"))
    assert book.sent(Op.REFRESH)["token"] == "fresh"
    book.do(Hung(None, ""))
    book.wait(1)
    book.hello()
    assert book.sent(Op.RESUME)["token"] == "fresh"


def test_a_room_that_a_refreshed_token_grants_no_more_is_told_and_dropped() -> None:
    book = Playbook(fresh_tokens=True).connected("chat:a", "chat:b")
    book.hears(Op.ERROR, {"code": "not_permitted", "message": "", "room": "chat:b"})
    assert book.events == [RoomRefused("chat:b", "not_permitted")]
    assert book.session.rooms == ("chat:a",)


# --- the end -------------------------------------------------------------------------------------


def test_quitting_ends_the_session_and_fails_what_waits() -> None:
    book = Playbook().connected()
    book.do(Publish(1, "chat:a", "p1", ephemeral=False, raw=b"1"))
    book.do(Publish(2, "chat:a", "p2", ephemeral=False, raw=b"2"))
    book.do(Subscribe(3, "chat:b"))
    book.do(Quit())
    assert book.effects[0] == HangUp(1000, "")
    assert book.effects[-1] == Stop(None)
    errors = {reject.ticket: type(reject.error) for reject in book.all(Reject)}
    assert errors == {1: Unknown, 2: NotSent, 3: Closed}
    book.do(Subscribe(4, "chat:c"))
    assert isinstance(book.one(Reject).error, Closed)
    assert not book.all(Emit)
    assert not book.all(SendRaw)

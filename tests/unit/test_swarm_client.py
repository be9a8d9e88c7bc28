"""Virtual clients keep to the protocol, and see what is wrong with what they hear."""

import itertools
from collections import Counter
from typing import Any

import msgspec
import pytest

from regions.swarm.client import ATTEMPT_S, Client, Coding, Phase
from regions.swarm.figures import (
    ACKED,
    DECLARED,
    DELIVERED,
    LOOKED_INTO,
    MISSING,
    PUBLISHED,
    REPEATED,
    RETRIED,
    SESSIONS_LOST,
    WITHHELD,
    Tally,
)
from regions.swarm.line import End
from regions.swarm.listener import REPLAY, Listener
from regions.swarm.voice import WAITING, Voice
from relay.client.bodies import Hello
from relay.core.codes import Op

US, EU = "ws://us-1/gateway", "ws://eu-1/gateway"


class Wire:
    """A connection that writes down what is sent."""

    def __init__(self, url: str, *, resume: bool) -> None:
        self.url, self.resume = url, resume
        self.sent: list[dict[str, Any]] = []
        self.over = ""
        self.reading = True

    def send(self, body: bytes) -> None:
        self.sent.append(msgspec.json.decode(body))

    def close(self, code: int) -> None:
        self.over = str(code)

    def cut(self) -> None:
        self.over = "cut"

    def read(self, reading: bool) -> None:
        self.reading = reading


class Stand:
    """What the clients under test stand on; time passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.coding = Coding("json")
        self.tally = Tally()
        self.wires: list[Wire] = []
        self.timers: list[tuple[float, Client]] = []
        self.now_s = 1_000.0
        self.live = 0
        monkeypatch.setattr("regions.swarm.client.time.monotonic", lambda: self.now_s)
        monkeypatch.setattr(
            "regions.swarm.client.time.monotonic_ns", lambda: round(self.now_s * 1e9)
        )

    @property
    def counts(self) -> Counter[str]:
        return self.tally.counts

    @property
    def wire(self) -> Any:
        return self.wires[-1]

    def token(self, user: str) -> str:
        return f"token of {user}"

    def dial(self, client: Client, url: str, *, resume: bool) -> Any:
        del client
        self.wires.append(Wire(url, resume=resume))
        return self.wires[-1]

    def hello(self, d: bytes) -> Hello:
        return self.coding.hello(d)  # type: ignore[no-any-return]

    def after(self, delay_s: float, client: Client) -> None:
        self.timers.append((self.now_s + delay_s, client))

    def dice(self) -> float:
        return 0.5

    def is_live(self, _client: Client) -> None:
        self.live += 1

    def is_gone(self, _client: Client) -> None:
        self.live -= 1

    def passes(self, seconds: float) -> None:
        self.now_s += seconds
        due = [one for one in self.timers if one[0] <= self.now_s]
        self.timers = [one for one in self.timers if one[0] > self.now_s]
        for _, client in due:
            client.again()

    def hears(self, client: Client, op: Op, d: object = None, **more: object) -> None:
        client.heard(self.wire, msgspec.json.encode({"op": int(op), "d": d, **more}))

    def greets(self, client: Client, region: str = "us") -> None:
        regions = [{"name": "us", "url": US}, {"name": "eu", "url": EU}]
        d = {"heartbeat_interval": 20_000, "region": region, "regions": regions}
        self.hears(client, Op.HELLO, d)

    def welcomes(self, client: Client, cursor: str = "c1") -> None:
        d = {"session_id": "s1", "cursor": cursor, "resume_gateway_url": EU}
        self.hears(client, Op.DISPATCH, d, t="READY")

    def resumes(self, client: Client, cursor: str = "c2") -> None:
        self.hears(client, Op.DISPATCH, {"cursor": cursor}, t="RESUMED")

    def says(self, client: Client, number: int, *, voice: str = "0.0", cursor: str = "c") -> None:
        data = {"v": voice, "n": number, "t": round((self.now_s - 0.25) * 1e9), "pad": ""}
        d = {"room": "r", "origin": "eu", "data": data}
        self.hears(client, Op.DISPATCH, d, t="MESSAGE", c=cursor)


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    return Stand(monkeypatch)


def listener(stand: Stand, *, ears: bool = True, slow: bool = False) -> Listener:
    return Listener(stand, "ana", [US, EU], ["r"], ears=ears, slow=slow)


def live(stand: Stand, client: Client) -> Client:
    client.come()
    stand.greets(client)
    stand.welcomes(client)
    assert client.phase is Phase.LIVE
    return client


# --- coming, going, coming back -------------------------------------------------------------------


def test_it_identifies_and_says_how_long_that_took(stand: Stand) -> None:
    client = listener(stand)
    client.come()
    client.come()
    assert [(wire.url, wire.resume) for wire in stand.wires] == [(US, False)]
    stand.now_s += 0.5
    stand.greets(client)
    assert stand.wire.sent == [{"op": 2, "d": {"token": "token of ana", "rooms": ["r"]}}]
    stand.welcomes(client)
    counts, times = stand.tally.take()
    assert (counts["opened"], stand.live) == (1, 1)
    assert sum(times["connect"].values()) == 1
    assert client.region == "us"


def test_a_broken_one_resumes_after_a_wait_where_the_edge_said(stand: Stand) -> None:
    client = live(stand, listener(stand))
    stand.says(client, 1, cursor="c7")
    client.ended(stand.wire, End())
    assert (client.phase, stand.live) == (Phase.WAITING, 0)
    assert stand.counts["lost: broken"] == 1
    stand.passes(0.1)
    assert len(stand.wires) == 1, "it waits"
    stand.passes(2.0)
    assert stand.wire.resume
    stand.greets(client)
    [sent] = stand.wire.sent
    assert sent["op"] == Op.RESUME
    assert (sent["d"]["session_id"], sent["d"]["cursor"]) == ("s1", "c7")
    stand.resumes(client)
    counts, times = stand.tally.take()
    assert counts["resumed"] == 1
    assert sum(times["back"].values()) == 1


def test_one_that_is_sent_away_comes_back_at_once(stand: Stand) -> None:
    client = live(stand, listener(stand))
    stand.hears(client, Op.RECONNECT)
    assert stand.wires[0].over == "4000"
    stand.passes(0.0)
    assert len(stand.wires) == 2


def test_a_refusal_is_counted_and_its_wait_is_kept_to(stand: Stand) -> None:
    client = Listener(stand, "ana", [US], ["r"], ears=True, slow=False)
    client.come()
    client.ended(stand.wire, End(status=503, retry_after_s=4.0))
    stand.passes(3.9)
    assert len(stand.wires) == 1
    stand.passes(0.2)
    assert len(stand.wires) == 2
    assert stand.counts["refused 503"] == 1


def test_one_that_is_refused_tries_the_next_address_at_once(stand: Stand) -> None:
    client = listener(stand)
    client.come()
    client.ended(stand.wire, End(status=503, retry_after_s=4.0))
    stand.passes(0.0)
    assert [wire.url for wire in stand.wires] == [US, EU]


def test_one_that_hears_nothing_gives_up_and_tries_again(stand: Stand) -> None:
    client = listener(stand)
    client.come()
    stand.passes(ATTEMPT_S)
    assert stand.wires[0].over == "cut"
    assert stand.counts["not let in: nothing came"] == 1
    stand.passes(5.0)
    assert len(stand.wires) == 2
    stand.passes(1.0)
    assert len(stand.wires) == 2, "a timer of before does not count"


def test_a_heart_that_is_not_answered_is_a_dead_edge(stand: Stand) -> None:
    client = live(stand, listener(stand))
    client.heartbeat()
    stand.hears(client, Op.HEARTBEAT_ACK, c="c9")
    assert client.cursor == "c9"
    client.heartbeat()
    client.heartbeat()
    assert stand.wires[0].over == "cut"
    assert stand.counts["lost: no heartbeat answered"] == 1


def test_a_session_that_is_refused_for_good_begins_anew(stand: Stand) -> None:
    client = live(stand, listener(stand))
    stand.says(client, 4)
    client.ended(stand.wire, End(code=4000))
    stand.passes(5.0)
    stand.greets(client)
    stand.hears(client, Op.INVALID_SESSION, True)
    assert [sent["op"] for sent in stand.wire.sent] == [6, 6], "later it may do"
    stand.hears(client, Op.INVALID_SESSION, False)
    assert stand.wire.sent[-1]["op"] == Op.IDENTIFY
    assert stand.counts[SESSIONS_LOST] == 1
    stand.welcomes(client)
    stand.says(client, 9)
    assert not stand.counts[MISSING], "what came meanwhile was lost with the session, and said so"


def test_a_close_that_forbids_to_come_back_is_kept_to(stand: Stand) -> None:
    client = live(stand, listener(stand))
    client.ended(stand.wire, End(code=4004))
    stand.passes(60.0)
    assert (len(stand.wires), client.phase, stand.counts["stopped"]) == (1, Phase.AWAY, 1)


def test_who_goes_in_order_is_new_and_who_is_cut_resumes(stand: Stand) -> None:
    client = live(stand, listener(stand))
    client.leave(cut=True)
    assert stand.wires[0].over == "cut"
    client.come()
    stand.greets(client)
    assert stand.wire.sent[0]["op"] == Op.RESUME
    stand.resumes(client)
    client.leave(cut=False)
    assert stand.wire.over == "1000"
    client.come()
    stand.greets(client)
    assert stand.wire.sent[0]["op"] == Op.IDENTIFY
    assert stand.live == 0


def test_what_an_old_connection_says_is_not_heard(stand: Stand) -> None:
    client = live(stand, listener(stand))
    old: Any = stand.wires[0]
    client.hang_up("test")
    stand.passes(5.0)
    client.ended(old, End(code=4004))
    client.heard(old, b"nonsense")
    assert client.phase is Phase.OPENING


# --- what a listener hears ------------------------------------------------------------------------


def test_what_is_missing_and_what_comes_twice_is_counted(stand: Stand) -> None:
    client = live(stand, listener(stand))
    for number in (3, 4, 7, 7, 8):
        stand.says(client, number)
    stand.says(client, 1, voice="0.1")
    counts, times = stand.tally.take()
    assert (counts[DELIVERED], counts[LOOKED_INTO]) == (6, 6)
    assert (counts[MISSING], counts[REPEATED]) == (2, 1)
    assert sum(times["delivery eu>us"].values()) == 5


def test_what_a_gap_declares_is_not_missing(stand: Stand) -> None:
    client = live(stand, listener(stand))
    stand.says(client, 3)
    d = {"origin": "eu", "epoch": 1, "first": 4, "last": 8, "reason": "expired"}
    stand.hears(client, Op.DISPATCH, d, t="GAP")
    stand.says(client, 9)
    assert (stand.counts[DECLARED], stand.counts[MISSING]) == (1, 0)


def test_what_is_replayed_is_timed_apart(stand: Stand) -> None:
    client = live(stand, listener(stand))
    client.ended(stand.wire, End())
    stand.passes(5.0)
    stand.greets(client)
    stand.says(client, 1)
    stand.resumes(client)
    _, times = stand.tally.take()
    assert sum(times[REPLAY].values()) == 1


def test_one_without_ears_counts_and_keeps_its_cursor(stand: Stand) -> None:
    client = live(stand, listener(stand, ears=False))
    for number in (1, 5):
        stand.says(client, number, cursor=f"c{number}")
    assert (stand.counts[DELIVERED], stand.counts[LOOKED_INTO], stand.counts[MISSING]) == (2, 0, 0)
    client.ended(stand.wire, End())
    assert client.cursor == "c5"


def test_what_it_is_short_of_is_what_was_said_and_did_not_come(stand: Stand) -> None:
    client = live(stand, listener(stand))
    assert isinstance(client, Listener)
    stand.says(client, 4)
    assert client.short_of({"0.0": {"r": 6, "other": 9}, "0.1": {"r": 5}}) == 2
    assert client.short_of({"0.0": {"r": 4}}) == 0
    client.leave(cut=True)
    assert client.short_of({"0.0": {"r": 6}}) == 0


def test_a_slow_one_looks_into_nothing(stand: Stand) -> None:
    client = live(stand, listener(stand, slow=True))
    client.read(False)
    assert stand.wire.reading is False


# --- what a voice says ----------------------------------------------------------------------------


def voice(stand: Stand) -> Voice:
    one = Voice(stand, "v", [US], "0.0", "xx")
    live(stand, one)
    stand.wire.sent.clear()
    return one


def due(stand: Stand) -> int:
    return round(stand.now_s * 1e9)


def nonces(wire: Wire) -> list[int]:
    return [sent["d"]["nonce"] for sent in wire.sent]


def test_events_of_a_room_are_numbered_and_timed_from_when_they_were_due(stand: Stand) -> None:
    one = voice(stand)
    one.publish("a", due(stand))
    one.publish("a", due(stand))
    one.publish("b", due(stand))
    assert [(s["d"]["room"], s["d"]["data"]["n"], s["d"]["id"]) for s in stand.wire.sent] == [
        ("a", 1, "1"), ("a", 2, "2"), ("b", 1, "1"),
    ]  # fmt: skip
    stand.now_s += 0.5
    for nonce in (1, 2, 3):
        stand.hears(one, Op.ACK, {"nonce": nonce})
    stand.hears(one, Op.ACK, {"nonce": 3, "duplicate": True})
    counts, times = stand.tally.take()
    assert (counts[PUBLISHED], counts[ACKED], one.spoken) == (3, 3, {"a": 2, "b": 1})
    assert sum(times["ack"].values()) == 3


def test_what_has_no_answer_goes_out_again_in_order_over_the_next_connection(
    stand: Stand,
) -> None:
    one = voice(stand)
    for _ in range(3):
        one.publish("a", due(stand))
    stand.hears(one, Op.ACK, {"nonce": 2})
    one.ended(stand.wire, End())
    one.publish("a", due(stand))
    stand.passes(5.0)
    stand.greets(one)
    stand.resumes(one)
    assert [s["d"]["nonce"] for s in stand.wire.sent if s["op"] == Op.PUBLISH] == [1, 3, 4]
    assert stand.counts[RETRIED] == 2, "the last had not been sent"


def test_what_is_to_come_later_holds_back_what_is_behind_it(stand: Stand) -> None:
    one = voice(stand)
    one.publish("a", due(stand))
    one.publish("a", due(stand))
    stand.hears(one, Op.ERROR, {"nonce": 1, "code": "unavailable"})
    stand.hears(one, Op.ERROR, {"nonce": 2, "code": "unavailable"})
    one.publish("a", due(stand))
    assert nonces(stand.wire) == [1, 2]
    stand.passes(0.3)
    assert nonces(stand.wire) == [1, 2, 1, 2, 3]
    assert stand.counts["publish: unavailable"] == 2


def test_what_is_refused_for_good_is_counted_and_forgotten(stand: Stand) -> None:
    one = voice(stand)
    one.publish("a", due(stand))
    stand.hears(one, Op.ERROR, {"nonce": 1, "code": "not_permitted"})
    stand.hears(one, Op.ERROR, {"code": "token_expiring"})
    assert (one.waiting, stand.counts["publish: not_permitted"]) == (0, 1)


def test_there_is_a_bound_to_what_may_wait(stand: Stand) -> None:
    one = voice(stand)
    for _ in itertools.repeat(None, WAITING + 5):
        one.publish("a", due(stand))
    assert (one.waiting, stand.counts[WITHHELD]) == (WAITING, 5)


def test_msgpack_is_read_and_told_apart_by_its_first_bytes() -> None:
    coding = Coding("msgpack")
    body = msgspec.msgpack.encode({"op": 0, "d": {"x": 1}, "s": 1, "t": "MESSAGE", "c": "c"})
    assert body.startswith(coding.dispatch, coding.dispatch_at)
    assert coding.payload(body).t == "MESSAGE"
    assert not msgspec.msgpack.encode({"op": 11}).startswith(coding.dispatch, coding.dispatch_at)

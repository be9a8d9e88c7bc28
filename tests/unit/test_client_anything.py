"""Whatever an edge and the network do, in whatever order, the session keeps its promises."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.client.effects import (
    FetchToken,
    HangUp,
    Heard,
    Hung,
    Input,
    Open,
    Opened,
    OpenFailed,
    Probe,
    Probed,
    Publish,
    Received,
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
)
from relay.client.session import Session
from relay.client.settings import Settings, State
from relay.client.wire import Frame
from relay.core.codes import CLOSES, Op
from tests.unit.client_playbook import HOME, REGIONS, message

ROOMS = st.sampled_from(["chat:a", "chat:b"])
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["nonce", "code", "rooms", "room", "seq", "d"]), inner)
    ),
    max_leaves=5,
)
READY = {
    "user": {"id": "ana"},
    "session_id": "S",
    "cursor": "c",
    "rooms": ["chat:a"],
    "region": "eu",
    "edge": "eu-1",
}


class Network(RuleBasedStateMachine):
    """A shell and an edge that do anything that they can do."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.session = Session(
            Settings((HOME, "ws://b"), ("chat:a",), fresh_tokens=True), lambda: 0.5
        )
        self.link = "none"  # none, opening, open
        self.asked = 0  # tokens
        self.probing = 0
        self.waiting: set[int] = set()
        self.tickets = 0
        self.stopped = 0
        self.usable = False
        self.give(Start())

    def give(self, event: Input) -> None:
        for effect in self.session.handle(event, self.now):
            match effect:
                case Open():
                    assert self.link == "none", "one connection at a time"
                    self.link = "opening"
                case HangUp():
                    self.link = "none"
                case Send() | SendRaw():
                    assert self.link == "open", "nothing is sent into the void"
                case FetchToken():
                    self.asked += 1
                case Probe():
                    self.probing += 1
                case Resolve(ticket) | Reject(ticket):
                    if ticket > 0:
                        self.waiting.remove(ticket)  # each call ends once
                case Stop():
                    self.stopped += 1

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.give(Tick())

    @rule()
    def deadline_comes(self) -> None:
        if (deadline := self.session.deadline) is not None:
            self.now = max(self.now, deadline)
            self.give(Tick())

    @precondition(lambda self: self.link == "opening")
    @rule()
    def opens(self) -> None:
        self.link = "open"
        self.give(Opened())
        regions: Any = REGIONS
        hello = {"heartbeat_interval": 20_000, "region": "eu", "edge": "e", "regions": regions}
        self.give(Received(Frame(int(Op.HELLO), hello)))

    @precondition(lambda self: self.link == "opening")
    @rule(busy=st.booleans(), after=st.none() | st.floats(0, 20))
    def does_not_open(self, busy: bool, after: float | None) -> None:
        self.link = "none"
        self.give(OpenFailed("no", busy=busy, retry_after_s=after))

    @precondition(lambda self: self.link == "open")
    @rule(code=st.none() | st.sampled_from([1000, 1001, 1006, *CLOSES]))
    def ends(self, code: int | None) -> None:
        self.link = "none"
        self.give(Hung(code, ""))

    @precondition(lambda self: self.link == "open")
    @rule(name=st.sampled_from(["READY", "RESUMED"]))
    def settles(self, name: str) -> None:
        self.give(Received(Frame(int(Op.DISPATCH), {**READY}, t=name, s=1)))

    @precondition(lambda self: self.link == "open")
    @rule(seq=st.integers(1, 20), cursor=st.none() | st.just("c1"), room=ROOMS)
    def event_comes(self, seq: int, cursor: str | None, room: str) -> None:
        d = message(seq, room=room)
        self.give(Received(Frame(int(Op.DISPATCH), d, t="MESSAGE", c=cursor)))

    @precondition(lambda self: self.link == "open")
    @rule(retry=st.booleans())
    def session_is_invalid(self, retry: bool) -> None:
        self.give(Received(Frame(int(Op.INVALID_SESSION), retry, e={"reason": "epoch"})))

    @precondition(lambda self: self.link == "open")
    @rule(op=st.sampled_from([7, 11, 1, 27, 10, 99]), d=st.none() | JUNK)
    def edge_says(self, op: int, d: Any) -> None:
        self.give(Received(Frame(op, d)))

    @precondition(lambda self: self.link == "open")
    @rule(op=st.sampled_from([*Op]), d=JUNK, t=st.sampled_from([None, "READY", "GAP", "MESSAGE"]))
    def edge_says_junk(self, op: Op, d: Any, t: str | None) -> None:
        self.give(Received(Frame(int(op), d, t=t)))

    @precondition(lambda self: self.link == "open")
    @rule(data=st.data(), ok=st.sampled_from(["ack", "unavailable", "not_permitted"]))
    def answers(self, data: st.DataObject, ok: str) -> None:
        ticket = data.draw(st.integers(-2, self.tickets + 1))
        if ok == "ack":
            d = {"nonce": ticket, "rooms": ["chat:a", "chat:b"], "id": "x"}
            self.give(Received(Frame(int(Op.ACK), d)))
        else:
            self.give(Received(Frame(int(Op.ERROR), {"nonce": ticket, "code": ok})))

    @rule(room=ROOMS, kind=st.sampled_from([Subscribe, Unsubscribe, Publish]))
    def application_calls(self, room: str, kind: Any) -> None:
        self.tickets += 1
        self.waiting.add(self.tickets)
        if kind is Publish:
            self.give(Publish(self.tickets, room, f"p{self.tickets}", ephemeral=False, raw=b""))
        else:
            self.give(kind(self.tickets, room))

    @precondition(lambda self: self.asked)
    @rule(ok=st.booleans())
    def token_comes(self, ok: bool) -> None:
        self.asked -= 1
        self.give(TokenGiven("T") if ok else TokenFailed("no"))

    @precondition(lambda self: self.probing)
    @rule(alive=st.booleans())
    def probe_ends(self, alive: bool) -> None:
        self.probing -= 1
        self.give(Probed(alive))

    @precondition(lambda self: self.link == "open")
    @rule(on=st.booleans())
    def application_lags(self, on: bool) -> None:
        self.give(Stalled(on))

    @precondition(lambda self: self.link == "open")
    @rule()
    def pong(self) -> None:
        self.give(Heard())

    @invariant()
    def it_stops_once_and_then_owes_nothing(self) -> None:
        assert self.stopped == (self.session.state is State.CLOSED)
        if self.stopped:
            assert not self.waiting
            assert self.link == "none"
            assert self.session.deadline is None

    @invariant()
    def it_never_waits_for_nothing(self) -> None:
        if not self.stopped:
            assert self.session.deadline is not None or self.asked or self.link != "none"


TestAnything = Network.TestCase
TestAnything.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

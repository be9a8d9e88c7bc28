"""Conversations with the client's session: inputs in, effects out, on a clock of the test's own."""

from collections.abc import Iterable
from typing import Any, TypeVar

from relay.client.effects import (
    Effect,
    Emit,
    Input,
    Open,
    Opened,
    Received,
    Send,
    Start,
    Subscribe,
    Tick,
)
from relay.client.events import Event
from relay.client.session import Session
from relay.client.settings import Settings
from relay.client.wire import Frame
from relay.core.codes import Op

T = TypeVar("T")
HOME, AWAY = "ws://eu-1/gateway", "ws://us-1/gateway"
REGIONS = [{"name": "eu", "url": HOME}, {"name": "us", "url": AWAY}]
RESUME_URL = "ws://eu-2/gateway"


class Playbook:
    """A session, and what it did last. `dice` is what every throw gives."""

    def __init__(self, dice: float = 0.5, **settings: Any) -> None:
        settings = {"urls": (HOME,), "token": "T", **settings}
        self.session = Session(Settings(**settings), lambda: dice)
        self.now = 1000.0
        self.effects: list[Effect] = []

    def do(self, *events: Input) -> list[Effect]:
        """Give inputs; returns and keeps all effects of them."""
        self.effects = [e for event in events for e in self.session.handle(event, self.now)]
        return self.effects

    def wait(self, seconds: float) -> list[Effect]:
        """Let time pass, with a Tick at every deadline on the way."""
        end = self.now + seconds
        effects: list[Effect] = []
        while (deadline := self.session.deadline) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            effects += self.session.handle(Tick(), self.now)
        self.now = end
        self.effects = effects
        return effects

    def until_open(self) -> str:
        """Let time pass until the next attempt; its address."""
        while not self.all(Open):
            deadline = self.session.deadline
            assert deadline is not None
            self.wait(max(0.0, deadline - self.now))
        return self.url

    def hears(self, op: Op, d: object = None, **keys: Any) -> list[Effect]:
        """The edge sends a payload."""
        return self.do(Received(Frame(int(op), d, **keys)))

    def hello(self, region: str = "eu", edge: str = "eu-1") -> list[Effect]:
        """The WebSocket opens and HELLO comes."""
        self.do(Opened())
        hello = {"heartbeat_interval": 20_000, "region": region, "edge": edge, "regions": REGIONS}
        return self.hears(Op.HELLO, hello)

    def ready(self, *rooms: str, cursor: str = "c0", region: str = "eu") -> list[Effect]:
        """READY comes."""
        d = {
            "v": 10,
            "user": {"id": "ana"},
            "session_id": "S1",
            "resume_gateway_url": RESUME_URL,
            "cursor": cursor,
            "rooms": list(rooms),
            "region": region,
            "edge": f"{region}-1",
            "regions": REGIONS,
        }
        return self.hears(Op.DISPATCH, d, t="READY", s=1)

    def resumed(self, cursor: str | None = None, **d: Any) -> list[Effect]:
        """RESUMED comes."""
        body = {"replayed": 0, "behind": {}, "rooms": [], "refused": [], "cursor": cursor, **d}
        return self.hears(Op.DISPATCH, body, t="RESUMED", s=2)

    def message(self, seq: int, c: str | None = None, **d: Any) -> list[Effect]:
        """A MESSAGE comes; `c` None: without a cursor, as replayed for a `since`."""
        return self.hears(Op.DISPATCH, message(seq, **d), t="MESSAGE", c=c)

    def connected(self, *rooms: str) -> "Playbook":
        """From the start to READY."""
        self.do(Start())
        self.hello()
        self.ready(*rooms)
        return self

    def subscribed(self, room: str, since: str | None = None, ticket: int = 1) -> None:
        """SUBSCRIBE and its ACK."""
        self.do(Subscribe(ticket, room, since))
        self.hears(Op.ACK, {"nonce": ticket, "rooms": [room], "refused": []}, c="c-sub")

    # --- what it did ---------------------------------------------------------------------------

    def one(self, kind: type[T]) -> T:
        """The only effect of this kind."""
        (effect,) = self.all(kind)
        return effect

    def all(self, kind: type[T]) -> list[T]:
        """The last effects of this kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def events(self) -> list[Event]:
        """What the application got last."""
        return [emit.event for emit in self.all(Emit)]

    @property
    def state(self) -> str:
        """The client's state."""
        return self.session.state.value

    @property
    def url(self) -> str:
        """Where it went last, without the query."""
        return self.one(Open).url.partition("?")[0]

    def sent(self, op: Op) -> Any:
        """`d` of the only payload of this opcode that was sent last."""
        (d,) = [effect.d for effect in self.all(Send) if effect.op is op]
        return d


def message(seq: int, **d: Any) -> dict[str, Any]:
    """MESSAGE.d"""
    usual = {
        "room": "chat:a",
        "data": seq,
        "user": "bob",
        "id": f"id-{seq}",
        "origin": "eu",
        "epoch": 1,
        "seq": seq,
        "ts": 1_700_000_000_000 + seq,
    }
    return usual | d


def kinds(effects: Iterable[object]) -> list[str]:
    """The names of the effects, in order."""
    return [type(effect).__name__ for effect in effects]

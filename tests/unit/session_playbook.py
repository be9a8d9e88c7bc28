"""Conversations with the edge's session: client frames and time in, effects out."""

from typing import Any

import msgspec

from relay.config import Limits, TokenKey
from relay.core.cursor import Cursor, CursorCodec, Position
from relay.core.effects import Close, Effect, Enter, Resume, Send
from relay.core.grants import Act, RoomGrant
from relay.core.session import Instant, Rules, Session
from relay.core.session_id import SessionIds
from relay.core.tokens import mint, token_rules
from relay.core.wire import JSON, Codec

KEY = TokenKey("k1", "HS256", "11" * 32)
CURSORS = CursorCodec(b"c" * 32)
SESSION_IDS = SessionIds(b"s" * 32)
NOW_MS = 1_800_000_000_000
EVERYTHING = (RoomGrant("*", frozenset(Act)),)


def token(user: str = "ann", grants: tuple[RoomGrant, ...] = EVERYTHING, ttl_s: int = 3600) -> str:
    """A token that is good from now on."""
    return mint(KEY, user, grants, NOW_MS // 1000, ttl_s)


def cursor(**seqs: int) -> str:
    """A cursor of epoch 1."""
    places = {origin: Position(1, seq) for origin, seq in seqs.items()}
    return CURSORS.encode(Cursor("us", places))


def mine(user: str = "ann") -> str:
    """The id of a session of this user."""
    return SESSION_IDS.make("_", user, b"r" * 16)


class Playbook:
    """A session on a clock of the test's own."""

    def __init__(self, codec: Codec[Any] = JSON, *, resuming: bool = False, **limits: Any) -> None:
        rules = Rules(
            Limits(**limits),
            token_rules([KEY], None, tenant=False, lifetime_s=86_400),
            SESSION_IDS,
            CURSORS,
        )
        self.codec = codec
        self.at_s = 100.0
        self.session = Session(rules, codec, bytes(range(16)), self.now, resuming=resuming)

    @property
    def now(self) -> Instant:
        """This moment."""
        return Instant(self.at_s, NOW_MS + int((self.at_s - 100) * 1000))

    def wait(self, seconds: float) -> list[Effect]:
        """Let time pass, and tick."""
        self.at_s += seconds
        return self.session.tick(self.now)

    def send(self, op: int, d: object = None) -> list[Effect]:
        """The client sends a payload."""
        return self.raw(msgspec.json.encode({"op": op, "d": d}))

    def raw(self, frame: bytes) -> list[Effect]:
        """The client sends these bytes."""
        return self.session.receive(frame, self.now)

    def identify(self, *rooms: object, user: str = "ann") -> Enter:
        """The client identifies; what the shell is asked for."""
        (effect,) = self.send(2, {"token": token(user), "rooms": list(rooms)})
        assert isinstance(effect, Enter), effect
        return effect

    def live(self, *rooms: object) -> Session:
        """An identified session, its rooms joined."""
        self.identify(*rooms)
        list(self.session.entered({}, 1, self.now))
        return self.session

    def resume(self, session_id: str, **d: object) -> Resume:
        """The client resumes; what the shell is asked for."""
        (effect,) = self.send(6, {"token": token(), "session_id": session_id, **d})
        assert isinstance(effect, Resume), effect
        return effect


def sent(effects: list[Effect]) -> list[tuple[int, Any]]:
    """(op, d) of what is sent."""
    return [(e.payload.op, e.payload.d) for e in effects if isinstance(e, Send)]


def error(effects: list[Effect]) -> str:
    """The code of the one ERROR that is sent."""
    (one,) = [d for op, d in sent(effects) if op == 31]
    assert isinstance(one["code"], str)
    return one["code"]


def closed(effects: list[Effect]) -> int:
    """The code of the one effect, a close."""
    (effect,) = effects
    assert isinstance(effect, Close), effect
    return effect.code

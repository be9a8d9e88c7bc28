"""Takeovers: a session that is resumed is closed wherever else it still has a connection."""

from collections import OrderedDict, deque

import msgspec

from relay.core.presence import Said

MINUTE_S = 60.0
REPEAT_S = 60.0  # how long a resume is announced
MAX_SESSIONS = 100_000


class Takeover(msgspec.Struct, frozen=True, omit_defaults=True):
    """An edge resumed a session; or, with `displaced`, closed a live connection of it; or, with
    `told`, had it until then, and says what others saw of it; `former`: not until then, but before.
    """

    session: str
    edge: str
    epoch: int
    resumed_at: int  # Unix ms; with `told`: of the resume that it answers
    displaced: bool = False
    told: bool = False
    shown: Said = None
    former: bool = False


_decoder = msgspec.json.Decoder(list[Takeover])


def decode_takeovers(data: bytes) -> list[Takeover]:
    """The announcements in a message; none when it is no list of them."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return []


class Takeovers:
    """What one edge knows of sessions that moved, bounded."""

    def __init__(self) -> None:
        self._displaced: OrderedDict[str, deque[float]] = OrderedDict()
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._mine: OrderedDict[str, tuple[Takeover, float]] = OrderedDict()

    def resumed(self, takeover: Takeover, now_s: float) -> None:
        """This edge resumed a session: announced again for a minute."""
        self._mine[takeover.session] = (takeover, now_s)
        self._mine.move_to_end(takeover.session)
        while len(self._mine) > MAX_SESSIONS:
            self._mine.popitem(last=False)

    def heard(self, takeover: Takeover) -> bool:
        """Another edge resumed a session. Whether that is news: this edge has not resumed it since,
        though the connection may be gone again.
        """
        mine = self._mine.get(takeover.session)
        if mine is not None and mine[0].resumed_at >= takeover.resumed_at:
            return False
        self._mine.pop(takeover.session, None)  # the later one is announced, where it was
        self._newest[takeover.session] = max(self.newest(takeover.session), takeover.resumed_at)
        self._newest.move_to_end(takeover.session)
        while len(self._newest) > MAX_SESSIONS:
            self._newest.popitem(last=False)
        return True

    def newest(self, session: str) -> int:
        """When the session was last resumed elsewhere, as far as heard; 0: never."""
        return self._newest.get(session, 0)

    def announced(self, now_s: float) -> list[Takeover]:
        """What is to be announced again now."""
        while self._mine:
            session, (_, at) = next(iter(self._mine.items()))
            if now_s - at < REPEAT_S:
                break
            del self._mine[session]
        return [takeover for takeover, _ in self._mine.values()]

    def displaced(self, session: str, now_s: float) -> None:
        """A live connection of this session was closed because another resumed it."""
        times = self._displaced.setdefault(session, deque(maxlen=16))
        times.append(now_s)
        self._displaced.move_to_end(session)
        while len(self._displaced) > MAX_SESSIONS:
            self._displaced.popitem(last=False)

    def too_many(self, session: str, now_s: float, limit: int) -> bool:
        """Whether one more takeover would be more than `limit` in a minute."""
        times = self._displaced.get(session, ())
        return sum(1 for at in times if now_s - at < MINUTE_S) >= limit

"""A client that publishes, and waits for the answer to each event."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from regions.swarm.client import EARLY_S, Client, Ground, Payload, Phase
from regions.swarm.figures import ACK, ACKED, PUBLISHED, RETRIED, WITHHELD
from relay.core.codes import ErrorCode, Op

WAITING = 2_000  # events without an answer; more are not sent
RETRY_S = 0.25
_LATER = (ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED)


@dataclass(slots=True)
class _Event:
    due_ns: int
    room: str
    number: int  # of this voice's into this room
    d: dict[str, object]
    sent: bool = False


class Voice(Client):
    """One who publishes into rooms that it is not in.

    Events of a room come out in the order in which they went in: after a loss, or an answer that
    says to come back later, all that have no answer go out again, in order and with their ids.

    Args:
        ground, user, urls: as of any client.
        name: how its events name it.
        padding: what makes them as long as they are to be.
    """

    __slots__ = ("_holding_s", "_nonce", "_numbers", "_padding", "_waiting", "name", "spoken")

    def __init__(
        self, ground: Ground, user: str, urls: Sequence[str], name: str, padding: str
    ) -> None:
        super().__init__(ground, user, urls, ())
        self.name = name
        self._padding = padding
        self._nonce = 0
        self._waiting: dict[int, _Event] = {}  # by nonce: in the order in which they were made
        self._numbers: dict[str, int] = {}
        self._holding_s: float | None = None  # until when nothing goes out: it goes out again
        self.spoken: dict[str, int] = {}  # room -> how many are acknowledged

    @property
    def waiting(self) -> int:
        """How many events have no answer."""
        return len(self._waiting)

    def publish(self, room: str, due_ns: int) -> None:
        """Publish an event that was due at a time, whether or not those before are answered."""
        counts = self.ground.tally.counts
        if len(self._waiting) >= WAITING:
            counts[WITHHELD] += 1
            return
        self._nonce += 1
        number = self._numbers[room] = self._numbers.get(room, 0) + 1
        data = {"v": self.name, "n": number, "t": due_ns, "pad": self._padding}
        # An id is of a user and room; a later run in the same world has users of its own.
        d = {"room": room, "data": data, "id": str(number), "nonce": self._nonce}
        event = self._waiting[self._nonce] = _Event(due_ns, room, number, d)
        counts[PUBLISHED] += 1
        if self.phase is Phase.LIVE and self._holding_s is None:
            event.sent = self.send(Op.PUBLISH, d)

    def live(self) -> None:
        """The client has become live."""
        self._once_more()

    def told(self, payload: Payload) -> None:
        """An ACK or an ERROR."""
        answer = self.ground.coding.answer(payload.d)
        if answer.nonce is None or answer.nonce not in self._waiting:
            return
        counts = self.ground.tally.counts
        if answer.code in _LATER:
            counts[f"publish: {answer.code}"] += 1
            if self._holding_s is None:
                delay_s = max(answer.retry_after or 0.0, RETRY_S)
                self._holding_s = time.monotonic() + delay_s
                self.ground.after(delay_s, self)
            return
        event = self._waiting.pop(answer.nonce)
        if answer.code is not None:
            counts[f"publish: {answer.code}"] += 1
            return
        counts[ACKED] += 1
        self.spoken[event.room] = max(self.spoken.get(event.room, 0), event.number)
        self.ground.tally.time(ACK).add((time.monotonic_ns() - event.due_ns) // 1000)

    def again(self) -> None:
        """The time for what was put off."""
        super().again()
        if self._holding_s is not None and time.monotonic() >= self._holding_s - EARLY_S:
            self._once_more()

    def _once_more(self) -> None:
        if self.phase is not Phase.LIVE:
            return  # it goes out when it is
        self._holding_s = None
        for event in self._waiting.values():
            if event.sent:
                self.ground.tally.counts[RETRIED] += 1
            event.sent = self.send(Op.PUBLISH, event.d)

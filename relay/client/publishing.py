"""Publishes on their way: one in flight a room, in order, tried again with the same id."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from relay.client.answers import Ack
from relay.client.bodies import ErrorBody, read
from relay.client.effects import Effect, Publish, Reject, Resolve, SendRaw
from relay.client.errors import ClientError, NotSent, Refused, Unknown
from relay.client.stats import Stats
from relay.core.codes import ErrorCode

RETRY_S = 110.0  # the edge knows an id for 120 s
ANSWER_S = 10.0  # an edge answers within 2 s; silence for this long is taken as `unavailable`
BACKOFF_S = (0.2, 5.0)  # first and longest wait after `unavailable`
_RETRY = (ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED)


@dataclass(slots=True)
class _Entry:
    item: Publish
    give_up_at: float
    sent: bool = False  # at least once, on any connection
    tries: int = 0
    due_at: float | None = None  # in flight: when to stop waiting; waiting: when to send again
    in_flight: bool = False


@dataclass(slots=True)
class Outbox:
    """The publishes of one client, a queue for each room. Pure: the clock and dice are arguments.

    Args:
        stats: where to count.
        dice: a random number from 0 to 1.
        retry_s: how long a publish is tried, from the moment it was asked for.
    """

    stats: Stats
    dice: Callable[[], float]
    retry_s: float = RETRY_S
    _rooms: dict[str, deque[_Entry]] = field(default_factory=dict)
    _room_of: dict[int, str] = field(default_factory=dict)
    _online: bool = False

    def __len__(self) -> int:
        return len(self._room_of)

    def add(self, item: Publish, now: float) -> list[Effect]:
        """Take `item` in; sends it if it is the first of its room."""
        queue = self._rooms.setdefault(item.room, deque())
        queue.append(_Entry(item, now + self.retry_s))
        self._room_of[item.ticket] = item.room
        return self._send(queue[0], now) if len(queue) == 1 and self._online else []

    def online(self, now: float) -> list[Effect]:
        """The session is ready: the first of each room goes out, again if it has to."""
        self._online = True
        return [effect for queue in self._rooms.values() for effect in self._send(queue[0], now)]

    def offline(self) -> list[Effect]:
        """The connection is gone: what was in flight will be sent again, ephemeral ones not."""
        self._online = False
        effects: list[Effect] = []
        for room in list(self._rooms):
            entry = self._rooms[room][0]
            if entry.in_flight and entry.item.ephemeral:
                effects += self._fail_one(entry, "the connection was lost before its ACK")
            elif entry.in_flight:
                entry.in_flight, entry.due_at = False, None
        return effects

    def acknowledge(self, ticket: int, d: object, now: float) -> list[Effect]:
        """ACK came for `ticket`, with `d`.

        Raises:
            Undecodable: `d` is not the ACK of a publish.
        """
        entry = self._first(ticket)
        if entry is None:
            return []
        ack = read(d, Ack)
        if not ack.id:
            ack = msgspec.structs.replace(ack, id=entry.item.id)
        self.stats.published += 1
        return [Resolve(ticket, ack), *self._pop(entry, now)]

    def refuse(self, ticket: int, error: ErrorBody, now: float) -> list[Effect]:
        """ERROR came for `ticket`: it is tried again later, or has failed for good."""
        entry = self._first(ticket)
        if entry is None:
            return []
        if error.code in _RETRY and not entry.item.ephemeral:
            return self._wait(entry, error, now)
        return self._fail_room(entry, Refused(error.code, error.message))

    def tick(self, now: float) -> list[Effect]:
        """Send again what is due, and give up what is too old."""
        effects: list[Effect] = []
        for room in list(self._rooms):
            entry = self._rooms[room][0]
            if now >= entry.give_up_at:
                effects += self._fail_room(entry, self._too_old(entry))
            elif self._online and entry.due_at is not None and now >= entry.due_at:
                if entry.in_flight and entry.item.ephemeral:
                    effects += self._fail_one(entry, f"no answer within {ANSWER_S:g} s")
                    if room in self._rooms:
                        effects += self._send(self._rooms[room][0], now)
                elif entry.in_flight:
                    effects += self._wait(entry, ErrorBody(ErrorCode.UNAVAILABLE), now)
                else:
                    effects += self._send(entry, now)
        return effects

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do next."""
        times = []
        for queue in self._rooms.values():
            entry = queue[0]
            times.append(entry.give_up_at)
            if self._online and entry.due_at is not None:
                times.append(entry.due_at)
        return min(times, default=None)

    def stop(self, reason: str) -> list[Effect]:
        """Nothing more will be sent: fail everything."""
        effects: list[Effect] = []
        for room in list(self._rooms):
            entry = self._rooms[room][0]
            effects += self._fail_room(entry, self._verdict(entry, reason))
        return effects

    # --- one entry -----------------------------------------------------------------------------

    def _first(self, ticket: int) -> _Entry | None:
        room = self._room_of.get(ticket)
        entry = self._rooms[room][0] if room is not None else None
        return entry if entry is not None and entry.item.ticket == ticket else None

    def _send(self, entry: _Entry, now: float) -> list[Effect]:
        if entry.in_flight or (entry.due_at is not None and now < entry.due_at):
            return []
        if entry.sent:
            self.stats.retried += 1
        entry.sent = entry.in_flight = True
        entry.due_at = now + ANSWER_S
        return [SendRaw(entry.item.raw)]

    def _wait(self, entry: _Entry, error: ErrorBody, now: float) -> list[Effect]:
        first_s, longest_s = BACKOFF_S
        wait_s = min(first_s * 2 ** min(entry.tries, 10), longest_s) * (0.5 + self.dice())
        if error.retry_after is not None:
            wait_s = error.retry_after + first_s * self.dice()
        entry.tries += 1
        entry.in_flight, entry.due_at = False, now + wait_s
        return []

    def _pop(self, entry: _Entry, now: float) -> list[Effect]:
        queue = self._rooms[entry.item.room]
        queue.popleft()
        del self._room_of[entry.item.ticket]
        if not queue:
            del self._rooms[entry.item.room]
            return []
        return self._send(queue[0], now) if self._online else []

    def _fail_one(self, entry: _Entry, reason: str) -> list[Effect]:
        queue = self._rooms[entry.item.room]
        queue.popleft()
        del self._room_of[entry.item.ticket]
        if not queue:
            del self._rooms[entry.item.room]
        self.stats.failed += 1
        return [Reject(entry.item.ticket, self._verdict(entry, reason))]

    def _fail_room(self, entry: _Entry, error: ClientError) -> list[Effect]:
        """`entry` failed for good, and with it what waits behind it: else the order would break."""
        queue = self._rooms.pop(entry.item.room)
        for each in queue:
            del self._room_of[each.item.ticket]
        self.stats.failed += len(queue)
        behind = f"not sent: the publish {entry.item.id} before it failed: {error}"
        return [
            Reject(entry.item.ticket, error),
            *(Reject(each.item.ticket, NotSent(behind)) for each in list(queue)[1:]),
        ]

    def _verdict(self, entry: _Entry, reason: str) -> ClientError:
        if entry.sent:
            return Unknown(entry.item.id, f"unknown whether {entry.item.id} is stored: {reason}")
        return NotSent(f"not sent: {reason}")

    def _too_old(self, entry: _Entry) -> ClientError:
        return self._verdict(entry, f"no acknowledgement within {self.retry_s:g} s")

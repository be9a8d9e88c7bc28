"""Requests that may be repeated: SUBSCRIBE, UNSUBSCRIBE, HISTORY, REFRESH, until answered."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from relay.client.bodies import ErrorBody
from relay.client.effects import Effect, Reject, Send
from relay.client.errors import ClientError, Refused, TimedOut
from relay.core.codes import ErrorCode, Op

TIMEOUT_S = 30.0
RETRY_S = 0.5  # after `unavailable`
PACE_FRAMES = 100  # the edge closes with 4008 at 120 in 60 s
PACE_S = 60.0
_RETRY = (ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED)


@dataclass(slots=True)
class Request:
    """One request; `d` goes out as it is, with its ticket as the nonce."""

    ticket: int
    op: Op
    d: dict[str, object]
    give_up_at: float
    room: str | None = None
    users: tuple[str, ...] = ()
    presence: bool = False
    had: bool = False  # whether the session was in the room when it was asked for
    sent: bool = False  # on this connection
    due_at: float = 0.0


@dataclass(slots=True)
class Requests:
    """The requests of one client that have no answer yet, in order. Pure.

    Args:
        dice: a random number from 0 to 1.
    """

    dice: Callable[[], float]
    _waiting: dict[int, Request] = field(default_factory=dict)
    _sent_at: deque[float] = field(default_factory=deque)
    _online: bool = False

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, ticket: object) -> bool:
        return ticket in self._waiting

    def note(self, now: float) -> None:
        """A frame that counts against the edge's limit was sent by somebody else."""
        self._sent_at.append(now)

    def add(self, request: Request, now: float) -> list[Effect]:
        """Take `request` in; sends it if the session is ready and the pace allows."""
        self._waiting[request.ticket] = request
        return self._send(now)

    def opened(self) -> None:
        """A new connection began: the edge counts from zero."""
        self._sent_at.clear()

    def online(self, now: float) -> list[Effect]:
        """The session is ready: everything unanswered goes out."""
        self._online = True
        return self._send(now)

    def offline(self) -> None:
        """The connection is gone: nothing that was sent will be answered."""
        self._online = False
        for request in self._waiting.values():
            request.sent = False

    def answer(self, ticket: int) -> Request | None:
        """The request that an ACK answers, which ends it; None if it is none of ours."""
        return self._waiting.pop(ticket, None)

    def refuse(
        self, ticket: int, error: ErrorBody, now: float
    ) -> tuple[Request, ClientError] | None:
        """ERROR came: the request and its failure if that is final, else None."""
        request = self._waiting.get(ticket)
        if request is None:
            return None
        if error.code in _RETRY:
            wait_s = RETRY_S if error.retry_after is None else error.retry_after
            request.sent, request.due_at = False, now + wait_s * (1 + self.dice() / 2)
            return None
        del self._waiting[ticket]
        return request, Refused(error.code, error.message)

    def expire(self, now: float) -> list[tuple[Request, ClientError]]:
        """Take out what has waited too long."""
        old = [request for request in self._waiting.values() if now >= request.give_up_at]
        for request in old:
            del self._waiting[request.ticket]
        return [
            (request, TimedOut(f"{request.op.name}: no answer within {TIMEOUT_S:g} s"))
            for request in old
        ]

    def tick(self, now: float) -> list[Effect]:
        """Send what has become due."""
        return self._send(now)

    @property
    def deadline(self) -> float | None:
        """When `tick` or `expire` has something to do next."""
        times = [request.give_up_at for request in self._waiting.values()]
        if self._online:
            unsent = [r.due_at for r in self._waiting.values() if not r.sent]
            if unsent:
                times.append(max(min(unsent), self._free_at()))
        return min(times, default=None)

    def stop(self, error: ClientError) -> list[Effect]:
        """Fail everything."""
        effects: list[Effect] = [Reject(ticket, error) for ticket in self._waiting]
        self._waiting.clear()
        return effects

    def _free_at(self) -> float:
        full = len(self._sent_at) >= PACE_FRAMES
        return self._sent_at[-PACE_FRAMES] + PACE_S if full else 0.0

    def _send(self, now: float) -> list[Effect]:
        if not self._online:
            return []
        while self._sent_at and self._sent_at[0] <= now - PACE_S:
            self._sent_at.popleft()
        effects: list[Effect] = []
        for request in self._waiting.values():
            if request.sent or now < request.due_at or len(self._sent_at) >= PACE_FRAMES:
                continue
            request.sent = True
            self._sent_at.append(now)
            effects.append(Send(request.op, {**request.d, "nonce": request.ticket}))
        return effects

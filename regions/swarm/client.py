"""A virtual client: comes, identifies, resumes after every loss, on whichever edge, and goes.

It keeps to the gateway protocol as the client library does, with what tens of thousands of them
in a process can afford: no queue, no task, no timer of its own while it is connected.
"""

import sys
import time
from collections.abc import Sequence
from enum import Enum
from typing import Any, Protocol

import msgspec

from regions.swarm.figures import (
    BACK,
    CONNECT,
    IDENTIFIED,
    LOST,
    OPENED,
    RESUMED,
    SESSIONS_LOST,
    STOPPED,
    Tally,
)
from regions.swarm.line import End, Line
from relay.client.bodies import Hello, Place
from relay.client.reconnect import Route
from relay.core.codes import After, EventName, Op, after_close

RESUMABLE, GOING = 4000, 1000  # our close codes: the session is to go on, and is over
EARLY_S = 0.05  # that a timer may come before its time: loops count ms, and from when they turned
ATTEMPT_S = 15.0  # for a connection to become live


class Payload(msgspec.Struct, gc=False):
    """What an edge says; `d` is read by whoever wants it."""

    op: int
    d: msgspec.Raw = msgspec.Raw()
    t: str | None = None
    c: str | None = None


class Welcome(msgspec.Struct):
    """READY.d or RESUMED.d"""

    cursor: str | None = None
    session_id: str = ""
    resume_gateway_url: str = ""
    refused: tuple[msgspec.Raw, ...] = ()


class Said(msgspec.Struct, gc=False):
    """The data of a swarm's event: who said it, as which of his into this room, when it was due."""

    v: str  # voice
    n: int  # from 1
    t: int  # CLOCK_MONOTONIC in ns


class Message(msgspec.Struct, gc=False):
    """MESSAGE.d"""

    room: str
    origin: str
    data: Said


class Answer(msgspec.Struct):
    """ACK.d or ERROR.d"""

    nonce: int | None = None
    code: str | None = None
    retry_after: float | None = None


class Coding:
    """How payloads are written and read: JSON or msgpack.

    Args:
        name: which.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        kind: Any = msgspec.msgpack if name == "msgpack" else msgspec.json
        self.encode = kind.Encoder().encode
        self.payload = kind.Decoder(Payload).decode
        self.hello = kind.Decoder(Hello).decode
        self.welcome = kind.Decoder(Welcome).decode
        self.message = kind.Decoder(Message).decode
        self.answer = kind.Decoder(Answer).decode
        self.regions = kind.Decoder(tuple[Place, ...]).decode
        self.truth = kind.Decoder(bool).decode
        # How a DISPATCH begins, as edges write it: what is not looked into is told by that.
        self.dispatch = b"\xa2op\x00" if name == "msgpack" else b'{"op":0,'
        self.dispatch_at = 1 if name == "msgpack" else 0


class Ground(Protocol):
    """What the clients of a process share."""

    coding: Coding
    tally: Tally

    def token(self, user: str) -> str:
        """A token of a user."""

    def dial(self, client: "Client", url: str, *, resume: bool) -> Line:
        """Begin to connect; the connection tells the client how that goes."""

    def after(self, delay_s: float, client: "Client") -> None:
        """Call the client's `again` in a while."""

    def hello(self, d: bytes) -> Hello:
        """What an edge says first, read once for all to whom it says the same."""

    def dice(self) -> float:
        """A random number from 0 to 1."""

    def is_live(self, client: "Client") -> None:
        """The client has become live."""

    def is_gone(self, client: "Client") -> None:
        """The client is not live any more."""


class Phase(Enum):
    """Where a client is."""

    AWAY = 0
    WAITING = 1  # until the next attempt
    OPENING = 2
    GREETING = 3  # IDENTIFY is out
    RESUMING = 4  # RESUME is out
    LIVE = 5


_ON_ITS_WAY = (Phase.OPENING, Phase.GREETING, Phase.RESUMING)


class Client:
    """One virtual client.

    Args:
        ground: what it shares with the others.
        user: who it is.
        urls: the edges that it knows from the start, the one to begin with first.
        rooms: which it joins.
    """

    __slots__ = (
        "_began_ns", "_due_s", "_elsewhere", "_hello", "_line", "_lost_ns", "_newest", "_route",
        "_url", "_urls",
        "answered", "beat", "cursor", "ground", "phase", "region", "rooms", "session_id",
        "since_s", "user",
    )  # fmt: skip

    def __init__(
        self, ground: Ground, user: str, urls: Sequence[str], rooms: Sequence[str]
    ) -> None:
        self.ground = ground
        self.user = user
        self.rooms = rooms
        self.phase = Phase.AWAY
        self.since_s = 0.0  # when this phase began
        self.session_id = ""
        self.cursor: str | None = None
        self.region = ""  # where it is, or was last
        self.beat = 0  # ms between two heartbeats
        self.answered = True  # whether the last heartbeat was
        self._newest = b""  # the newest message that carries a cursor and was not read yet
        self._urls = urls
        self._url = urls[0]
        self._route: Route | None = None  # made when something is lost for the first time
        self._hello: Hello | None = None
        self._elsewhere = ""  # where the edge says to resume, if it is gone
        self._line: Line | None = None
        self._due_s = 0.0  # of the next attempt
        self._began_ns = 0
        self._lost_ns = 0

    # --- coming and going ----------------------------------------------------------------------

    def come(self) -> None:
        """Connect, and stay."""
        if self.phase is Phase.AWAY:
            self._began_ns = time.monotonic_ns()
            if self.session_id:
                self._lost_ns = self._began_ns
            self._dial(self._urls[0] if self._route is None else self._next_url())

    def leave(self, *, cut: bool) -> None:
        """Go: `cut`, without a word, so that the session can be resumed; else in order."""
        if self._line is not None:
            self._keep_cursor()
            self._line.cut() if cut else self._line.close(GOING)
        if not cut:
            self.forget()
        self._went(Phase.AWAY)

    def forget(self) -> None:
        """The session is over: what comes next is a new one."""
        self.session_id, self.cursor, self._newest = "", None, b""

    def again(self) -> None:
        """The time for the next attempt, or for one that got nowhere to be given up."""
        now_s = time.monotonic()
        if self.phase is Phase.WAITING:
            if now_s >= self._due_s - EARLY_S:
                self._dial(self._url)
        elif self.phase in _ON_ITS_WAY and now_s - self.since_s >= ATTEMPT_S - EARLY_S:
            self.hang_up("nothing came")

    def heartbeat(self) -> None:
        """Say that we are here; if the last one had no answer, the edge is not."""
        if self._line is None or self.phase is not Phase.LIVE:
            return
        if not self.answered:
            self.hang_up("no heartbeat answered")
            return
        self.answered = False
        self._line.send(self.ground.coding.encode({"op": int(Op.HEARTBEAT), "d": None}))

    def hang_up(self, why: str) -> None:
        """Give the connection up, and come back."""
        if self._line is not None:
            self._line.cut()
            self._over(why, at_once=False, retry_after_s=None)

    def send(self, op: Op, d: object) -> bool:
        """Send a payload; whether there is a connection to send it on."""
        if self._line is None:
            return False
        self._line.send(self.ground.coding.encode({"op": int(op), "d": d}))
        return True

    def read(self, reading: bool) -> None:
        """Read what comes, or let it lie."""
        if self._line is not None:
            self._line.read(reading)

    def _dial(self, url: str) -> None:
        self._url = url
        self._set(Phase.OPENING)
        self._line = self.ground.dial(self, url, resume=bool(self.session_id))
        self.ground.after(ATTEMPT_S, self)

    def _set(self, phase: Phase) -> None:
        self.phase = phase
        self.since_s = time.monotonic()

    def _went(self, phase: Phase) -> None:
        was_live = self.phase is Phase.LIVE
        self._line = None
        self._set(phase)
        if was_live:
            self.ground.is_gone(self)

    # --- what the connection says --------------------------------------------------------------

    def heard(self, line: Line, body: bytes) -> None:
        """A message came."""
        if line is not self._line:
            return
        payload = self.ground.coding.payload(body)
        if payload.op == Op.DISPATCH:
            self._dispatched(payload, body)
        elif payload.op == Op.HEARTBEAT_ACK:
            self.answered = True
            self.cursor = payload.c or self.cursor
            if payload.c:
                self._newest = b""
        elif payload.op == Op.HELLO:
            self._greet(self.ground.hello(payload.d))
        elif payload.op == Op.REGIONS:
            self._routed().relist(self.ground.coding.regions(payload.d))
        elif payload.op == Op.RECONNECT:
            self._sent_away()
        elif payload.op == Op.INVALID_SESSION:
            self._refused(again=self.ground.coding.truth(payload.d))
        else:
            self.told(payload)

    def _dispatched(self, payload: Payload, body: bytes) -> None:
        if payload.t in (EventName.READY, EventName.RESUMED) and self.phase in (
            Phase.GREETING,
            Phase.RESUMING,
        ):
            self._welcomed(self.ground.coding.welcome(payload.d))
        else:
            if payload.c:
                self._newest = body
            self.event(payload)

    def ended(self, line: Line, end: End) -> None:
        """The connection is over, and we did not end it."""
        if line is not self._line:
            return
        counts = self.ground.tally.counts
        if end.status is not None:
            counts[f"refused {end.status}"] += 1
        elif end.code is not None:
            counts[f"close {end.code}"] += 1
        after = after_close(end.code)
        if after is After.STOP:
            counts[STOPPED] += 1
            self._went(Phase.AWAY)
            return
        if after is After.IDENTIFY and self.session_id:
            self._lose_session()
        self._over(str(end), at_once=False, retry_after_s=end.retry_after_s)

    def _greet(self, hello: Hello) -> None:
        self._hello = hello
        self.beat = hello.heartbeat_interval
        self.region = hello.region
        if self._route is not None:
            self._route.learn(self._url, hello.region, hello.regions, hello.reconnect)
        d: dict[str, object] = {"token": self.ground.token(self.user), "rooms": self.rooms}
        if self.session_id:
            self._set(Phase.RESUMING)
            self.send(Op.RESUME, d | {"session_id": self.session_id, "cursor": self.cursor})
        else:
            self._set(Phase.GREETING)
            self.ground.tally.counts[IDENTIFIED] += 1
            self.send(Op.IDENTIFY, d)

    def _welcomed(self, welcome: Welcome) -> None:
        tally, now_ns = self.ground.tally, time.monotonic_ns()
        if self.phase is Phase.RESUMING:
            tally.counts[RESUMED] += 1
            tally.time(BACK).add((now_ns - self._lost_ns) // 1000)
        else:
            tally.counts[OPENED] += 1
            tally.time(CONNECT).add((now_ns - self._began_ns) // 1000)
        if welcome.refused:
            tally.counts["rooms refused"] += len(welcome.refused)
        self.session_id = welcome.session_id or self.session_id
        self.cursor = welcome.cursor or self.cursor
        self._newest = b""
        self.answered = True
        self._elsewhere = sys.intern(welcome.resume_gateway_url)
        if self._route is not None:
            self._route.settle(self._url, self.region, self._elsewhere)
        self._set(Phase.LIVE)
        self.ground.is_live(self)
        self.live()

    def _refused(self, *, again: bool) -> None:
        if again:  # it comes after 1 to 5 s: no need to wait here too
            d = {"token": self.ground.token(self.user), "rooms": self.rooms}
            self.send(Op.RESUME, d | {"session_id": self.session_id, "cursor": self.cursor})
            return
        self._lose_session()
        self._began_ns = time.monotonic_ns()
        assert self._hello is not None, "a session is refused only after HELLO"
        self._greet(self._hello)

    def _lose_session(self) -> None:
        self.ground.tally.counts[SESSIONS_LOST] += 1
        self.forget()
        self.unheard()

    def _sent_away(self) -> None:
        if self._line is not None:
            self._keep_cursor()
            self._line.close(RESUMABLE)
            self._over("sent away", at_once=True, retry_after_s=None)

    def _over(self, why: str, *, at_once: bool, retry_after_s: float | None) -> None:
        """The connection is over; when and where is the next one?"""
        counts, was_live = self.ground.tally.counts, self.phase is Phase.LIVE
        self._keep_cursor()
        route = self._routed()
        if was_live:
            self._lost_ns = time.monotonic_ns()
            counts[f"{LOST}: {why}"] += 1
            route.lose(at_once)
        else:
            counts[f"not let in: {why}"] += 1
            route.fail(self._url, retry_after_s)
        self._went(Phase.WAITING)
        hop = route.next(self.ground.dice)
        self._url = hop.url
        self._due_s = self.since_s + hop.delay_s
        self.ground.after(hop.delay_s, self)

    def _routed(self) -> Route:
        route = self._route
        if route is None:
            route = self._route = Route(self._urls)
            if self._hello is not None:
                hello = self._hello
                route.learn(self._url, hello.region, hello.regions, hello.reconnect)
                if self.phase is Phase.LIVE:
                    route.settle(self._url, hello.region, self._elsewhere)
        return route

    def _next_url(self) -> str:
        return self._routed().next(self.ground.dice).url

    def _keep_cursor(self) -> None:
        if self._newest:
            self.cursor = self.ground.coding.payload(self._newest).c or self.cursor
            self._newest = b""

    # --- what kinds of clients do with it ------------------------------------------------------

    def live(self) -> None:
        """The client has become live."""

    def event(self, payload: Payload) -> None:
        """A DISPATCH of the session."""

    def told(self, payload: Payload) -> None:
        """An ACK, an ERROR, or something else that is not about the session."""

    def unheard(self) -> None:
        """The session was lost: what came meanwhile does not come."""

"""The client's session as a pure state machine: `handle(input, now) -> [effects]`.

It knows no socket, clock or dice of its own; `relay/client/client.py` is its shell. The rules are
those of the gateway protocol (docs/protocol.md, sections 3 to 7).
"""

from collections.abc import Callable
from enum import Enum

from relay.client.bodies import (
    ErrorBody,
    Hello,
    InvalidBody,
    Place,
    Ready,
    RefusedRoom,
    ResumedBody,
    read,
)
from relay.client.calls import Calls
from relay.client.dedup import Dedup
from relay.client.effects import (
    Effect,
    Emit,
    FetchToken,
    Garbled,
    HangUp,
    Heard,
    Hung,
    Input,
    Open,
    Opened,
    OpenFailed,
    Ping,
    Probe,
    Probed,
    Publish,
    Quit,
    ReadHistory,
    Received,
    Reject,
    Send,
    Show,
    Stalled,
    Start,
    Stop,
    Subscribe,
    Tick,
    TokenFailed,
    TokenGiven,
    Type,
    Unsubscribe,
    Usable,
    Watch,
)
from relay.client.errors import (
    AuthenticationFailed,
    ClientError,
    Closed,
    ConnectFailed,
    NothingGranted,
    Refused,
    Replaced,
    SessionEnded,
    Undecodable,
)
from relay.client.events import Connected, Disconnected, Lost, Reconnecting, Resumed, RoomRefused
from relay.client.feed import Feed
from relay.client.homing import Homing
from relay.client.liveness import Liveness, Sign
from relay.client.presence import Appearance, Views
from relay.client.publishing import Outbox
from relay.client.reconnect import Route, gateway_url
from relay.client.settings import Settings, State
from relay.client.stats import Stats
from relay.client.wire import Frame
from relay.core.codes import CLOSES, After, ErrorCode, EventName, Invalid, Op, after_close

OPEN_S = 5.0  # for one WebSocket to open, and again for its HELLO
# Likewise, while other addresses were not tried at all. A region that stands still may be two of
# them: its own name and, by an old answer, that of all regions.
FIRST_ROUND_S = 3.0
SILENT_S = 15.0  # without READY, RESUMED or a replayed event: the attempt has failed
# RESUMEs answered with 4003, as edges do with a session id that is not theirs, and where none came
# in time. After so many we ask without ?resume=1: there a session that can't be resumed is named.
NO_ONES = 2
LATER = {1013, 4000, 4009, 4020, 4021}  # closes of an edge that is there, and may be ready later
TOKEN_TRIES = 6  # of the application's token function in a row, once there was a session
TOKEN_WAIT_S = (0.5, 8.0)  # between them: first and longest
INVALID_RETRIES = 3  # of one RESUME on one connection (protocol section 2, op 9)
RESUMABLE = 4000  # our close code where the session is to go on: anything but 1000 and 1001
_STOPS = {4004: AuthenticationFailed, 4014: NothingGranted, 4022: Replaced}


class _Phase(Enum):
    IDLE = "nothing was started"
    ASKING = "a token was asked for"
    WAITING = "until the next attempt"
    OPENING = "the WebSocket did not open"
    GREETING = "HELLO did not come"
    IDENTIFYING = "READY did not come"
    RESUMING = "RESUMED did not come"
    READY = "events flow"
    STOPPED = "for good"


class Session:
    """One client's session, over any number of connections.

    Args:
        settings: how it behaves.
        dice: a random number from 0 to 1.
    """

    def __init__(self, settings: Settings, dice: Callable[[], float]) -> None:
        self.stats = Stats()
        self.session_id: str | None = None
        self.user: str | None = None
        self.edge: str | None = None
        self.route = Route(settings.urls)
        dedup = Dedup(settings.dedup_events)
        self._feed = Feed(self.stats, dedup)
        self.views = Views()
        self._appearance = Appearance()
        outbox = Outbox(self.stats, dice, settings.retry_s)
        self._calls = Calls(settings.rooms, outbox, dedup, self._feed, dice)
        self._liveness = Liveness()
        self._homing = Homing(settings.home_after_s, dice)
        self._settings = settings
        self._dice = dice
        self._token = settings.token
        self._token_renewed = False  # after a 4004
        self._tokenless = 0  # failures of the token function, in a row
        self._phase = _Phase.IDLE
        self._phase_ends_at: float | None = None
        self._start_ends_at: float | None = None
        self._url = ""  # of the present attempt or connection
        self._open_s = OPEN_S  # of the present attempt
        self._hello = Hello(heartbeat_interval=0)
        self._usable = False
        self._invalid = 0
        self._unowned = 0
        self._lost_at: float | None = None
        self._failures: dict[str, str] = {}  # address -> why, until the first READY
        self._later: set[str] = set()  # of these, the ones that said when to come again
        self._hopeless: set[str] = set()

    # --- what the shell reads ------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the client is."""
        if self._phase is _Phase.STOPPED:
            return State.CLOSED
        if self._phase is _Phase.READY:
            return State.READY
        return State.RECONNECTING if self._usable else State.CONNECTING

    @property
    def cursor(self) -> str | None:
        """The newest cursor on the wire."""
        return self._feed.cursor

    @property
    def rooms(self) -> tuple[str, ...]:
        """The rooms that the session has."""
        return tuple(self._calls.rooms)

    @property
    def deadline(self) -> float | None:
        """When to send a Tick, if nothing else happens."""
        if self._phase is _Phase.STOPPED:
            return None
        times = (
            self._liveness.deadline,
            self._calls.deadline,
            self._homing.deadline,
            self._phase_ends_at,
            self._start_ends_at,
            self._appearance.due_at if self._phase is _Phase.READY else None,
        )
        return min((at for at in times if at is not None), default=None)

    # --- inputs --------------------------------------------------------------------------------

    def handle(self, event: Input, now: float) -> list[Effect]:
        """Take one input in.

        Args:
            event: what happened.
            now: seconds of a monotonic clock.

        Returns:
            What the shell is to do, in order.
        """
        if self._phase is _Phase.STOPPED:
            return self._too_late(event)
        effects: list[Effect] = []
        match event:
            case Received(frame):
                effects = self._receive(frame, now)
            case Tick():
                effects = self._tick(now)
            case Publish() | Subscribe() | Unsubscribe() | ReadHistory() | Watch():
                if isinstance(event, Unsubscribe):
                    self.views.forget(event.room)
                effects = self._calls.make(event, now)
            case Show() | Type():
                effects = self._appear(event, now)
            case Heard():
                self._liveness.heard()
            case Stalled(on):
                self.stats.stalls += on
                self._liveness.stall(on, now)
            case Opened() | OpenFailed() | Garbled() | Hung():
                effects = self._link(event, now)
            case Quit():
                effects = self._stop(None)
            case _:
                effects = self._prepare(event, now)
        return effects

    def _too_late(self, event: Input) -> list[Effect]:
        match event:
            case (
                Publish(ticket)
                | Subscribe(ticket)
                | Unsubscribe(ticket)
                | ReadHistory(ticket)
                | Watch(ticket)
            ):
                return [Reject(ticket, Closed("the client is closed"))]
            case _:
                return []

    def _prepare(
        self, event: Start | Probed | TokenGiven | TokenFailed, now: float
    ) -> list[Effect]:
        match event:
            case Start():
                self._start_ends_at = now + self._settings.timeout_s
                return self._hop(now)
            case Probed(alive):
                return self._probed(alive, now)
            case TokenGiven(token):
                return self._use_token(token, now)
            case TokenFailed(reason) if self._phase is _Phase.ASKING:
                return self._without_token(reason, now)
            case TokenFailed():
                return []  # the present token is good for a while

    def _link(self, event: Opened | OpenFailed | Garbled | Hung, now: float) -> list[Effect]:
        match event:
            case Opened():
                self._enter(_Phase.GREETING, now + self._open_s)
                self._liveness.opened(now)
                self._calls.opened()
                return []
            case OpenFailed(reason, busy, retry_after_s):
                return self._failed(reason, now, busy=busy, retry_after_s=retry_after_s)
            case Garbled(reason):
                return [HangUp(4002, "undecodable payload"), *self._ended(4002, reason, now)]
            case Hung(code, reason):
                return self._hung(code, reason, now)

    def _tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for sign in self._liveness.due(now):
            if sign is Sign.BEAT:
                effects.append(Send(Op.HEARTBEAT, self._feed.seq))
            elif sign is Sign.PING:
                effects.append(Ping())
            else:
                return [*effects, *self._abandon(sign.value, now)]
        effects += self._calls.tick(now)
        if self._phase is _Phase.READY and (shown := self._appearance.due(now)) is not None:
            self._calls.spoke(now)
            effects.append(Send(Op.PRESENCE_UPDATE, shown))
        if self._homing.due(now):
            effects += self._probe_home(now)
        if self._start_ends_at is not None and now >= self._start_ends_at:
            why = f"not ready within {self._settings.timeout_s:g} s"
            effects += self._stop(self._connect_failed(why))
        elif self._phase_ends_at is not None and now >= self._phase_ends_at:
            waited = self._phase is _Phase.WAITING
            if waited:
                effects += self._hop(now) if self._token is None else self._open(now)
            else:
                effects += self._abandon(self._phase.value, now)
        return effects

    def _appear(self, event: Show | Type, now: float) -> list[Effect]:
        """What needs no answer: said now, or, what is shown, with the next connection."""
        ready = self._phase is _Phase.READY
        if ready:
            self._calls.spoke(now)
        match event:
            case Show(status, custom):
                shown = self._appearance.show(status, custom)
                if ready:
                    return [Send(Op.PRESENCE_UPDATE, shown)]
                self._appearance.unsaid(now)
                return []
            case Type(room):
                return [Send(Op.TYPING, {"room": room})] if ready else []

    # --- attempts ------------------------------------------------------------------------------

    def _enter(self, phase: _Phase, ends_at: float | None = None) -> None:
        self._phase = phase
        self._phase_ends_at = ends_at

    def _hop(self, now: float) -> list[Effect]:
        """Make the next attempt, now or after its wait."""
        if self._token is None:
            self._enter(_Phase.ASKING)
            return [FetchToken()]
        hop = self.route.next(self._dice)
        self._url = hop.url
        self._open_s = FIRST_ROUND_S if hop.first_round else OPEN_S
        self._enter(_Phase.WAITING, now + hop.delay_s)
        effects: list[Effect] = []
        if self._usable:
            delay_ms = round(hop.delay_s * 1000)
            effects.append(Emit(Reconnecting(hop.url, delay_ms, hop.attempt)))
        return effects + (self._open(now) if hop.delay_s <= 0 else [])

    def _open(self, now: float) -> list[Effect]:
        self.stats.attempts += 1
        # The shell keeps the time; this one is for an answer that never comes.
        self._enter(_Phase.OPENING, now + 2 * self._open_s)
        first = self._resumable and self._unowned < NO_ONES
        return [Open(gateway_url(self._url, self._settings.encoding, first), self._open_s)]

    @property
    def _resumable(self) -> bool:
        return self.session_id is not None and self.cursor is not None

    def _failed(
        self,
        reason: str,
        now: float,
        *,
        busy: bool = False,
        retry_after_s: float | None = None,
        at_once: bool = False,
    ) -> list[Effect]:
        """An attempt did not become ready."""
        effects = self._offline()
        self.route.fail(self._url, retry_after_s, at_once=at_once)
        if not self._usable:
            self._failures[self._url] = reason
            later = busy and retry_after_s is not None
            (self._later.add if later else self._later.discard)(self._url)
            (self._hopeless.discard if busy else self._hopeless.add)(self._url)
            if self._hopeless.issuperset(self.route.given):
                return effects + self._stop(self._connect_failed("no address worked"))
        return effects + self._hop(now)

    def _connect_failed(self, why: str) -> ConnectFailed:
        failures = self._failures or {self._url: "no answer"}
        later = self._later.issuperset(failures)
        return ConnectFailed(tuple(failures.items()), why, later=later)

    def _offline(self) -> list[Effect]:
        self._liveness.closed()
        self._homing.cancel()
        return self._calls.offline()

    def _hung(self, code: int | None, reason: str, now: float) -> list[Effect]:
        after = after_close(code)
        if code is not None and after is After.STOP:
            if code == 4004 and self._settings.fresh_tokens and not self._token_renewed:
                return self._renew(now)
            text = reason or CLOSES[code].reason
            return self._stop(_STOPS.get(code, SessionEnded)(code, text))
        effects: list[Effect] = []
        if code == 4003 and self._phase is _Phase.RESUMING:
            self._unowned += 1
        if after is After.IDENTIFY and self._resumable:
            effects += self._lose("cursor", {})
        elif self._unowned > NO_ONES and self._resumable:
            effects += self._lose(Invalid.SESSION, {})
        return effects + self._ended(code, reason, now, busy=code in LATER)

    def _abandon(self, reason: str, now: float) -> list[Effect]:
        """End the connection ourselves, so that the session can go on elsewhere."""
        return [HangUp(RESUMABLE, reason), *self._ended(RESUMABLE, reason, now)]

    def _ended(
        self,
        code: int | None,
        reason: str,
        now: float,
        *,
        at_once: bool = False,
        busy: bool = False,
    ) -> list[Effect]:
        """The connection is over; the session is not.

        Args:
            code: that it was closed with; None: it broke.
            reason: for people.
            now: seconds.
            at_once: the edge asked to go on elsewhere now.
            busy: the edge is there, and an attempt at it may work later.
        """
        if self._phase is not _Phase.READY:
            told = reason or (CLOSES[code].reason if code in CLOSES else "the connection broke")
            told = told if code is None else f"{told} ({code})"
            return self._failed(told, now, busy=busy or at_once, at_once=at_once)
        self.stats.disconnects += 1
        self._lost_at = now
        effects = [*self._offline(), Emit(Disconnected(code, reason))]
        self.route.lose(at_once or code == 4021)
        return effects + self._hop(now)

    def _stop(self, error: ClientError | None) -> list[Effect]:
        self._enter(_Phase.STOPPED)
        return [HangUp(1000, ""), *self._offline(), *self._calls.stop(error), Stop(error)]

    # --- token ---------------------------------------------------------------------------------

    def _renew(self, now: float) -> list[Effect]:
        """4004: one try with a fresh token."""
        self._token, self._token_renewed = None, True
        if self._phase is _Phase.READY:
            return self._ended(4004, "the token is no longer accepted", now)
        return self._offline() + self._hop(now)

    def _without_token(self, reason: str, now: float) -> list[Effect]:
        """The token function failed: once there was a session, maybe for want of a network."""
        self._tokenless += 1
        if not self._usable or self._tokenless >= TOKEN_TRIES:
            return self._stop(AuthenticationFailed(4004, f"no token: {reason}"))
        first_s, longest_s = TOKEN_WAIT_S
        self._enter(_Phase.WAITING, now + min(first_s * 2 ** (self._tokenless - 1), longest_s))
        return []

    def _use_token(self, token: str, now: float) -> list[Effect]:
        self._token, self._tokenless = token, 0
        if self._phase is _Phase.ASKING:
            return self._hop(now)
        return self._calls.refresh(token, now) if self._phase is _Phase.READY else []

    # --- home ----------------------------------------------------------------------------------

    def _probe_home(self, now: float) -> list[Effect]:
        url = self.route.home_url
        if url is None:
            self._homing.plan(self.route.away, now)
            return []
        self._homing.tried()
        return [Probe(gateway_url(url, self._settings.encoding, resume=False), OPEN_S)]

    def _probed(self, alive: bool, now: float) -> list[Effect]:
        if self._phase is not _Phase.READY or not self.route.away:
            return []
        if not alive or self.route.home_url is None:
            self._homing.plan(away=True, now=now)
            return []
        self.route.go_home()
        why = "returning to the home region"
        return [HangUp(RESUMABLE, why), *self._ended(RESUMABLE, why, now, at_once=True)]

    # --- payloads ------------------------------------------------------------------------------

    def _receive(self, frame: Frame, now: float) -> list[Effect]:
        self.stats.frames += 1
        self._liveness.heard()
        try:
            if frame.op == Op.DISPATCH:
                return self._dispatch(frame, now)
            return self._control(frame, now)
        except Undecodable as error:
            return self._link(Garbled(str(error)), now)

    def _dispatch(self, frame: Frame, now: float) -> list[Effect]:
        if frame.s is not None:
            self._feed.seq = frame.s
        if self._phase is _Phase.RESUMING:
            self._phase_ends_at = now + SILENT_S
        if frame.t == EventName.READY and self._phase is _Phase.IDENTIFYING:
            return self._ready(read(frame.d, Ready), now)
        if frame.t == EventName.RESUMED and self._phase is _Phase.RESUMING:
            self._feed.advance(frame.c)
            return self._resumed(read(frame.d, ResumedBody), now)
        told = self.views.take(frame)
        return [Emit(told)] if told is not None else [*self._feed.take(frame)]

    def _control(self, frame: Frame, now: float) -> list[Effect]:
        effects: list[Effect] = []
        match frame.op:
            case Op.HEARTBEAT_ACK:
                self._liveness.acked()
                self._feed.advance(frame.c)
            case Op.HEARTBEAT:
                effects = [Send(Op.HEARTBEAT, self._feed.seq)]
            case Op.ACK:
                effects = self._calls.acknowledged(frame, now)
            case Op.ERROR:
                effects = self._told_error(read(frame.d, ErrorBody), now)
            case Op.RECONNECT:
                ended = self._ended(RESUMABLE, "asked to reconnect", now, at_once=True)
                effects = [HangUp(RESUMABLE, "reconnecting as asked"), *ended]
            case Op.HELLO if self._phase is _Phase.GREETING:
                effects = self._greeted(read(frame.d, Hello), now)
            case Op.REGIONS:
                self.route.relist(read(frame.d, tuple[Place, ...]))
            case Op.INVALID_SESSION:
                effects = self._invalidated(frame, now)
            case _:
                pass  # an op from a later version: ignored, as gateway clients do
        return effects

    def _told_error(self, body: ErrorBody, now: float) -> list[Effect]:
        if body.nonce is not None:
            return self._calls.refused(body, now)
        if body.code == ErrorCode.TOKEN_EXPIRING and self._settings.fresh_tokens:
            return [FetchToken()]
        if body.code == ErrorCode.RATE_LIMITED:
            self._appearance.refused(now, body.retry_after)
        if body.code == ErrorCode.NOT_PERMITTED:
            return self._granted_no_more(body)
        return []

    def _granted_no_more(self, body: ErrorBody) -> list[Effect]:
        """A fresh token takes something away."""
        if body.presence is not None:
            self._calls.blinded(body.presence)
            self.views.forget(body.presence)
        if body.user is not None:
            self._calls.unwatched(body.user)
        return self._drop([RefusedRoom(body.room, body.code)]) if body.room in self.rooms else []

    def _greeted(self, hello: Hello, now: float) -> list[Effect]:
        self._hello = hello
        self._invalid = 0
        self.route.learn(self._url, hello.region, hello.regions, hello.reconnect)
        self._liveness.hello(hello.heartbeat_interval, now, self._dice)
        return self._resume(now) if self._resumable else self._identify(now)

    def _identify(self, now: float) -> list[Effect]:
        self._enter(_Phase.IDENTIFYING, now + SILENT_S)
        self._feed.seq = None
        self._calls.spoke(now)
        d = {
            "token": self._token,
            "properties": {"library": "jetrelay"},
            "rooms": self._calls.wire_rooms(),
        }
        return [Send(Op.IDENTIFY, d | self._shown())]

    def _shown(self) -> dict[str, object]:
        self._appearance.connected()
        shown = self._appearance.wire
        return {} if shown is None else {"presence": shown}

    def _resume(self, now: float) -> list[Effect]:
        self._enter(_Phase.RESUMING, now + SILENT_S)
        self._calls.spoke(now)
        d = {
            "token": self._token,
            "session_id": self.session_id,
            "cursor": self.cursor,
            "rooms": self._calls.wire_rooms(),
        }
        return [Send(Op.RESUME, d | self._shown())]

    def _invalidated(self, frame: Frame, now: float) -> list[Effect]:
        if self._phase is _Phase.RESUMING and frame.d is True:
            self._invalid += 1
            if self._invalid > INVALID_RETRIES:
                return self._abandon("the session could not be resumed here", now)
            return self._resume(now)  # the edge has waited 1 to 5 s before it said so
        if self._phase is not _Phase.RESUMING:
            return self._abandon("the session was refused", now)
        body = read(frame.e, InvalidBody) if frame.e is not None else InvalidBody()
        return self._lose(body.reason, body.missing) + self._identify(now)

    def _lose(self, reason: str, missing: dict[str, tuple[int, int]]) -> list[Effect]:
        """The session cannot go on: say so before any later event."""
        self.stats.lost += 1
        lost = Lost(reason, missing, self.cursor)
        self._feed.cursor = self.session_id = None
        return [Emit(lost)]

    def _ready(self, body: Ready, now: float) -> list[Effect]:
        self.session_id, self.user = body.session_id, body.user.id
        self._feed.cursor = body.cursor
        told = {room: "not_permitted" for room in self.rooms if room not in body.rooms}
        told |= {each.room: each.code for each in body.refused}
        if told and not self._usable:
            names = ", ".join(sorted(told))
            code = next(iter(told.values()))
            return self._stop(Refused(code, f"the token does not grant {names}"))
        if body.regions:
            self.route.regions = body.regions
        effects = self._settled(body.region, body.edge, body.resume_gateway_url, now)
        where = (self.route.region or "", self.edge or "")
        effects.append(Emit(Connected(*where, body.session_id)))
        self._calls.joined(body.rooms)
        effects += self._drop([RefusedRoom(room, code) for room, code in told.items()])
        return effects + self._calls.online(now)

    def _resumed(self, body: ResumedBody, now: float) -> list[Effect]:
        self._feed.advance(body.cursor)
        self.stats.resumes += 1
        self.stats.replayed += body.replayed
        gap_ms = round((now - self._lost_at) * 1000) if self._lost_at is not None else 0
        effects = self._settled("", "", body.resume_gateway_url, now)
        where = (self.route.region or "", self.edge or "")
        effects.append(Emit(Resumed(body.replayed, body.behind, *where, gap_ms)))
        effects += self._drop(list(body.refused))
        return effects + self._calls.online(now)

    def _settled(self, region: str, edge: str, resume_url: str, now: float) -> list[Effect]:
        self._enter(_Phase.READY)
        self._start_ends_at = None
        self.stats.connects += 1
        self.edge = edge or self._hello.edge
        self.route.settle(self._url, region or self._hello.region, resume_url)
        self._token_renewed = False
        self._unowned = 0
        self._homing.plan(self.route.away, now)
        first, self._usable = not self._usable, True
        return [Usable()] if first else []

    def _drop(self, refused: list[RefusedRoom]) -> list[Effect]:
        self._calls.dropped(refused)
        for each in refused:
            self.views.forget(each.room)
        return [Emit(RoomRefused(each.room, each.code)) for each in refused]

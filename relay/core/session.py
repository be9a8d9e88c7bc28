"""The state machine of one connection: client frames and time in, effects out.

It knows the protocol and the bearer's grants; it knows nothing of sockets, NATS or other sessions.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from relay.config import Limits
from relay.core import numbering
from relay.core.answers import RefusalError, ack, error, nonce_refusal, refused_rooms
from relay.core.codes import ErrorCode, EventName, Invalid, Op
from relay.core.cursor import CursorCodec, CursorError
from relay.core.device import device_of
from relay.core.effects import (
    Attend,
    Close,
    Effect,
    Emit,
    Enter,
    Join,
    Leave,
    ReadHistory,
    Refused,
    Resume,
    Send,
    Store,
    Wish,
)
from relay.core.grants import Act, Grants
from relay.core.limits import Allowance, MinuteWindow, TokenBucket
from relay.core.names import is_room
from relay.core.presence import ONLINE, Shown, Status
from relay.core.presence_ops import read_presence, type_in, unwatch, update_presence, watch
from relay.core.publishing import PublishQueue, read_publish
from relay.core.session_id import SessionIds
from relay.core.tokens import TokenError, TokenRules, verify
from relay.core.wire import (
    Codec,
    Envelope,
    History,
    Identify,
    Nonce,
    Nonced,
    Payload,
    Publish,
    Refresh,
    Subscribe,
    Unsubscribe,
    WireError,
)
from relay.core.wire import Resume as ResumeRequest
from relay.core.wishes import WishRules, read_cursor, read_wishes

NONE: frozenset[str] = frozenset()  # one for all
POSTPONED_FRAMES = 256  # sent by the client while its IDENTIFY or RESUME is in progress
POSTPONED_BYTES = 256 * 1024
SEQ_FUTURE_MS = 60_000
INVALID_RETRIES = 3
IDENTIFY_AGAIN_S = 10.0
EXPIRY_WARNING_S = 60.0


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment: the monotonic clock for time-outs, the wall clock for tokens and `s`."""

    mono_s: float
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What is the same for all sessions of an edge."""

    limits: Limits
    tokens: TokenRules
    session_ids: SessionIds
    cursors: CursorCodec

    @property
    def wishes(self) -> WishRules:
        """How rooms that are asked for are judged."""
        limits = self.limits
        return WishRules(self.cursors, limits.history_events, 4 * limits.rooms_per_session)


class Phase(Enum):
    """How far a session is."""

    NEW = "new"  # neither IDENTIFY nor RESUME yet
    ENTERING = "entering"  # one of them is in progress
    LIVE = "live"
    ENDED = "ended"


class Session:
    """One connection's session.

    Args:
        rules: limits and keys of the edge.
        codec: the connection's encoding.
        fresh: 16 random bytes, for the session id and the delays of this connection.
        now: when the connection opened.
        resuming: admitted by `?resume=1`: the first op is to be a RESUME.
    """

    def __init__(
        self, rules: Rules, codec: Codec[Any], fresh: bytes, now: Instant, *, resuming: bool = False
    ) -> None:
        self.rules = rules
        self.codec = codec
        self.phase = Phase.NEW
        self.session_id = ""
        self.grants: Grants | None = None
        self.rooms: dict[str, bool] = {}  # room -> whether its join is acknowledged
        self._joins = 0
        self._joined_by: dict[str, int] = {}  # room -> the number of the newest join that is to
        # Sets that few sessions use, and that cost nothing while they are empty.
        self.looking = NONE  # rooms of which it wants to know who is there
        self.watched = NONE  # users
        self.shown: Shown | None = ONLINE  # what others see of it; None: nothing
        self.shows = False  # whether the client said so itself, on this connection
        self._fresh = fresh
        self._resuming = resuming
        limits = rules.limits
        patience_s = limits.resume_timeout_s if resuming else limits.identify_timeout_s
        self._identify_by_s = now.mono_s + patience_s
        self._beat_s = now.mono_s
        self._received_s = now.mono_s  # the frame that is being handled
        self._frames = MinuteWindow(limits.frames_per_minute, now.mono_s)
        self._beats = MinuteWindow(limits.beats_per_minute, now.mono_s)
        self._publishes = TokenBucket.full(limits.publishes_per_s, limits.publish_burst, now.mono_s)
        self._queue: PublishQueue[Store] = PublishQueue()
        self._postponed: list[tuple[bytes, float]] = []  # and when each came, or may have
        self._postponed_bytes = 0
        self._invalid: tuple[float, Payload] | None = None  # INVALID_SESSION true, and when
        self._invalids = 0
        self._made_ids = 0
        self._warned = False

    # --- time ----------------------------------------------------------------------------------

    def deadline_s(self, now: Instant) -> float:
        """The monotonic time by which `tick` is to be called, at the latest."""
        due = [self._beat_s + 2 * self.rules.limits.heartbeat_interval_ms / 1000]
        if self.phase is Phase.NEW:
            due.append(self._invalid[0] if self._invalid else self._identify_by_s)
        if self.grants is not None:
            expires_s = now.mono_s + self.grants.expires_s - now.wall_ms / 1000
            warned = self._warned or self.phase is Phase.ENTERING  # nothing is said before READY
            due.append(expires_s if warned else expires_s - EXPIRY_WARNING_S)
        return min(due)

    def tick(self, now: Instant) -> list[Effect]:
        """Time has passed."""
        if self.phase is Phase.ENDED:
            return []
        if self._invalid is not None and now.mono_s >= self._invalid[0]:
            payload = self._invalid[1]
            self._invalid = None
            self._identify_by_s = now.mono_s + IDENTIFY_AGAIN_S
            return [Send(payload)]
        waiting = self.phase is Phase.NEW and self._invalid is None
        if waiting and now.mono_s >= self._identify_by_s:
            return self._close(4003)
        if now.mono_s - self._beat_s >= 2 * self.rules.limits.heartbeat_interval_ms / 1000:
            return self._close(4009)
        return self._check_expiry(now)

    def _check_expiry(self, now: Instant) -> list[Effect]:
        if self.grants is None:
            return []
        left_s = self.grants.expires_s - now.wall_ms / 1000
        if left_s <= 0:
            return self._close(4004)
        if self.phase is Phase.ENTERING:
            return []
        if left_s <= EXPIRY_WARNING_S and not self._warned:
            self._warned = True
            message = f"the token expires in {math.ceil(left_s)} s: send REFRESH"
            return [error(None, ErrorCode.TOKEN_EXPIRING, message)]
        return []

    # --- frames --------------------------------------------------------------------------------

    @property
    def saturated(self) -> bool:
        """Whether so many publishes wait that the client is not to be read further."""
        return self._queue.waiting >= self.rules.limits.publish_queue

    def allowance(self, now: Instant) -> Allowance:
        """What is left to it of its limits."""
        return Allowance(
            frames=self._frames.left(now.mono_s),
            beats=self._beats.left(now.mono_s),
            publishes=int(self._publishes.left(now.mono_s)),
            publishes_waiting=self._queue.waiting,
            rooms=max(self.rules.limits.rooms_per_session - len(self.rooms), 0),
        )

    def receive(self, frame: bytes, now: Instant, since_s: float | None = None) -> list[Effect]:
        """A whole client message arrived: now, or at any time since `since_s` (monotonic)."""
        if self.phase is Phase.ENDED:
            return []
        self._received_s = now.mono_s if since_s is None else since_s
        try:
            envelope = self.codec.envelope(frame)
            if self.phase is Phase.ENTERING and envelope.op not in (
                Op.HEARTBEAT,
                Op.IDENTIFY,
                Op.RESUME,
            ):
                self._postponed_bytes += len(frame)
                if (
                    len(self._postponed) >= POSTPONED_FRAMES
                    or self._postponed_bytes > POSTPONED_BYTES
                ):
                    return self._close(4008)
                self._postponed.append((frame, self._received_s))
                return []
            return self._handle(envelope, now)
        except WireError:
            return self._close(4002)

    def _handle(self, envelope: Envelope, now: Instant) -> list[Effect]:
        handler = _HANDLERS.get(envelope.op)
        if handler is None:
            return self._close(4001)
        if envelope.op not in (Op.HEARTBEAT, Op.PUBLISH) and not self._frames.take(now.mono_s):
            return self._close(4008)
        if self.phase is Phase.NEW and envelope.op not in (Op.HEARTBEAT, Op.IDENTIFY, Op.RESUME):
            return self._close(4003)
        return handler(self, envelope, now)

    def _resume_reading(self, now: Instant) -> Iterator[Effect]:
        """One frame after the other: what one asks for is carried out before the next is read."""
        self._postponed_bytes = 0
        while self._postponed and self.phase is Phase.LIVE:
            frame, came_s = self._postponed.pop(0)
            yield from self.receive(frame, now, came_s)

    def _refuse_postponed(self) -> list[Effect]:
        """What was sent along with a RESUME that can't be done is not done either."""
        effects: list[Effect] = []
        for frame, _ in self._postponed:
            try:
                nonce = self.codec.read(self.codec.envelope(frame).d, Nonced).nonce
            except WireError:
                continue
            if nonce is not None and nonce_refusal(nonce) is None:
                effects.append(error(nonce, ErrorCode.UNAVAILABLE, "the session was not resumed"))
        self._postponed.clear()
        self._postponed_bytes = 0
        return effects

    def controlled(self, now: Instant) -> list[Effect]:
        """A ping or a pong arrived: they are cheap, but not for nothing."""
        if self.phase is Phase.ENDED or self._beats.take(now.mono_s):
            return []
        return self._close(4008)

    def _heartbeat(self, envelope: Envelope, now: Instant) -> list[Effect]:
        if not self._beats.take(now.mono_s):
            return self._close(4008)
        self._beat_s = now.mono_s
        self.codec.number(envelope.d)  # the last `s` seen, or null
        return [Send(Payload(Op.HEARTBEAT_ACK), with_cursor=self.phase is Phase.LIVE)]

    # --- IDENTIFY and RESUME -------------------------------------------------------------------

    def _identify(self, envelope: Envelope, now: Instant) -> list[Effect]:
        if self.phase is not Phase.NEW or self._invalid is not None:
            return self._close(4005)
        if self._resuming:
            return self._close(4003)
        request = self.codec.read(envelope.d, Identify)
        grants = self._verify(request.token, now)
        if grants is None:
            return self._close(4004)
        if grants.nothing:
            return self._close(4014)
        wishes, refused = read_wishes(request.rooms, grants, self.rules.wishes)
        asked = {wish.room for wish in wishes}
        wishes += [Wish(room) for room in grants.auto_rooms if room not in asked]
        wishes, refused = self._cap(wishes, refused)
        told = self._show(request.presence, now)
        self._begin(grants)
        self.session_id = self.rules.session_ids.make(grants.tenant, grants.user, self._fresh)
        device = device_of(request.properties)
        return [*told, Enter(grants, self.session_id, tuple(wishes), tuple(refused), device)]

    def _resume(self, envelope: Envelope, now: Instant) -> list[Effect]:
        if self.phase is not Phase.NEW or self._invalid is not None:
            return self._close(4005)
        request = self.codec.read(envelope.d, ResumeRequest)
        grants = self._verify(request.token, now)
        if grants is None:
            return self._close(4004)
        if grants.nothing:
            return self._close(4014)
        if not self.rules.session_ids.belongs(request.session_id, grants.tenant, grants.user):
            return self._close(4003) if self._resuming else self.refuse(Invalid.SESSION, now)
        cursor, seq = None, None
        if request.cursor is not None:
            try:
                cursor = self.rules.cursors.decode(request.cursor)
            except CursorError:
                return self._close(4007)
        else:
            seq = request.seq
            now_s = numbering.s_at(now.wall_ms + SEQ_FUTURE_MS, numbering.SLOTS - 1)
            if seq is None or not 0 <= seq <= now_s:
                return self._close(4007)
        asked = request.rooms if cursor is not None else None
        wishes, refused = read_wishes(
            list(grants.auto_rooms) if asked is None else asked,
            grants,
            self.rules.wishes,
            replay=False,
        )
        wishes, refused = self._cap(wishes, refused)
        told = self._show(request.presence, now)
        self._resuming = False
        self._begin(grants)
        self.session_id = request.session_id
        resume = Resume(grants, self.session_id, cursor, seq, tuple(wishes), tuple(refused))
        return [*told, resume]

    def _show(self, asked: dict[str, Any] | None, now: Instant) -> list[Effect]:
        """What the client wants to be seen of it, from IDENTIFY or RESUME on."""
        if asked is None:
            return []
        try:
            self.shown, self.shows = read_presence(asked, now.wall_ms), True
        except RefusalError as refusal:
            if asked.get("status") == Status.INVISIBLE:
                self.shown, self.shows = None, True  # whatever else is wrong with it
            return [error(None, refusal.code, f"presence: {refusal}")]
        return []

    def _verify(self, token: str, now: Instant) -> Grants | None:
        try:
            return verify(token, self.rules.tokens, now.wall_ms / 1000)
        except TokenError:
            return None

    def _begin(self, grants: Grants) -> None:
        self.phase = Phase.ENTERING
        self.grants = grants
        self._warned = False

    def _cap(self, wishes: list[Wish], refused: list[Refused]) -> tuple[list[Wish], list[Refused]]:
        free = self.rules.limits.rooms_per_session - len(self.rooms)
        kept: list[Wish] = []
        for wish in wishes:
            if wish.room in self.rooms:
                kept.append(wish)
            elif free > 0:
                free -= 1
                kept.append(wish)
            else:
                refused.append(Refused(wish.room, ErrorCode.TOO_MANY_ROOMS))
        for wish in kept:
            self.rooms.setdefault(wish.room, False)
            self._look(wish)
        return kept, refused

    def _look(self, wish: Wish) -> None:
        if wish.presence:
            self.looking |= {wish.room}
        elif wish.room in self.looking:
            self.looking -= {wish.room}

    def entered(self, ready: dict[str, Any], s: int, now: Instant) -> Iterator[Effect]:
        """The rooms of IDENTIFY are joined: say READY.

        Each effect is to be carried out before the next is asked for.
        """
        return self._enter(EventName.READY, ready, s, now)

    def resumed(self, resumed: dict[str, Any], s: int, now: Instant) -> Iterator[Effect]:
        """The missed events were sent: say RESUMED. Effects as of `entered`."""
        return self._enter(EventName.RESUMED, resumed, s, now)

    def _enter(self, name: EventName, d: dict[str, Any], s: int, now: Instant) -> Iterator[Effect]:
        if self.phase is not Phase.ENTERING:
            return
        self.phase = Phase.LIVE
        for room in self.rooms:
            self.rooms[room] = True
        yield Send(Payload(Op.DISPATCH, d, s, name))
        yield Attend()
        yield from self._resume_reading(now)

    def refuse(
        self,
        reason: Invalid,
        now: Instant,
        *,
        retry: bool = False,
        missing: dict[str, tuple[int, int]] | None = None,
    ) -> list[Effect]:
        """The RESUME can't be done: INVALID_SESSION, and the client may go on from there."""
        if self.phase is Phase.ENDED:
            return []
        e: dict[str, Any] = {"reason": reason}
        if missing is not None:
            e["missing"] = missing
        payload = Payload(Op.INVALID_SESSION, retry, e=e)
        self.phase = Phase.NEW
        self.grants = None
        self.rooms.clear()
        self._joined_by.clear()
        self.looking = NONE
        self._resuming = False
        self._identify_by_s = now.mono_s + IDENTIFY_AGAIN_S
        told = self._refuse_postponed()
        if not retry:
            return [*told, Send(payload)]
        self._invalids += 1
        if self._invalids > INVALID_RETRIES:
            return [*told, *self._close(4000)]
        # Libraries repeat the RESUME without a pause of their own.
        delay_s = 1 + 4 * self._fresh[self._invalids] / 255
        self._invalid = (now.mono_s + delay_s, payload)
        return told

    # --- rooms ---------------------------------------------------------------------------------

    def _subscribe(self, envelope: Envelope, _now: Instant) -> list[Effect]:
        request = self.codec.read(envelope.d, Subscribe)
        if (nonce_error := nonce_refusal(request.nonce)) is not None:
            return [nonce_error]
        wishes, refused = read_wishes(request.rooms, self._granted, self.rules.wishes)
        # A room that is in already stays as it is, unless it is to be replayed.
        settled = [w for w in wishes if self.rooms.get(w.room) and w.since is None and not w.last]
        for wish in settled:
            self._look(wish)
        wishes, refused = self._cap([w for w in wishes if w not in settled], refused)
        rooms = tuple(wish.room for wish in settled)
        if not wishes:
            return self.joined(rooms, refused, request.nonce)
        self._joins += 1
        self._joined_by.update((wish.room, self._joins) for wish in wishes)
        return [Join(tuple(wishes), tuple(refused), request.nonce, rooms, self._joins)]

    def joined(
        self, rooms: Iterable[str], refused: Iterable[Refused], nonce: Nonce | None
    ) -> list[Effect]:
        """The rooms of a SUBSCRIBE are joined."""
        acknowledged = []
        for room in rooms:
            if room in self.rooms:
                self.rooms[room] = True
                acknowledged.append(room)
        if nonce is None:
            return [Attend()]
        d = {"nonce": nonce, "rooms": acknowledged, "refused": refused_rooms(refused)}
        return [Send(Payload(Op.ACK, d), with_cursor=True), Attend()]

    def not_joined(self, join: Join, rooms: Iterable[str], message: str) -> list[Effect]:
        """These rooms of a SUBSCRIBE could not be joined; a later one may still join them."""
        self._forget(room for room in rooms if self._joined_by.get(room) == join.number)
        return [error(join.nonce, ErrorCode.UNAVAILABLE, message)]

    def _unsubscribe(self, envelope: Envelope, _now: Instant) -> list[Effect]:
        request = self.codec.read(envelope.d, Unsubscribe)
        if (nonce_error := nonce_refusal(request.nonce)) is not None:
            return [nonce_error]
        left = tuple(room for room in dict.fromkeys(request.rooms) if room in self.rooms)
        self._forget(left)
        return [Leave(left), *ack(request.nonce), Attend()]

    def _forget(self, rooms: Iterable[str]) -> None:
        for room in rooms:
            self.rooms.pop(room, None)
            self._joined_by.pop(room, None)
            if room in self.looking:
                self.looking -= {room}

    # --- publishing ----------------------------------------------------------------------------

    def _publish(self, envelope: Envelope, now: Instant) -> list[Effect]:
        request = self.codec.read(envelope.d, Publish)
        if (nonce_error := nonce_refusal(request.nonce)) is not None:
            return [nonce_error]
        if (wait_s := self._publishes.take(now.mono_s)) > 0:
            message = f"more than {self.rules.limits.publishes_per_s:g} publishes a second"
            return [error(request.nonce, ErrorCode.RATE_LIMITED, message, retry_after=wait_s)]
        try:
            self._made_ids += 1
            made_id = f"{self._fresh.hex()}-{self._made_ids}"
            store = read_publish(request, self._granted, made_id, self._received_s)
        except RefusalError as refusal:
            return [error(request.nonce, refusal.code, str(refusal))]
        if request.ephemeral:
            emit = Emit(store.room, store.id, store.data)
            return [emit, *ack(request.nonce, id=store.id)]
        started = self._queue.submit(store.room, store)
        return [started] if started is not None else []

    def stored(
        self, store: Store, origin: str, epoch: int, seq: int, *, duplicate: bool
    ) -> list[Effect]:
        """The event was stored."""
        following = self._queue.stored(store.room)
        extra: dict[str, Any] = {"duplicate": True} if duplicate else {}
        acks = ack(store.nonce, origin=origin, epoch=epoch, seq=seq, id=store.id, **extra)
        return [*acks, *([following] if following is not None else [])]

    def failed(self, store: Store, message: str) -> list[Effect]:
        """The event was not stored, or nobody knows."""
        failures = (store, *self._queue.failed(store.room))
        return [error(failed.nonce, ErrorCode.UNAVAILABLE, message) for failed in failures]

    # --- the rest ------------------------------------------------------------------------------

    def _history(self, envelope: Envelope, _now: Instant) -> list[Effect]:
        request = self.codec.read(envelope.d, History)
        if (nonce_error := nonce_refusal(request.nonce)) is not None:
            return [nonce_error]
        try:
            if not is_room(request.room):
                raise RefusalError(ErrorCode.INVALID_ROOM)
            if not self._granted.allows(Act.HISTORY, request.room):
                raise RefusalError(ErrorCode.NOT_PERMITTED)
            if not 1 <= request.limit <= self.rules.limits.history_events:
                raise RefusalError(
                    ErrorCode.INVALID_DATA, f"limit: 1 to {self.rules.limits.history_events}"
                )
            before = (
                read_cursor(request.before, self.rules.cursors)
                if request.before is not None
                else None
            )
            after = (
                read_cursor(request.after, self.rules.cursors)
                if request.after is not None
                else None
            )
        except RefusalError as refusal:
            return [error(request.nonce, refusal.code, str(refusal))]
        return [ReadHistory(request.room, request.limit, before, after, request.nonce)]

    def _refresh(self, envelope: Envelope, now: Instant) -> list[Effect]:
        request = self.codec.read(envelope.d, Refresh)
        if (nonce_error := nonce_refusal(request.nonce)) is not None:
            return [nonce_error]
        grants = self._verify(request.token, now)
        held = self._granted
        if grants is None or (grants.tenant, grants.user) != (held.tenant, held.user):
            return self._close(4004)
        self.grants = grants
        self._warned = False
        lost = tuple(room for room in self.rooms if not grants.allows(Act.SUBSCRIBE, room))
        self._forget(lost)
        blind = sorted(room for room in self.looking if not grants.allows(Act.PRESENCE, room))
        self.looking -= set(blind)
        unseen = sorted(user for user in self.watched if not grants.watches(user))
        self.watched -= set(unseen)
        told = [
            error(None, ErrorCode.NOT_PERMITTED, "granted no more: left", room=room)
            for room in lost
        ]
        told += [
            error(None, ErrorCode.NOT_PERMITTED, "granted no more", presence=room) for room in blind
        ]
        told += [
            error(None, ErrorCode.NOT_PERMITTED, "granted no more", user=user) for user in unseen
        ]
        return [*([Leave(lost)] if lost else []), *told, *ack(request.nonce), Attend()]

    def watch(self, users: frozenset[str], nonce: Nonce | None) -> list[Effect]:
        """The edge has room to look at these users, too."""
        self.watched |= users
        return [*ack(nonce), Attend()]

    def appear(self, shown: Shown | None) -> list[Effect]:
        """A PRESENCE_UPDATE is granted."""
        self.shown, self.shows = shown, True
        return [Attend()]

    @property
    def _granted(self) -> Grants:
        assert self.grants is not None, "only a session that has begun gets here"
        return self.grants

    def _close(self, code: int) -> list[Effect]:
        self.phase = Phase.ENDED
        return [Close(code)]


_Handler = Callable[[Session, Envelope, Instant], list[Effect]]
_HANDLERS: dict[int, _Handler] = {
    Op.HEARTBEAT: Session._heartbeat,  # noqa: SLF001 (the table of the class's own methods)
    Op.IDENTIFY: Session._identify,  # noqa: SLF001
    Op.PRESENCE_UPDATE: update_presence,
    Op.RESUME: Session._resume,  # noqa: SLF001
    Op.SUBSCRIBE: Session._subscribe,  # noqa: SLF001
    Op.UNSUBSCRIBE: Session._unsubscribe,  # noqa: SLF001
    Op.PUBLISH: Session._publish,  # noqa: SLF001
    Op.TYPING: type_in,
    Op.WATCH: watch,
    Op.UNWATCH: unwatch,
    Op.HISTORY: Session._history,  # noqa: SLF001
    Op.REFRESH: Session._refresh,  # noqa: SLF001
}

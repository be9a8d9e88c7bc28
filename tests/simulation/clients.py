"""Simulated clients: the library's own session, and raw ones that keep a cursor or only `s`."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from relay.client import effects as do
from relay.client.answers import Ack
from relay.client.effects import Effect, Input
from relay.client.errors import ClientError, Unknown
from relay.client.events import Gap, Lost, Message
from relay.client.session import Session
from relay.client.settings import Settings, State
from relay.client.wire import CODECS, Frame
from relay.core.codes import EventName, Op
from tests.simulation.edges import SimEdge
from tests.simulation.loop import Handle, Scheduler
from tests.simulation.sockets import FAR_S, NEAR_S, Wire
from tests.simulation.truth import Fact, Place, Truth, ViolationError
from tests.simulation.view import Declared, View

ANSWER_S = 5.0
BEAT_S = 15.0
RETRY_S = 0.3
SILENT_S = 12.0


class Network(Protocol):
    """What clients share."""

    scheduler: Scheduler
    truth: Truth
    edges: dict[str, SimEdge]  # by address
    unreachable: set[str]  # regions that clients can't reach
    tracing: bool

    def log(self, text: str) -> None:
        """A line of the trace."""

    def violated(self, text: str) -> None:
        """A promise was broken."""


class Client:
    """What every client is: a home region, a view, publishes with ids of its own."""

    def __init__(
        self, network: Network, name: str, region: str, view: View, seed: int, encoding: str
    ) -> None:
        self.name = name
        self.region = region
        self.view = view
        self.network = network
        self.dice = random.Random(seed)
        self.codec = CODECS[encoding]()
        self.encoding = encoding
        self.published = 0
        self.unsettled = 0  # publishes without an answer
        self.wire: Wire | None = None
        self.pause_reading = False
        self._numbers: dict[str, int] = {}

    def data(self, room: str) -> dict[str, int]:
        """The next payload for a room: its number shows the order."""
        number = self._numbers.get(room, 0) + 1
        self._numbers[room] = number
        return {"n": number}

    def dial(self, url: str, ear: Any) -> None:
        """Open a connection."""
        parts = urlsplit(url)
        edge = self.network.edges[f"{parts.scheme}://{parts.netloc}{parts.path}"]
        delay_s = NEAR_S if edge.region == self.region else FAR_S
        seed = int(self.dice.random() * (1 << 40))
        wire = Wire(self.network.scheduler, random.Random(seed), ear, delay_s)
        wire.dead = edge.region in self.network.unreachable
        self.wire = wire
        self.at = edge
        wire.connect(edge.handshake, url)

    at: SimEdge | None = None

    def drop(self) -> None:
        """The network between client and edge forgets this connection."""
        if self.wire is not None:
            self.wire.cut()

    def saw(self, frame: Frame) -> None:
        """Check what came, before anybody makes sense of it."""
        if self.network.tracing:
            edge = self.at.name if self.at is not None else ""
            cursor = dict(self.view.positions(frame.c)) if frame.c is not None else ""
            text = f"{frame.t or Op(frame.op).name} {frame.d} {cursor} {frame.e or ''}"
            self.network.log(f"{self.name} of {self.region} <- {edge}: {text}")
        try:
            self._saw(frame)
        except ViolationError as error:
            self.network.violated(str(error))

    def _saw(self, frame: Frame) -> None:
        view = self.view
        if frame.op == Op.DISPATCH:
            d = frame.d
            if frame.t == EventName.MESSAGE:
                place = Place(d["origin"], d["epoch"], d["seq"])
                fact = Fact(d["room"], d["user"], d["id"], msgspec.json.encode(d["data"]))
                view.event(place, fact, d["data"]["n"])
            elif frame.t == EventName.GAP:
                until = self.network.truth.epoch(d["origin"])
                gap = Declared(d["origin"], d["epoch"], d["first"], d["last"], d.get("room"), until)
                view.gap(gap, d["reason"])
            elif frame.t in (EventName.READY, EventName.RESUMED):
                view.moved_s.append(self.network.scheduler.now)
            if frame.t == EventName.READY:
                view.begin(d["cursor"], tuple(d["rooms"]))
            elif frame.t == EventName.RESUMED:
                view.cursor(d["cursor"])
                self.network.truth.counts["resumed"] += 1
                self.network.truth.counts["replayed"] += d["replayed"]
        elif frame.op == Op.INVALID_SESSION and frame.d is False:
            view.refused((frame.e or {}).get("reason", "none"))
        if frame.c is not None:
            view.cursor(frame.c)

    def acknowledged(self, d: dict[str, Any], room: str, publish_id: str) -> None:
        """An ACK of a publish."""
        self.unsettled -= 1
        place = Place(d["origin"], d["epoch"], d["seq"])
        try:
            self.network.truth.acknowledge(self.name, place, room, self.name, publish_id)
        except ViolationError as error:
            self.network.violated(str(error))

    # --- what the scenario asks ----------------------------------------------------------------

    def start(self) -> None:
        """Connect."""
        raise NotImplementedError

    def publish(self, room: str) -> None:
        """Publish once."""
        raise NotImplementedError

    def reconnect(self) -> None:
        """Leave the edge, and go on at another."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether it has a session now."""
        raise NotImplementedError


class LibraryClient(Client):
    """The library's session, with a simulated socket."""

    def __init__(
        self,
        network: Network,
        name: str,
        region: str,
        view: View,
        seed: int,
        encoding: str,
        urls: tuple[str, ...],
        rooms: tuple[str, ...],
        token: str,
    ) -> None:
        super().__init__(network, name, region, view, seed, encoding)
        settings = Settings(
            urls, rooms, encoding, token, timeout_s=1e6, home_after_s=20.0, fresh_tokens=False
        )
        self.session = Session(settings, self.dice.random)
        self._tickets: dict[int, tuple[str, str]] = {}
        self._ticket = 0
        self._timer: Handle | None = None
        self._link = 0
        self._surfaced: set[tuple[str | None, str, str | None]] = set()
        self._opening = False

    @property
    def ready(self) -> bool:
        return self.session.state is State.READY

    def start(self) -> None:
        self.feed(do.Start())

    def publish(self, room: str) -> None:
        self._ticket += 1
        publish_id = f"{self.name}-{self._ticket}"
        self._tickets[self._ticket] = (room, publish_id)
        d = {"room": room, "data": self.data(room), "id": publish_id, "nonce": self._ticket}
        raw = self.codec.encode(Op.PUBLISH, d)
        self.unsettled += 1
        self.feed(do.Publish(self._ticket, room, publish_id, False, raw))

    def reconnect(self) -> None:
        if self.ready:
            self._hang_up(4000)
            self.feed(do.Hung(None, "the network changed"))

    def feed(self, event: Input) -> None:
        """Give the session an input, and do what it asks."""
        now = self.network.scheduler.now
        for effect in self.session.handle(event, now):
            self._do(effect)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.session.deadline
        if deadline is not None:
            at = max(deadline, now + 0.001)
            self._timer = self.network.scheduler.at(at, self.feed, do.Tick())

    def _do(self, effect: Effect) -> None:
        match effect:
            case do.Open(url, _):
                self._link += 1
                self.dial(url, _Ear(self, self._link))
            case do.HangUp(code, _):
                self._hang_up(code)
            case do.Send(op, d):
                if op is Op.IDENTIFY:
                    self.view.identify()
                if self.wire is not None:
                    self.wire.send(self.codec.encode(op, d))
            case do.SendRaw(raw):
                if self.wire is not None:
                    self.wire.send(raw)
            case do.Ping():
                if self.wire is not None:
                    self.wire.ping()
            case do.Probe(url, _):
                parts = urlsplit(url)
                edge = self.network.edges[f"{parts.scheme}://{parts.netloc}{parts.path}"]
                alive = edge.edge is not None and edge.running
                alive = alive and edge.region not in self.network.unreachable
                self.network.scheduler.after(0.1, self.feed, do.Probed(alive))
            case do.Emit(event):
                self._emit(event)
            case do.Resolve(ticket, value):
                if isinstance(value, Ack):
                    room, publish_id = self._tickets.pop(ticket)
                    d = {"origin": value.origin, "epoch": value.epoch, "seq": value.seq}
                    self.acknowledged(d, room, publish_id)
            case do.Reject(ticket, error):
                self._rejected(ticket, error)
            case do.Stop(error):
                self.network.violated(f"stopped: {self.name}: {error!r}")
            case _:
                pass

    def _rejected(self, ticket: int, error: ClientError) -> None:
        self._tickets.pop(ticket, None)
        self.unsettled -= 1
        kind = "unknown" if isinstance(error, Unknown) else "failed"
        self.network.truth.counts[f"publish {kind}"] += 1

    def _emit(self, event: object) -> None:
        match event:
            case Message():
                key = (event.user, event.room, event.id)
                if key in self._surfaced:
                    self.network.violated(f"duplicate surfaced: {self.name}: {event}")
                self._surfaced.add(key)
            case Lost():
                self.network.truth.counts[f"session lost: {event.reason}"] += 1
            case Gap():
                self.network.truth.counts["gap surfaced"] += 1
            case _:
                pass

    def _hang_up(self, code: int) -> None:
        self._link += 1
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.hang_up(code)

    def received(self, payload: bytes) -> None:
        """A payload came."""
        frame = self.codec.decode(payload)
        self.saw(frame)
        self.feed(do.Received(frame))


class _Ear:
    """One connection's ear: what an old connection says no longer counts."""

    def __init__(self, client: LibraryClient, link: int) -> None:
        self._client = client
        self._link = link

    @property
    def _current(self) -> bool:
        return self._client._link == self._link

    def opened(self) -> None:
        if self._current:
            self._client.feed(do.Opened())

    def failed(self, reason: str, *, busy: bool, retry_after_s: float | None) -> None:
        if self._current:
            self._client.wire = None
            self._client.feed(do.OpenFailed(reason, busy, retry_after_s))

    def heard(self, payload: bytes) -> None:
        if self._current:
            self._client.received(payload)

    def ponged(self) -> None:
        if self._current:
            self._client.feed(do.Heard())

    def ended(self, code: int | None) -> None:
        if self._current:
            self._client.wire = None
            self._client.feed(do.Hung(code, ""))


class RawClient(Client):
    """A client that keeps a session id and a cursor, or only `s`, and goes to any edge.

    Args:
        by_seq: it resumes by `s`, into the rooms that its token subscribes by itself.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        region: str,
        view: View,
        seed: int,
        encoding: str,
        choose: Callable[[random.Random, str], str],
        rooms: tuple[str, ...],
        token: str,
        *,
        by_seq: bool,
    ) -> None:
        super().__init__(network, name, region, view, seed, encoding)
        self._choose = choose
        self._rooms = rooms
        self._token = token
        self._by_seq = by_seq
        self._session_id: str | None = None
        self._cursor: str | None = None
        self._s: int | None = None
        self._ready = False
        self._generation = 0
        self._heard_s = 0.0
        self._resumes = 0  # refused in a row on this connection
        self._queue: deque[tuple[str, str, dict[str, int]]] = deque()
        self._sent_s: float | None = None  # the first of the queue is on its way since

    @property
    def ready(self) -> bool:
        return self._ready

    def start(self) -> None:
        self._connect()

    def publish(self, room: str) -> None:
        self.published += 1
        self.unsettled += 1
        self._queue.append((room, f"{self.name}-{self.published}", self.data(room)))
        self._send_next()

    def reconnect(self) -> None:
        if self._ready:
            self._leave(4000)
            self._later(0.05)

    # --- connections ---------------------------------------------------------------------------

    def _connect(self) -> None:
        self._generation += 1
        self._resumes = 0
        resume = "&resume=1" if self._session_id is not None else ""
        url = self._choose(self.dice, self.region)
        self._heard_s = self.network.scheduler.now
        self.dial(f"{url}?v=10&encoding={self.encoding}{resume}", _RawEar(self, self._generation))
        self.network.scheduler.after(BEAT_S / 3, self._beat, self._generation)

    def _leave(self, code: int) -> None:
        self._generation += 1
        self._ready = False
        self._sent_s = None
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.hang_up(code)

    def _later(self, delay_s: float) -> None:
        self.network.scheduler.after(delay_s * (0.5 + self.dice.random()), self._again,
                                     self._generation)  # fmt: skip

    def _again(self, generation: int) -> None:
        if generation == self._generation:
            self._connect()

    def lost(self) -> None:
        """The connection is gone."""
        self._leave(4000)
        self._later(0.5)

    def _beat(self, generation: int) -> None:
        if generation != self._generation:
            return
        now = self.network.scheduler.now
        if now - self._heard_s > SILENT_S:
            self.lost()
            return
        if self._ready:
            self._send(Op.HEARTBEAT, self._s)
            if self._sent_s is not None and now - self._sent_s > ANSWER_S:
                self._sent_s = None
                self._send_next()
        self.network.scheduler.after(BEAT_S / 3, self._beat, generation)

    def _send(self, op: Op, d: object) -> None:
        if self.wire is not None:
            self.wire.send(self.codec.encode(op, d))

    # --- publishing ----------------------------------------------------------------------------

    def _send_next(self) -> None:
        if self._ready and self._queue and self._sent_s is None:
            room, publish_id, data = self._queue[0]
            self._sent_s = self.network.scheduler.now
            d = {"room": room, "data": data, "id": publish_id, "nonce": publish_id}
            self._send(Op.PUBLISH, d)

    def _retry(self, generation: int) -> None:
        if generation == self._generation:
            self._sent_s = None
            self._send_next()

    # --- payloads ------------------------------------------------------------------------------

    def received(self, payload: bytes) -> None:
        """A payload came."""
        self._heard_s = self.network.scheduler.now
        frame = self.codec.decode(payload)
        self.saw(frame)
        if frame.s is not None:
            self._s = frame.s
        if frame.c is not None:
            self._cursor = frame.c
        match frame.op:
            case Op.HELLO:
                self._greet()
            case Op.DISPATCH if frame.t in (EventName.READY, EventName.RESUMED):
                self._session_id = frame.d.get("session_id", self._session_id)
                self._cursor = frame.d["cursor"]
                self._ready = True
                self._send_next()
            case Op.INVALID_SESSION:
                self._invalid(frame)
            case Op.RECONNECT:
                self._leave(4000)
                self._later(0.01)
            case Op.ACK if self._queue and frame.d.get("nonce") == self._queue[0][1]:
                room, publish_id, _ = self._queue.popleft()
                self._sent_s = None
                self.acknowledged(frame.d, room, publish_id)
                self._send_next()
            case Op.ERROR if self._queue and frame.d.get("nonce") == self._queue[0][1]:
                self.network.truth.counts[f"publish {frame.d['code']}"] += 1
                self.network.scheduler.after(RETRY_S, self._retry, self._generation)
            case _:
                pass

    def _greet(self) -> None:
        if self._session_id is None:
            self.view.identify()
            self._send(Op.IDENTIFY, {"token": self._token, "rooms": list(self._rooms)})
            return
        d: dict[str, object] = {"token": self._token, "session_id": self._session_id}
        if self._by_seq:
            d["seq"] = self._s
        else:
            d |= {"cursor": self._cursor, "rooms": list(self._rooms)}
        self._send(Op.RESUME, d)

    def _invalid(self, frame: Frame) -> None:
        if frame.d is True and self._resumes < 3:
            self._resumes += 1
            self._greet()
            return
        if frame.d is True:
            self.lost()
            return
        self._session_id = None
        self._greet()

    def hung(self, code: int | None) -> None:
        """The edge closed."""
        if code in (4004, 4012, 4014, 4022):
            self.network.violated(f"stopped: {self.name}: close code {code}")
        if code == 4007:
            self.network.violated(f"cursor refused as none: {self.name}")
        self.lost()


class _RawEar:
    """One connection's ear."""

    def __init__(self, client: RawClient, generation: int) -> None:
        self._client = client
        self._generation = generation

    @property
    def _current(self) -> bool:
        return self._client._generation == self._generation

    def opened(self) -> None:
        pass

    def failed(self, reason: str, *, busy: bool, retry_after_s: float | None) -> None:
        del reason, busy, retry_after_s
        if self._current:
            self._client.lost()

    def heard(self, payload: bytes) -> None:
        if self._current:
            self._client.received(payload)

    def ponged(self) -> None:
        pass

    def ended(self, code: int | None) -> None:
        if self._current:
            self._client.hung(code)

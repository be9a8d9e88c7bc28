"""Simulated clients: what all kinds share, and how each frame is checked."""

import random
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from relay.client.wire import CODECS, Frame
from relay.core.codes import EventName, Op
from tests.simulation.edges import SimEdge
from tests.simulation.loop import Scheduler
from tests.simulation.sockets import FAR_S, NEAR_S, Wire
from tests.simulation.truth import Fact, Place, Truth, ViolationError
from tests.simulation.view import Declared, View


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
        self.slow_s = 0.0  # that it takes for each write of its edge, at most
        self.link = 0  # of the connection; what an earlier one says no longer counts
        self.pause_reading = False
        self._numbers: dict[str, int] = {}

    def data(self, room: str) -> dict[str, int]:
        """The next payload for a room: its number shows the order."""
        number = self._numbers.get(room, 0) + 1
        self._numbers[room] = number
        return {"n": number}

    # --- what its connection says --------------------------------------------------------------

    def opened(self) -> None:
        """The socket is open."""

    def failed(self, reason: str, *, busy: bool, retry_after_s: float | None) -> None:
        """The attempt failed."""
        raise NotImplementedError

    def received(self, payload: bytes) -> None:
        """A payload came."""
        raise NotImplementedError

    def ponged(self) -> None:
        """A pong came."""

    def ended(self, code: int | None) -> None:
        """The edge closed, or the connection broke."""
        raise NotImplementedError

    # --- what all do ---------------------------------------------------------------------------

    def dial(self, url: str) -> None:
        """Open a connection."""
        parts = urlsplit(url)
        edge = self.network.edges[f"{parts.scheme}://{parts.netloc}{parts.path}"]
        delay_s = NEAR_S if edge.region == self.region else FAR_S
        seed = int(self.dice.random() * (1 << 40))
        wire = Wire(self.network.scheduler, random.Random(seed), Ear(self, self.link), delay_s)
        wire.dead = edge.region in self.network.unreachable
        wire.slow_s = self.slow_s
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
        if frame.op == Op.HELLO:
            view.region = frame.d["region"]
        elif frame.op == Op.DISPATCH:
            d = frame.d
            if frame.t == EventName.MESSAGE:
                place = Place(d["origin"], d["epoch"], d["seq"])
                fact = Fact(d["room"], d["user"], d["id"], msgspec.json.encode(d["data"]))
                view.event(place, fact, d["data"]["n"])
            elif frame.t == EventName.GAP:
                until = self.network.truth.epoch(d["origin"])
                gap = Declared(d["origin"], d["epoch"], d["first"], d["last"], d.get("room"), until)
                view.gap(gap, d["reason"])
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


class Ear:
    """One connection's ear: what an old connection says no longer counts."""

    def __init__(self, client: Client, link: int) -> None:
        self._client = client
        self._link = link

    @property
    def _current(self) -> bool:
        return self._client.link == self._link

    def opened(self) -> None:
        """The socket is open."""
        if self._current:
            self._client.opened()

    def failed(self, reason: str, *, busy: bool, retry_after_s: float | None) -> None:
        """The attempt failed."""
        if self._current:
            self._client.failed(reason, busy=busy, retry_after_s=retry_after_s)

    def heard(self, payload: bytes) -> None:
        """A payload came."""
        if self._current:
            self._client.received(payload)

    def ponged(self) -> None:
        """A pong came."""
        if self._current:
            self._client.ponged()

    def ended(self, code: int | None) -> None:
        """The edge closed, or the connection broke."""
        if self._current:
            self._client.ended(code)

"""A simulated client: the library's own session, without its sockets."""

from urllib.parse import urlsplit

from relay.client import effects as do
from relay.client.answers import Ack
from relay.client.effects import Effect, Input
from relay.client.errors import ClientError, Unknown
from relay.client.events import Gap, Lost, Message
from relay.client.session import Session
from relay.client.settings import Settings, State
from relay.core.codes import Op
from tests.simulation.clients import Client, Network
from tests.simulation.loop import Handle
from tests.simulation.view import View


class LibraryClient(Client):
    """The library's session, with a simulated socket."""

    _timer: Handle | None

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
        self._timer = None
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
                self.link += 1
                self.dial(url)
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
        self.link += 1
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.hang_up(code)

    def received(self, payload: bytes) -> None:
        """A payload came."""
        frame = self.codec.decode(payload)
        self.saw(frame)
        self.feed(do.Received(frame))

    def opened(self) -> None:
        """The socket is open."""
        self.feed(do.Opened())

    def failed(self, reason: str, *, busy: bool, retry_after_s: float | None) -> None:
        """The attempt failed."""
        self.wire = None
        self.feed(do.OpenFailed(reason, busy, retry_after_s))

    def ponged(self) -> None:
        """A pong came."""
        self.feed(do.Heard())

    def ended(self, code: int | None) -> None:
        """The connection is gone."""
        self.wire = None
        self.feed(do.Hung(code, ""))

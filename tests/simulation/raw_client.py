"""A simulated client that speaks the protocol itself, and keeps a cursor or only `s`."""

import random
from collections import deque
from collections.abc import Callable

from relay.client.wire import Frame
from relay.core.codes import EventName, Op
from tests.simulation.clients import Client, Network
from tests.simulation.view import View

ANSWER_S = 5.0
BEAT_S = 15.0
RETRY_S = 0.3
SILENT_S = 12.0


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
        self.link += 1
        self._resumes = 0
        resume = "&resume=1" if self._session_id is not None else ""
        url = self._choose(self.dice, self.region)
        self._heard_s = self.network.scheduler.now
        self.dial(f"{url}?v=10&encoding={self.encoding}{resume}")
        self.network.scheduler.after(BEAT_S / 3, self._beat, self.link)

    def _leave(self, code: int) -> None:
        self.link += 1
        self._ready = False
        self._sent_s = None
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.hang_up(code)

    def _later(self, delay_s: float) -> None:
        self.network.scheduler.after(delay_s * (0.5 + self.dice.random()), self._again,
                                     self.link)  # fmt: skip

    def _again(self, generation: int) -> None:
        if generation == self.link:
            self._connect()

    def lost(self) -> None:
        """The connection is gone."""
        self._leave(4000)
        self._later(0.5)

    def _beat(self, generation: int) -> None:
        if generation != self.link:
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
        if generation == self.link:
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
                self.network.scheduler.after(RETRY_S, self._retry, self.link)
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

    def ended(self, code: int | None) -> None:
        """The edge closed."""
        if code in (4004, 4012, 4014, 4022):
            self.network.violated(f"stopped: {self.name}: close code {code}")
        if code == 4007:
            self.network.violated(f"cursor refused as none: {self.name}")
        self.lost()

    def failed(self, reason: str, *, busy: bool, retry_after_s: float | None) -> None:
        """The attempt failed."""
        del reason, busy, retry_after_s
        self.lost()

"""Writes down what one client does, gets and is told, in the order of the wire."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from regions.ledger.content import hash_of, number_of
from regions.ledger.files import Writer
from regions.ledger.glass import look
from regions.ledger.record import (
    Base,
    Delivered,
    Down,
    GapSaid,
    Invalid,
    LostSaid,
    Places,
    Ready,
    Recalled,
    Resumed,
    Resuming,
    RoomRefused,
    Subscribed,
    Surfaced,
    Trying,
    Unsubscribed,
)
from relay.client import Disconnected, Event, Lost, Message, Reconnecting
from relay.client import RoomRefused as RoomGone
from relay.client.wire import Frame
from relay.core.codes import EventName, Op

Place = tuple[str, int, int]  # origin, epoch, seq


@dataclass(slots=True)
class _Raw:
    """A MESSAGE frame of which it is not known yet whether the application gets it."""

    t: int
    d: dict[str, Any]
    replayed: bool


class Recorder:
    """The `observer` of one client, and what its application's loop calls for each event.

    A message is written when the application has got it, or a later one: so that one record says
    both. What came after it on the wire waits behind it.

    Args:
        writer: where to.
        client: the client's name, which is its user's.
    """

    def __init__(self, writer: Writer, client: str) -> None:
        self.client = client
        self.region = ""
        self.edge = ""
        self.session = ""
        self.delivered = 0
        self.downs = 0  # connections that ended
        self.tries = 0  # of them: how many were followed by a choice where to go
        self.backs = 0  # resumed or begun anew after that
        self.reached: dict[str, dict[str, tuple[int, int]]] = {}  # room -> origin -> (epoch, seq)
        self._writer = writer
        self._pending: deque[_Raw | Base] = deque()
        self._heard = time.monotonic_ns()
        self._nonces: dict[object, list[str]] = {}  # of SUBSCRIBE -> its rooms
        self._hello: dict[str, str] = {}

    # --- from the wire -------------------------------------------------------------------------

    def observe(self, kind: str, value: object) -> None:
        """What `relay.client.connect` calls its observer with."""
        if isinstance(value, Frame):
            self._received(value)
        elif kind == "sent":
            assert isinstance(value, tuple)
            self._sent(*value)
        elif isinstance(value, Disconnected):
            now = time.monotonic_ns()
            self.downs += 1
            self._add(Down(now, self.client, value.code, value.reason, self._heard))
        elif isinstance(value, Reconnecting):
            now = time.monotonic_ns()
            self.tries = self.downs
            self._add(Trying(now, self.client, value.url, value.attempt, value.delay_ms))

    def _received(self, frame: Frame) -> None:
        now = self._heard = time.monotonic_ns()
        if frame.op == Op.DISPATCH:
            if frame.t == EventName.MESSAGE:
                self._message(now, frame)
            else:
                self._dispatched(now, frame)
        elif frame.op == Op.HELLO:
            self._hello = {name: frame.d.get(name, "") for name in ("region", "edge")}
        elif frame.op == Op.RECONNECT:
            self._add(Recalled(now, self.client))
        elif frame.op == Op.INVALID_SESSION:
            why = frame.e.get("reason", "") if isinstance(frame.e, dict) else ""
            self._add(Invalid(now, self.client, frame.d is True, why))
        elif frame.op == Op.ACK and frame.d.get("nonce") in self._nonces:
            at = look(frame.c)
            for room in self._nonces.pop(frame.d["nonce"]):
                if room in frame.d.get("rooms", ()):
                    self._add(Subscribed(now, self.client, room, at))

    def _message(self, now: int, frame: Frame) -> None:
        d = frame.d
        self._pending.append(_Raw(now, d, frame.s is None))
        self.delivered += 1
        place = (d["epoch"], d["seq"])
        reached = self.reached.setdefault(d["room"], {})
        if place > reached.get(d["origin"], (0, 0)):
            reached[d["origin"]] = place

    def _dispatched(self, now: int, frame: Frame) -> None:
        d = frame.d
        if frame.t == EventName.READY:
            self.session = d["session_id"]
            self.region, self.edge = d["region"], d["edge"]
            rooms, at = tuple(d["rooms"]), look(d["cursor"])
            self.backs = self.downs
            self._add(Ready(now, self.client, self.session, self.region, self.edge, rooms, at))
        elif frame.t == EventName.RESUMED:
            self.region, self.edge = self._hello["region"], self._hello["edge"]
            replayed, at = d["replayed"], look(d["cursor"])
            self.backs = self.downs
            self._add(Resumed(now, self.client, self.region, self.edge, replayed, d["behind"], at))
        elif frame.t == EventName.GAP:
            self._add(
                GapSaid(
                    now, self.client, d["origin"], d["epoch"], d["first"], d["last"], d["reason"],
                    d.get("room"),
                )
            )  # fmt: skip

    def _sent(self, op: Op, d: dict[str, Any]) -> None:
        now = time.monotonic_ns()
        if op == Op.RESUME:
            self._add(Resuming(now, self.client, d["session_id"], look(d["cursor"])))
        elif op == Op.SUBSCRIBE:
            self._nonces[d["nonce"]] = [wish["room"] for wish in d["rooms"]]
        elif op == Op.UNSUBSCRIBE:
            for room in d["rooms"]:
                self._add(Unsubscribed(now, self.client, room))

    # --- from the application ------------------------------------------------------------------

    def surfaced(self, event: Event) -> None:
        """The application got `event`."""
        if isinstance(event, Message):
            self._took(event)
        elif isinstance(event, Lost):
            # Whatever came before the next session came before this, too.
            while self._pending and not isinstance(self._pending[0], Ready):
                self._release(app=False)
            self._writer.write(LostSaid(time.monotonic_ns(), self.client, event.reason))
            self._settle()
        elif isinstance(event, RoomGone):
            self._add(RoomRefused(time.monotonic_ns(), self.client, event.room, event.code))

    def _took(self, message: Message) -> None:
        place = (message.origin, message.epoch, message.seq)
        if not any(isinstance(one, _Raw) and _place(one.d) == place for one in self._pending):
            self._writer.write(
                Surfaced(
                    time.monotonic_ns(), self.client, message.room, message.user, message.id,
                    number_of(message.data), *place, hash_of(message.data),
                )
            )  # fmt: skip
            return
        while True:
            head = self._pending[0]
            if isinstance(head, _Raw) and _place(head.d) == place:
                self._release(app=True)
                break
            self._release(app=False)
        self._settle()

    def write(self, record: Base) -> None:
        """Append a record that is not about the wire: of a publish."""
        self._writer.write(record)

    def flush(self) -> None:
        """No more will be surfaced: write what waits."""
        while self._pending:
            self._release(app=False)

    def passed(self, room: str, origin: str, place: tuple[int, int], cursor: Places) -> bool:
        """Whether this client got as far as `place` in a room, or was told that it has."""
        reached = self.reached.get(room, {}).get(origin, (0, 0))
        return max(reached, cursor.get(origin, (0, 0))) >= place

    # --- in order ------------------------------------------------------------------------------

    def _add(self, record: Base) -> None:
        if self._pending:
            self._pending.append(record)
        else:
            self._writer.write(record)

    def _settle(self) -> None:
        """Write what waits behind nothing."""
        while self._pending and not isinstance(self._pending[0], _Raw):
            self._release(app=False)

    def _release(self, *, app: bool) -> None:
        one = self._pending.popleft()
        if isinstance(one, Base):
            self._writer.write(one)
            return
        d = one.d
        data = d["data"]
        self._writer.write(
            Delivered(
                one.t, self.client, d["room"], d["user"], d["id"], number_of(data), d["origin"],
                d["epoch"], d["seq"], hash_of(data), one.replayed, app,
            )
        )  # fmt: skip


def _place(d: dict[str, Any]) -> Place:
    return d["origin"], d["epoch"], d["seq"]

"""One of a herd: it keeps count of what it hears, leaves, and comes back by its cursor."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from relay.core.codes import Op
from tests.bench.gateway import Frame, Gateway

PATIENCE_S = 60.0  # with an edge that is busy
AGAIN_S = 0.5  # before a refused attempt is made again


class _Data(msgspec.Struct):
    n: int  # numbers of one room and origin: 0, 1, 2 and so on


class _Message(msgspec.Struct):
    room: str
    origin: str
    data: _Data


class _Welcome(msgspec.Struct):
    cursor: str
    session_id: str = ""


_messages = msgspec.json.Decoder(_Message)
_welcomes = msgspec.json.Decoder(_Welcome)


@dataclass(slots=True)
class Tally:
    """What a herd heard, and how it came back."""

    heard: int = 0
    missing: int = 0
    repeated: int = 0
    gaps: int = 0
    resume_ms: list[float] = field(default_factory=list)  # from the first attempt to RESUMED
    refused: int = 0  # attempts to connect
    retried: int = 0  # RESUMEs, as the edge asked for
    problems: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Another herd's tally."""
        self.heard += other.heard
        self.missing += other.missing
        self.repeated += other.repeated
        self.gaps += other.gaps
        self.resume_ms += other.resume_ms
        self.refused += other.refused
        self.retried += other.retried
        self.problems += other.problems


class _Line(Gateway):
    """A member's connection."""

    def __init__(self, member: "Member", host: str) -> None:
        resuming = "&resume=1" if member.session_id else ""
        super().__init__(host, member.token, member.rooms, resuming)
        self._member = member

    def greet(self) -> None:
        member = self._member
        if not member.session_id:
            super().greet()
            return
        d = {"token": member.token, "session_id": member.session_id}
        self.send(Op.RESUME, d | {"cursor": member.cursor, "rooms": member.rooms})

    def welcomed(self, frame: Frame) -> None:
        welcome = _welcomes.decode(frame.d)
        self._member.cursor = welcome.cursor
        self._member.session_id = welcome.session_id or self._member.session_id

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._transport = None

    def send(self, op: Op, d: object) -> None:
        if self._transport is not None:
            super().send(op, d)

    async def cut(self) -> None:
        """End it without a word."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        await self.close()


class Member:
    """A client of some rooms."""

    def __init__(self, token: str, rooms: list[str], tally: Tally) -> None:
        self.token = token
        self.rooms = rooms
        self.session_id = ""
        self.cursor = ""
        self.next: dict[tuple[str, str], int] = {}  # (room, origin) -> number that is due
        self._tally = tally
        self._line: _Line | None = None

    async def come(self, url: str, after_s: float) -> None:
        """Connect (again), `after_s` from now; refused attempts are made again."""
        await asyncio.sleep(after_s)
        began_s = time.monotonic()
        again = bool(self.session_id)
        while True:
            try:
                await self._connect(url)
            except (OSError, TimeoutError):
                self._tally.refused += 1
                await asyncio.sleep(AGAIN_S * random.uniform(0.5, 1.5))
            else:
                break
        if again:
            self._tally.resume_ms.append((time.monotonic() - began_s) * 1000)

    async def _connect(self, url: str) -> None:
        parts = urlsplit(url)
        line = _Line(self, parts.netloc)
        line.handle = self._hear
        self._line = line
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: line, parts.hostname or "", parts.port or 80
            )
            await line.ready(PATIENCE_S)
        except (OSError, TimeoutError):
            await self.go()
            raise

    async def go(self) -> None:
        """Cut the connection."""
        if self._line is not None:
            await self._line.cut()
            self._line = None

    def _hear(self, frame: Frame) -> None:
        if frame.c is not None:
            self.cursor = frame.c
        tally = self._tally
        if frame.t == "MESSAGE":
            message = _messages.decode(frame.d)
            place, number = (message.room, message.origin), message.data.n
            due = self.next.get(place, 0)
            tally.heard += 1
            if number < due:
                tally.repeated += 1
            else:
                tally.missing += number - due
                self.next[place] = number + 1
        elif frame.t == "GAP":
            tally.gaps += 1
        elif frame.op == Op.INVALID_SESSION and bytes(frame.d) == b"true" and self._line:
            tally.retried += 1
            self._line.greet()
        elif frame.op == Op.INVALID_SESSION:
            tally.problems.append(f"INVALID_SESSION {bytes(frame.d).decode()}")

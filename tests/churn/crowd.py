"""A part of the users, in a process of their own: they come and go, and write down when."""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import uvloop

from relay.config import TokenKey
from relay.core.codes import Op
from relay.core.grants import Act, RoomGrant
from relay.core.log import session_key
from relay.core.tokens import mint
from tests.bench.gateway import Frame, Gateway

LOST_CLOSES = 0.3
ROOM_USERS = 20
PATIENCE_S = 30.0
FEELS_S = (5.0, 10.0)  # until a client takes an edge that does not answer for dead
TURN_S = 0.05


class Entry(NamedTuple):
    """A line of the ledger: a user came (+1) or went (-1), and why. Unix seconds."""

    at_s: float
    user: int  # below zero: one who looks
    step: int
    why: str  # open | resume | close | cut | lost | mute
    session: str  # its key in the log
    edge: str = ""  # where


@dataclass(frozen=True)
class Plan:
    """What one process does. Its users are those with number % `of` == `part`."""

    key: TokenKey
    urls: dict[str, str]  # edge -> address
    users: int  # of all processes, open or not
    open: int  # of all processes, at once
    rate: float  # that come, and go, in a second, of all processes
    part: int
    of: int
    seed: int = 1


class _Welcome(msgspec.Struct):
    cursor: str
    session_id: str = ""


_welcomes = msgspec.json.Decoder(_Welcome)


def room_of(user: int) -> str:
    """The room of a user."""
    return f"churn:{user // ROOM_USERS}"


class _Line(Gateway):
    """A user's connection."""

    def __init__(self, crowd: "Crowd", member: "_Member", host: str, query: str) -> None:
        super().__init__(host, member.token, [room_of(member.user)], query)
        self._crowd, self._member = crowd, member
        self.left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.left and self._transport is not None:
            self._transport.abort()  # it was left before it stood

    def greet(self) -> None:
        member = self._member
        if not member.session_id:
            self._crowd.identified += 1
            super().greet()
            return
        d = {"token": member.token, "session_id": member.session_id, "cursor": member.cursor}
        self.send(Op.RESUME, d | {"rooms": [room_of(member.user)]})

    def welcomed(self, frame: Frame) -> None:
        welcome = _welcomes.decode(frame.d)
        member = self._member
        resumed = bool(member.session_id)
        member.cursor = welcome.cursor
        member.session_id = welcome.session_id or member.session_id
        if not resumed and member.session_id:
            self._crowd.opened.append(session_key(member.session_id).hex())
        if not self.left:
            self._crowd.came(member, self, resumed=resumed)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._transport = None
        if not self.left:
            self._crowd.lost_by(self._member, self)

    def send(self, op: Op, d: object) -> None:
        if self._transport is not None:
            super().send(op, d)

    async def leave(self, *, clean: bool) -> None:
        """End it: with a close, or without a word."""
        self.left = True
        if self._transport is None:
            return
        if clean:
            await self.close()
        else:
            transport, self._transport = self._transport, None
            transport.abort()
            await self.close()


@dataclass(slots=True, eq=False)
class _Member:
    user: int
    token: str
    home: str
    edge: str = ""
    session_id: str = ""
    cursor: str = ""
    line: _Line | None = None
    wanted: bool = False
    here: bool = False  # as the ledger says
    trying: bool = False


class Crowd:
    """The users of one process."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ledger: list[Entry] = []
        self.troubles: Counter[str] = Counter()
        self.identified = 0  # IDENTIFYs sent
        self.opened: list[str] = []  # sessions of which READY came
        self._dice = random.Random(plan.seed * 100 + plan.part)
        edges = sorted(plan.urls)
        grants = [RoomGrant("churn:*", frozenset({Act.SUBSCRIBE, Act.PRESENCE}))]
        now_s = int(time.time())
        self._members = [
            _Member(
                user,
                mint(plan.key, f"u{user}", grants, now_s=now_s, ttl_s=7200),
                edges[user // ROOM_USERS % 7 % len(edges)]
                if user % 2
                else edges[user % len(edges)],
            )
            for user in range(plan.part, plan.users, plan.of)
        ]
        self._away = deque(self._dice.sample(self._members, len(self._members)))
        self._open: list[_Member] = []
        self._dead: dict[str, float] = {}  # edge -> until when nobody goes there
        self._muted: list[_Line] = []
        self._running: set[asyncio.Task[None]] = set()
        self.churning = False
        self.ended = False

    # --- what happens to connections -----------------------------------------------------------

    def came(self, member: _Member, line: _Line, *, resumed: bool) -> None:
        """READY or RESUMED."""
        if member.line is line and not member.here:
            member.here = True
            self._note(member, 1, "resume" if resumed else "open")

    def _went(self, member: _Member, why: str) -> None:
        if member.here:
            member.here = False
            self._note(member, -1, why)

    def _note(self, member: _Member, step: int, why: str) -> None:
        key = session_key(member.session_id).hex()
        self.ledger.append(Entry(time.time(), member.user, step, why, key, member.edge))

    def lost_by(self, member: _Member, line: _Line) -> None:
        """The connection ended, and nobody here ended it."""
        if member.line is not line:
            return
        self._went(member, "lost")
        member.line = None
        self.troubles[line.lost or "lost"] += 1
        if member.wanted and not member.trying and not self.ended:
            self._spawn(self._come(member, away_from=member.edge))

    def _spawn(self, act: Any) -> None:
        task = asyncio.get_running_loop().create_task(act)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    # --- coming and going ----------------------------------------------------------------------

    async def _come(self, member: _Member, away_from: str = "") -> None:
        member.trying = True
        attempt = 0
        try:
            while member.wanted and not self.ended:
                edge = self._choose(member, away_from, attempt)
                attempt += 1
                if await self._connect(member, edge):
                    return
                away_from = edge
                await asyncio.sleep(self._dice.uniform(0.1, 1.0))
        finally:
            member.trying = False

    def _choose(self, member: _Member, away_from: str, attempt: int) -> str:
        now_s = time.time()
        alive = [edge for edge in sorted(self.plan.urls) if self._dead.get(edge, 0) < now_s]
        if attempt == 0 and not away_from and member.home in alive:
            return member.home
        others = [edge for edge in alive if edge != away_from] or alive or sorted(self.plan.urls)
        return self._dice.choice(others)

    async def _connect(self, member: _Member, edge: str) -> bool:
        parts = urlsplit(self.plan.urls[edge])
        query = "&resume=1" if member.session_id else ""
        line = _Line(self, member, parts.netloc, query)
        line.handle = lambda frame: self._hear(member, line, frame)
        member.line, member.edge = line, edge
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: line, parts.hostname or "", parts.port or 80
            )
            await line.ready(PATIENCE_S)
        except (OSError, TimeoutError) as error:
            self.troubles[f"{edge}: {line.lost or type(error).__name__}"] += 1
            await line.leave(clean=False)
            if member.line is line:
                member.line = None
            return False
        return True

    def _hear(self, member: _Member, line: _Line, frame: Frame) -> None:
        if frame.op == Op.INVALID_SESSION:
            self.troubles[f"INVALID_SESSION {bytes(frame.d).decode()}"] += 1
            if bytes(frame.d) == b"true":
                line.greet()
            else:
                member.session_id = ""  # begins anew, on another connection
                self._spawn(line.leave(clean=False))
                self.lost_by(member, line)
        elif frame.c is not None:
            member.cursor = frame.c

    async def _go(self, member: _Member) -> None:
        clean = self._dice.random() >= LOST_CLOSES
        member.wanted = False
        line, member.line = member.line, None
        self._went(member, "close" if clean else "cut")
        member.session_id = ""
        if line is not None:
            await line.leave(clean=clean)

    def leave(self, edge: str, for_s: float) -> None:
        """An edge stands still: its clients find out one by one, and go elsewhere."""
        self._dead[edge] = time.time() + for_s
        for member in self._members:
            if member.line is not None and member.edge == edge:
                self._spawn(self._find_out(member, member.line, edge))

    async def _find_out(self, member: _Member, line: _Line, edge: str) -> None:
        await asyncio.sleep(self._dice.uniform(*FEELS_S))
        if member.line is line and member.wanted:
            member.line = None
            self._went(member, "lost")
            await line.leave(clean=False)
            if not member.trying:
                await self._come(member, away_from=edge)

    async def mute(self, rooms: Sequence[str], most: int) -> int:
        """Some who are in these rooms die without a word: their connections stay, and are silent.

        Returns:
            How many.
        """
        there = [one for one in self._open if one.here and room_of(one.user) in set(rooms)]
        for member in there[:most]:
            line, member.line, member.wanted = member.line, None, False
            assert line is not None, "who is here has a connection"
            line.left = True
            self._muted.append(line)
            self._went(member, "mute")
            await line.fall_silent()
        return len(there[:most])

    async def run(self) -> None:
        """Open as many as there are to be, then let some go and others come, until the end."""
        plan = self.plan
        target = plan.open // plan.of
        fill = 150.0 / plan.of * 2
        due = 0.0
        while not self.ended:
            began_s = time.monotonic()
            await asyncio.sleep(TURN_S)
            took_s = time.monotonic() - began_s
            if len(self._open) < target:
                due += took_s * fill
                while due >= 1 and len(self._open) < target:
                    due -= 1
                    self._enter()
                if len(self._open) == target:
                    due = 0.0
                continue
            if not self.churning:
                due = 0.0
                continue
            # Not more than a turn's share at once, however late the turn is: who goes in a lump is
            # not here, and nobody else is yet.
            due = min(due + took_s * plan.rate / plan.of, 2 * TURN_S * plan.rate / plan.of)
            while due >= 1:
                due -= 1
                at = self._dice.randrange(len(self._open))
                self._open[at], self._open[-1] = self._open[-1], self._open[at]
                gone = self._open.pop()
                self._spawn(self._go(gone))
                self._away.append(gone)
                self._enter()

    def _enter(self) -> None:
        member = self._away.popleft()
        member.wanted = True
        self._open.append(member)
        if not member.trying:
            self._spawn(self._come(member))

    @property
    def here(self) -> int:
        """How many are in."""
        return sum(member.here for member in self._members)

    @property
    def settled(self) -> bool:
        """Whether all are in who are to be, and nobody else is."""
        full = len(self._open) >= self.plan.open // self.plan.of
        return full and all(member.here == member.wanted for member in self._members)


async def _serve(plan: Plan, orders: Connection) -> None:
    crowd = Crowd(plan)
    running = asyncio.get_running_loop().create_task(crowd.run())
    while not crowd.ended:
        if not orders.poll():
            await asyncio.sleep(0.02)
            continue
        order, *arguments = orders.recv()
        match order:
            case "churn":
                crowd.churning = bool(arguments[0])
            case "leave":
                crowd.leave(*arguments)
            case "mute":
                orders.send(await crowd.mute(*arguments))
            case "status":
                orders.send((crowd.here, crowd.settled))
            case "end":
                crowd.ended = True
                orders.send((crowd.ledger, dict(crowd.troubles), crowd.identified, crowd.opened))
    await running


def process(plan: Plan, orders: Connection) -> None:
    """The process's main function."""
    uvloop.run(_serve(plan, orders))

"""Joins at work: rooms on their way from the stream to the live feed, for one session."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType

from relay.bus.history import History
from relay.bus.reader import Reader
from relay.config import Limits
from relay.core.budget import Budget
from relay.core.codes import EventName
from relay.core.cursor import Cursor
from relay.core.event import Event, RoomKey
from relay.core.join import HELD_BYTES, Join
from relay.core.resume import Gap
from relay.core.ring import size_of
from relay.edge.connection import ClientConnection
from relay.edge.feeds import Feeds
from relay.edge.hub import Hub, gap
from relay.edge.owing import Owing
from relay.edge.replays import Replays
from relay.edge.rooms import Rooms
from relay.edge.streams import Streams

WRITE_BYTES = 32 * 1024  # written at once: with the high-water mark, what a slow reader costs
BUDGET = "budget"  # reason of a GAP: there was more than one request may have replayed


@dataclass(slots=True, eq=False)
class Joining:
    """What joins need of their edge, and what they count."""

    hub: Hub
    feeds: Feeds
    rooms: Rooms
    streams: Streams
    replays: Replays
    history: History
    owing: Owing
    reader: Reader
    regions: Mapping[int, str]  # by index
    limits: Limits
    on_newer_epoch: Callable[[str, int], None]  # of an origin, that its stream says, and no event
    home_is_whole: Callable[[], bool]  # whether the home stream is known to have all it ever had
    replayed: int = 0  # events, total
    budget_gaps: int = 0  # total

    def target(self, keys: Iterable[RoomKey]) -> dict[str, int]:
        """Where the live feed takes over from a replay that starts now."""
        target = dict(self.hub.seqs)
        for key in keys:
            for origin, seq in self.feeds.reach(key).items():
                target[origin] = max(target.get(origin, 0), seq)
        return target

    def budget(self) -> Budget:
        """What one request may have replayed."""
        return Budget(self.limits.replay_events, self.limits.replay_bytes)


class Passage:
    """A join at work. Between `with` and its end, live events of the rooms are held for it."""

    def __init__(
        self,
        joining: Joining,
        connection: ClientConnection,
        rooms: Iterable[RoomKey],
        sent: Mapping[str, int],
        *,
        base: Cursor | None = None,
        room: str | None = None,
        share: int = 1,
        dispatched: Mapping[str, int] | None = None,
    ) -> None:
        """Bring `rooms` to `connection`.

        Args:
            joining: of the edge.
            connection: of the session.
            rooms: are open.
            sent: origin -> sequence up to which the session has everything of these rooms.
            base: what the cursors in frames go on from, without what nobody has here; None: frames
                carry none.
            room: what GAPs name; None: they concern all rooms.
            share: how many passages of one request share what may be held.
            dispatched: the session was in these rooms, and goes on where it was: it got what came
                up to these positions of the edge.
        """
        keys = frozenset(rooms)
        self._joining = joining
        self._hub = joining.hub
        self._connection = connection
        self._base = None if base is None else base.positions
        self._said = ({}, None) if base is None else joining.owing.said(base)
        self._room = room
        self.join = Join(
            rooms=keys,
            sent=dict(sent),
            target=joining.target(keys),
            buffer_events=joining.limits.join_buffer_events,
            held_bytes=HELD_BYTES // share,
            dispatched=dispatched or {},
        )

    def __enter__(self) -> "Passage":
        self._id = self._hub.begin(self.join)
        self._connection.membership.passages.append(self)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._connection.membership.passages.remove(self)
        self._hub.end(self._id)

    def _frame(self, event: Event) -> bytes:
        base = self._base
        cursor = None
        if base is not None:
            cursor = self._hub.private_cursor(self.join.sent, base, *self._said)
        return self._hub.framed(self._connection.codec, event, None, cursor)

    async def send(self, events: Iterable[Event]) -> None:
        """Send events that are no part of the range to be replayed."""
        frames, size = list[bytes](), 0
        for event in events:
            if event.key in self.join.left:
                continue
            frames.append(self._frame(event))
            size += len(frames[-1])
            if size > WRITE_BYTES:
                await self._write(frames)
                size = 0
                if not self._connection.alive:
                    return
        await self._write(frames)

    def declare(self, lost: Gap) -> None:
        """Say what the session will not get."""
        d = gap(lost.origin, lost.epoch, lost.first, lost.last, lost.reason, self._room)
        self._connection.dispatch(EventName.GAP, d)

    async def replay(self, origin: str, budget: Budget, *, declare: bool) -> bool:
        """Send what the session missed of one origin, as far as the budget goes.

        Args:
            origin: one of `join.missing`.
            budget: is spent.
            declare: say in a GAP what is past the budget, and be done.

        Returns:
            Whether it is done.

        Raises:
            UnavailableError: NATS did not answer.
        """
        join = self.join
        after, upto = join.missing[origin]
        events = self._joining.replays.events(origin, join.rooms, after, upto)
        async with aclosing(events) as parts:
            async for part in parts:
                spent = await self._send_part(part, budget)
                if not self._connection.alive:
                    return True
                if spent is not None:
                    if declare:
                        self._joining.budget_gaps += 1
                        self.declare(Gap(origin, spent.epoch, spent.seq, upto, BUDGET))
                        join.read_up_to(origin, upto)
                    return declare
        join.read_up_to(origin, upto)
        return True

    async def _send_part(self, part: Sequence[Event], budget: Budget) -> Event | None:
        """Send events, many in one write. Returns the first that is past the budget."""
        join, frames, size = self.join, list[bytes](), 0
        spent: Event | None = None
        for event in part:
            if event.seq <= join.sent.get(event.origin, 0) or event.key in join.left:
                continue
            if not budget.take(size_of(event)):
                spent = event
                break
            join.replay(event)
            frames.append(self._frame(event))
            size += len(frames[-1])
            if size > WRITE_BYTES:
                await self._write(frames)
                size = 0
                if not self._connection.alive:
                    return None
        await self._write(frames)
        await asyncio.sleep(0)  # what comes from a ring is there at once: others' turn
        return spent

    async def _write(self, frames: list[bytes]) -> None:
        """Write frames as one: a send of the kernel costs more than the frame."""
        if frames:
            self._connection.write(b"".join(frames))
            self._joining.replayed += len(frames)
            frames.clear()
        limits = self._joining.limits
        crowded = self._joining.replays.crowded
        try:
            async with asyncio.timeout(
                limits.replay_stall_crowded_s if crowded else limits.replay_stall_s
            ):
                await self._connection.drained()
        except TimeoutError:
            self._connection.close(4020)

    def release(self) -> None:
        """Send the live events that were held: the replay is done."""
        held = b"".join([self._frame(event) for event in self.join.release()])
        for event in self.join.late:
            lost = Gap(event.origin, event.epoch, event.seq, event.seq, "late")
            d = gap(lost.origin, lost.epoch, lost.first, lost.last, lost.reason, event.room)
            self._connection.dispatch(EventName.GAP, d)
        if held:
            self._connection.write(held)


async def replay_all(
    passages: Iterable[Passage], budget: Budget, connection: ClientConnection
) -> None:
    """Send what the session missed, in all rooms of a request; declare what is past its budget.

    Each origin gets a fair part of the budget, and what others leave of theirs.

    Raises:
        UnavailableError: NATS did not answer.
    """
    todo = [(passage, origin) for passage in passages for origin in passage.join.missing]
    declare = False
    while todo:
        left, before = [], (budget.events, budget.bytes)
        for number, (passage, origin) in enumerate(todo):
            part = budget.part(len(todo) - number)
            if not await passage.replay(origin, part, declare=declare):
                left.append((passage, origin))
            if not connection.alive:
                return
            budget.give_back(part)
        declare = before == (budget.events, budget.bytes)  # nothing more fits
        todo = left

"""A room that a session is in is joined again, to be replayed: nothing is lost whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from relay.config import Limits
from relay.core.effects import Attend, Effect, Join, Leave, Send
from relay.core.event import Event, RoomKey
from relay.core.grants import Act, RoomGrant
from relay.core.join import Ahead
from relay.core.numbering import Numbering
from relay.core.session import Instant, Phase
from relay.core.wire import JSON
from relay.edge.hub import Hub
from relay.edge.joining import Joining
from relay.edge.membership import Membership
from relay.edge.seat import Seat
from relay.errors import UnavailableError
from relay.tasks import Tasks
from tests.unit.at_once import at_once
from tests.unit.session_playbook import CURSORS, Playbook, cursor, token

A, B = ("_", "a"), ("_", "b")


def event(seq: int, room: str) -> Event:
    return Event("us", 1, seq, "_", room, "u", f"i{seq}", 1, b"1")


@dataclass
class _Stream:
    """What replays read, once the gate is open."""

    events: list[Event] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    behind: bool = False
    crowded: bool = False

    async def read(
        self, _origin: str, rooms: frozenset[RoomKey], after: int, upto: int
    ) -> AsyncIterator[Sequence[Event]]:
        await self.gate.wait()
        yield [one for one in self.events if one.key in rooms and after < one.seq <= upto]

    async def newest(self, key: RoomKey, count: int, _upto: object) -> SimpleNamespace:
        await self.gate.wait()
        found = [one for one in self.events if one.key == key]
        return SimpleNamespace(events=found[-count:], more=len(found) > count)

    async def until(self, _targets: object) -> None:
        if self.behind:
            raise UnavailableError("this region is behind")


class _Client(Seat):
    """A live session in rooms a and b, and what it was sent."""

    def __init__(self, hub: Hub, stream: _Stream) -> None:
        super().__init__(JSON)
        self.book, self.tenant, self.open = Playbook(), "_", True
        self.session = self.book.session
        self.said: list[tuple[int, Any]] = []
        self.got: list[tuple[str, int, int | None]] = []  # room, seq, its cursor's
        self.closed: int | None = None
        self._tasks = Tasks("test")
        nothing = SimpleNamespace(came=self._came, seat=lambda _came: None)
        joining = Joining(
            hub=hub,
            feeds=cast("Any", SimpleNamespace(reach=lambda _key: {"us": 0}, until=stream.until)),
            rooms=cast("Any", SimpleNamespace(acquire=self._acquire, release=lambda _key: None)),
            streams=cast("Any", SimpleNamespace(states_since=self._states)),
            replays=cast("Any", SimpleNamespace(events=stream.read, crowded=False)),
            history=cast("Any", SimpleNamespace(newest=stream.newest)),
            owing=cast("Any", nothing),
            reader=cast("Any", None),
            regions={},
            limits=Limits(),
            on_newer_epoch=lambda _origin, _epoch: None,
            home_is_whole=lambda: True,
        )
        self.membership = Membership(cast("Any", self), joining)
        self.book.live("a", "b")
        hub.take(self, [A, B])

    async def _came(self, *_: object) -> SimpleNamespace:
        return SimpleNamespace(each=[], events=[])

    async def _acquire(self, _key: RoomKey) -> None:
        await asyncio.sleep(0)

    async def _states(self, *_: object) -> dict[str, object]:
        return {}

    @property
    def alive(self) -> bool:
        return self.open and self.session.phase is not Phase.ENDED

    def key(self, room: str) -> RoomKey:
        return ("_", room)

    def now(self) -> Instant:
        return self.book.now

    def put(self, framed: bytes) -> None:
        start = 0
        while (at := framed.find(b'{"op"', start)) >= 0:
            end = framed.find(b'{"op"', at + 1)
            text = framed[at : len(framed) if end < 0 else end]
            payload = msgspec.json.decode(text[: text.rindex(b"}") + 1])
            place = payload.get("c") and CURSORS.decode(payload["c"]).positions["us"].seq
            self.got.append((payload["d"]["room"], payload["d"]["seq"], place))
            start = at + 1

    write = put

    async def drained(self) -> None:
        await asyncio.sleep(0)

    def dispatch(self, name: str, d: object) -> None:
        self.said.append((0, (name, d)))

    def close(self, code: int) -> None:
        self.closed, self.session.phase = code, Phase.ENDED

    def run(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(payload):
                    self.said.append((payload.op, payload.d))
                case Leave(rooms):
                    self.membership.leave(rooms)
                case Join():
                    self._tasks.spawn(self._join(effect), "join")
                case Attend():
                    pass  # its presence has changed
                case _:
                    raise AssertionError(effect)

    async def _join(self, effect: Join) -> None:
        async with self.membership.turn:
            await self.membership.subscribe(effect)

    async def asks(self, op: int, **d: object) -> None:
        """It sends an op, and its edge has a few turns."""
        self.run(self.book.send(op, d))
        for _ in range(10):
            await asyncio.sleep(0)


def world(events: list[Event], *, behind: bool = False) -> tuple[Hub, _Stream, _Client]:
    hub = Hub("us", CURSORS, Numbering(0, 0), at_once())
    hub.move("us", 1, 100)
    stream = _Stream(events, behind=behind)
    return hub, stream, _Client(hub, stream)


async def turns(done: Callable[[], bool]) -> None:
    for _ in range(100):
        if done():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


def at(hub: Hub, client: _Client) -> int:
    return CURSORS.decode(hub.cursor_of(client)).positions["us"].seq


async def test_the_cursor_stands_still_while_a_room_is_joined_again() -> None:
    hub, stream, client = world([event(90, "a"), event(100, "a")])
    await client.asks(20, rooms=[{"room": "a", "since": {"last": 1}}], nonce=1)
    for seq, room in ((101, "a"), (102, "b"), (103, "a")):
        hub.dispatch(event(seq, room), seq)
    assert (client.got, at(hub, client)) == ([], 100)
    stream.gate.set()
    await turns(lambda: client.said[-1:] != [])
    assert client.got[0][:2] == ("a", 100)
    assert sorted(got[:2] for got in client.got[1:]) == [("a", 101), ("a", 103), ("b", 102)]
    assert (client.said[-1][1]["rooms"], at(hub, client)) == (["a"], 103)
    hub.dispatch(event(104, "b"), 104)
    assert client.got[-1] == ("b", 104, 104)


async def test_a_join_again_that_fails_leaves_the_room_as_it_was() -> None:
    hub, stream, client = world([event(100, "a")], behind=True)
    hub.set_ahead(client, Ahead({"us": 105}))
    await client.asks(20, rooms=[{"room": "a", "since": {"last": 1}}, "c"], nonce=1)
    for seq in (104, 106):
        hub.dispatch(event(seq, "a"), seq)
    stream.gate.set()
    await turns(lambda: client.said[-1:] != [])
    assert client.said[-1][1]["code"] == "unavailable"
    assert client.session.rooms == {"a": True, "b": True}
    assert client.closed is None
    assert [got[:2] for got in client.got] == [("a", 100), ("a", 106)]  # 104 it had brought
    hub.dispatch(event(107, "b"), 107)
    assert client.got[-1] == ("b", 107, 107)


async def test_one_that_fails_with_more_than_can_be_held_is_closed_and_resumes() -> None:
    hub, stream, client = world([], behind=True)
    await client.asks(20, rooms=[{"room": "a", "since": {"last": 1}}], nonce=1)
    for seq in range(101, 101 + Limits().join_buffer_events + 1):
        hub.dispatch(event(seq, "b"), seq)
    stream.gate.set()
    await turns(lambda: client.closed is not None)
    assert (client.closed, client.got, at(hub, client)) == (4000, [], 100)


async def test_a_room_that_is_left_or_revoked_while_it_is_joined_brings_nothing_more() -> None:
    for revoke in (False, True):
        events = [event(seq, "a") for seq in range(60, 100, 10)]
        hub, stream, client = world(events)
        await client.asks(20, rooms=[{"room": "a", "since": cursor(us=50)}], nonce=1)
        if revoke:
            less = token(grants=(RoomGrant("b", frozenset(Act)),))
            await client.asks(28, token=less, nonce=2)
        else:
            await client.asks(21, rooms=["a"], nonce=2)
        hub.dispatch(event(101, "a"), 101)
        hub.dispatch(event(102, "b"), 102)
        stream.gate.set()
        await turns(lambda client=client: len(client.got) > 0)  # type: ignore[misc]
        await asyncio.sleep(0)
        hub.dispatch(event(103, "a"), 103)
        assert [got[:2] for got in client.got] == [("b", 102)]
        assert client.seated == {B}


async def test_an_event_that_is_found_late_meanwhile_is_declared() -> None:
    hub, stream, client = world([event(100, "a")])
    await client.asks(20, rooms=[{"room": "a", "since": {"last": 1}}], nonce=1)
    hub.missed(event(99, "b"))
    stream.gate.set()
    await turns(lambda: any(op == 30 for op, _ in client.said))
    ((_, (name, gap)),) = [said for said in client.said if said[0] == 0]
    assert (name, gap["room"], gap["first"], gap["last"]) == ("GAP", "b", 99, 99)

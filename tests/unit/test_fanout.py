"""The fan-out: each seat gets its own, once and in order, whatever happens meanwhile."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.wire import JSON
from relay.edge import fanout as module
from relay.edge.fanout import FanOut
from relay.edge.members import Members
from relay.edge.seat import Seat

ROOMS, SEATS = 3, 6


@pytest.fixture(scope="module", autouse=True)
def _no_time_passes() -> Iterator[None]:
    """What is one slice does not depend on how fast the machine is."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(module, "mono_ms", lambda: 0)
        yield


class _Call:
    """A call that was asked for."""

    def __init__(self, loop: "_Loop", call: Callable[[], None]) -> None:
        self._loop = loop
        self.call = call

    def cancel(self) -> None:
        self._loop.calls.remove(self)


class _Loop:
    """Calls when it is told to."""

    def __init__(self) -> None:
        self.calls: list[_Call] = []

    def call_soon(self, call: Callable[[], None]) -> asyncio.Handle:
        self.calls.append(_Call(self, call))
        return cast("asyncio.Handle", self.calls[-1])

    def call_later(self, _delay_s: float, call: Callable[[], None]) -> asyncio.Handle:
        return self.call_soon(call)

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for each in calls:
            each.call()


class _Seat(Seat):
    """A session that keeps what it gets."""

    def __init__(self, fanout: FanOut, *, straight: bool = True) -> None:
        super().__init__(JSON)
        self._fanout = fanout
        self.got = b""
        self.puts = 0
        self.failed = False
        self.rooms: list[Members] = []  # that are told when it turns
        self.filling = False  # the next write fills its buffer
        if straight:
            self.push = self.put

    def put(self, framed: bytes) -> None:
        self.got += framed
        self.puts += 1
        if self.filling:
            self.filling = False
            self.turn(None)

    def turn(self, push: Callable[[bytes], None] | None) -> None:
        """Be written to in another way from now on, perhaps amid a write."""
        self.push = push
        self._fanout.settle(self)
        for room in self.rooms:
            room.turned()

    def write(self, framed: bytes) -> None:
        self._fanout.settle(self)
        self.put(framed)

    def fail(self) -> None:
        self.failed = True
        self._fanout.drop(self)


def made(window_s: float = 0.0) -> tuple[FanOut, _Loop]:
    loop = _Loop()
    return FanOut(window_s, cast("Any", loop)), loop


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, ROOMS - 1)),
        st.tuples(st.just("join"), st.integers(0, ROOMS * SEATS - 1)),
        st.tuples(st.just("leave"), st.integers(0, ROOMS * SEATS - 1)),
        st.tuples(st.just("own"), st.integers(0, SEATS - 1)),
        st.tuples(st.just("gone"), st.integers(0, SEATS - 1)),
        st.tuples(st.just("slow"), st.integers(0, SEATS - 1)),
        st.tuples(st.just("fills"), st.integers(0, SEATS - 1)),
        st.tuples(st.just("quick"), st.integers(0, SEATS - 1)),
        st.tuples(st.just("turn"), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=400)
@given(STEPS, st.integers(1, 4), st.sampled_from([8, 1 << 18]))
def test_each_gets_what_it_would_get_at_once(
    steps: list[tuple[str, int]], looks: int, staged_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(module, "SLICE_MS", -1)  # one look, and it is the others' turn
        patches.setattr(module, "LOOKS_EACH", looks)
        patches.setattr(module, "STAGED_BYTES", staged_bytes)
        _play(steps)


def _play(steps: list[tuple[str, int]]) -> None:
    fanout, loop = made()
    seats = [_Seat(fanout) for _ in range(SEATS)]
    rooms = [Members() for _ in range(ROOMS)]
    for seat in seats:
        seat.rooms = rooms
    due = [b""] * SEATS
    for number, (step, which) in enumerate(steps):
        framed = b"<%d>" % number
        match step:
            case "event":
                for at, seat in enumerate(seats):
                    due[at] += framed if seat in rooms[which] else b""
                fanout.stage(rooms[which], framed)
            case "join" | "leave":
                seat, room = seats[which % SEATS], rooms[which // SEATS]
                fanout.settle(seat)
                (room.add if step == "join" else room.discard)(seat)
            case "own":
                seats[which].write(framed)
                due[which] += framed
                assert seats[which].got == due[which], "behind all that was on its way"
            case "gone":
                fanout.drop(seats[which])
                for room in rooms:
                    room.discard(seats[which])
                due[which] = seats[which].got
            case "slow" | "quick":
                seats[which].turn(None if step == "slow" else seats[which].put)
            case "fills":
                seats[which].filling = True
            case "turn":
                loop.turn()
    while loop.calls:
        loop.turn()
    assert [seat.got for seat in seats] == due
    assert fanout.waiting == 0


def test_what_comes_in_one_turn_is_one_write() -> None:
    fanout, loop = made()
    one, both = _Seat(fanout), _Seat(fanout)
    first, second = Members([one, both]), Members([both])
    fanout.stage(first, b"a")
    fanout.stage(second, b"b")
    fanout.stage(first, b"c")
    assert len(loop.calls) == 1
    loop.turn()
    assert ((one.got, one.puts), (both.got, both.puts)) == ((b"ac", 1), (b"abc", 1))
    assert (fanout.writes, fanout.bytes_out) == (2, 5)


def test_a_large_room_is_written_a_slice_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = 0
    monkeypatch.setattr(module, "mono_ms", lambda: now_ms)
    monkeypatch.setattr(module, "LOOKS_EACH", 20)
    fanout, loop = made()

    class Costly(_Seat):
        def put(self, framed: bytes) -> None:
            nonlocal now_ms
            now_ms += 1
            super().put(framed)

    seats = [Costly(fanout) for _ in range(100)]
    fanout.stage(Members(seats), b"x")
    longest = turns = 0
    while loop.calls:
        before_ms = now_ms
        loop.turn()
        longest, turns = max(longest, now_ms - before_ms), turns + 1
    assert (longest, turns) == (20, 5)
    assert {seat.got for seat in seats} == {b"x"}


def test_what_comes_while_a_room_is_written_is_one_round_and_too_much_has_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SLICE_MS", -1)
    monkeypatch.setattr(module, "LOOKS_EACH", 10)
    fanout, loop = made()
    seats = [_Seat(fanout) for _ in range(100)]
    room = Members(seats)
    fanout.stage(room, b"a")
    loop.turn()
    for _ in range(20):
        fanout.stage(room, b"b")
        loop.turn()
    assert [seat.got[:1] for seat in seats] == [b"a"] * 100
    assert len(loop.calls) == 1
    for seat in seats:
        assert seat.puts <= 3, "gathered while the round before was written"
    assert fanout.pressed == 0
    fanout.stage(room, b"c")
    loop.turn()
    fanout.stage(room, bytes(module.STAGED_BYTES))
    assert fanout.pressed == 1
    while loop.calls:
        loop.turn()
    due = b"a" + b"b" * 20 + b"c" + bytes(module.STAGED_BYTES)
    assert [seat.got == due for seat in seats] == [True] * 100
    assert fanout.waiting == 0


def test_a_window_ends_early_when_much_has_come() -> None:
    fanout, loop = made(0.05)
    seat = _Seat(fanout)
    room = Members([seat])
    fanout.stage(room, b"x")
    assert seat.got == b""
    fanout.stage(room, bytes(module.STAGED_BYTES))
    assert len(seat.got) == module.STAGED_BYTES + 1
    assert loop.calls == []


def test_one_whose_buffer_fills_as_it_settles_gets_nothing_twice() -> None:
    fanout, loop = made()
    seat = _Seat(fanout)
    seat.filling = True
    fanout.stage(Members([seat]), b"a")
    seat.write(b"b")
    loop.turn()
    assert seat.got == b"ab"


def test_a_transport_pauses_its_writer_behind_what_it_was_given() -> None:
    """What the simulation's sockets rest on: a seat that turns amid a write is written to again."""
    uvloop.run(_pause_amid_a_write())
    asyncio.run(_pause_amid_a_write())


async def _pause_amid_a_write() -> None:
    size = 16 << 20  # more than the kernel takes at once

    class Writer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)
            self.transport.write(b"a" * size)
            self.transport.close()

        def pause_writing(self) -> None:
            self.transport.write(b"b")

    server = await asyncio.get_running_loop().create_server(Writer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        heard = await reader.read(-1)
        writer.close()
    assert (heard[:size].count(b"a"), heard[size:]) == (size, b"b")


def test_one_who_fails_costs_nobody_else() -> None:
    fanout, loop = made()
    seats = [_Seat(fanout) for _ in range(3)]

    def broken(_data: bytes) -> None:
        raise OSError("gone")

    seats[1].push = broken
    fanout.stage(Members(seats), b"x")
    loop.turn()
    assert [seat.got for seat in seats] == [b"x", b"", b"x"]
    assert [seat.failed for seat in seats] == [False, True, False]


def test_one_who_can_not_even_be_ended_costs_nobody_else() -> None:
    fanout, loop = made()

    class Cursed(_Seat):
        def put(self, framed: bytes) -> None:
            raise OSError(f"gone: {framed!r}")

        def fail(self) -> None:
            raise OSError("gone, too")

    seats = [_Seat(fanout), Cursed(fanout), Cursed(fanout, straight=False), _Seat(fanout)]
    room = Members(seats)
    for _ in range(2):
        fanout.stage(room, b"x")
        loop.turn()
    assert [seat.got for seat in seats] == [b"xx", b"", b"", b"xx"]
    assert (fanout.waiting, loop.calls) == (0, [])

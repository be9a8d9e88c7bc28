"""The fan-out: frames of rooms on their way to the connections of their members.

What comes within one turn of the loop, or a window of some milliseconds, leaves each connection as
one write: a send of the kernel costs more than all else. What goes to many is written a slice at a
time, so that the loop never stands still for long.

A connection gets everything in the order in which it was given here. What else is written to it,
or moves it, settles it first: then nothing is on its way to it any more. So its cursor, its `s` and
its rooms are at each moment those of what it was written.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Iterable, Sequence, Set
from operator import length_hint
from typing import NamedTuple

from relay.edge.clock import mono_ms
from relay.edge.members import Members, Ways
from relay.edge.seat import Seat

_log = logging.getLogger("jetrelay.fanout")

SLICE_MS = 4  # for which writing holds the loop
LOOKS_EACH = 64  # writes between two looks at the clock
STAGED_BYTES = 256 * 1024  # frames that wait for the end of a window: of more, none waits


class _Staged(NamedTuple):
    members: Members
    framed: bytes


class _Write:
    """The same bytes for some seats."""

    __slots__ = ("_places", "at", "data", "done", "ways")

    def __init__(self, data: bytes, ways: Ways, done: Iterable[Seat] = ()) -> None:
        self.data = data
        self.ways = ways
        self.at = 0  # where of `ways` it stands: of the straight ones, then of the others
        self.done = set(done)  # who are not to be written to here, wherever they stand
        self._places: dict[Seat, int] | None = None

    def take(self, seat: Seat) -> bool:
        """Whether the seat was to be written to still. It is not any more."""
        if self._places is None:
            everybody = (*self.ways.seats, *self.ways.others)
            self._places = {one: at for at, one in enumerate(everybody) if at >= self.at}
        if seat in self.done or self._places.get(seat, -1) < self.at:
            return False
        self.done.add(seat)
        return True


class FanOut:
    """Writes frames to seats.

    Args:
        window_s: for which frames are gathered before they are written; 0: for a turn of the loop.
        loop: that calls; None: the running one.
    """

    def __init__(
        self, window_s: float = 0.0, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._window_s = window_s
        self._own_loop = loop
        self._staged: list[_Staged] = []
        self._staged_bytes = 0
        # Seat -> of how many of the staged it has got what was its own.
        self._settled: dict[Seat, int] = {}
        self._writing: deque[_Write] = deque()
        self._flush_due: asyncio.Handle | None = None
        self._slice_due = False
        self.writes = 0
        self.pressed = 0  # times that more came than could wait, and the loop stood still for it
        self.bytes_out = 0  # of what went straight to transports

    @property
    def waiting(self) -> int:
        """Frames that wait, and seats that are yet to be written to."""
        return len(self._staged) + sum(len(write.ways) - write.at for write in self._writing)

    def stage(self, members: Members, framed: bytes) -> None:
        """Frames for all members of a room in one encoding, soon.

        While a round is being written, the next one gathers. Where too much has come, that round
        is written to its end first: whoever brings more waits for it.

        Args:
            members: of the room; who leaves or joins them is settled before.
            framed: ready frames.
        """
        self._staged.append(_Staged(members, framed))
        self._staged_bytes += len(framed)
        if self._staged_bytes > STAGED_BYTES:
            if self._writing:
                self.pressed += 1
                self._write_until(math.inf)
            if self._flush_due is not None:
                self._flush_due.cancel()
            self.flush()
        elif self._flush_due is None and not self._writing:
            if self._window_s > 0:
                self._flush_due = self._loop.call_later(self._window_s, self.flush)
            else:
                self._flush_due = self._loop.call_soon(self.flush)

    def settle(self, seat: Seat) -> None:
        """Write now what is on its way to this seat."""
        for write in self._writing:
            if write.take(seat):
                self._give(seat, write.data)
        if self._staged:
            # Noted first: writing may turn the seat, which settles it again.
            number, self._settled[seat] = self._settled.get(seat, 0), len(self._staged)
            self._give_staged(seat, self._staged, number)

    def drop(self, seat: Seat) -> None:
        """The connection is gone, and so is what was on its way to it."""
        for write in self._writing:
            write.take(seat)
        if self._staged:
            self._settled[seat] = len(self._staged)

    def failed(self, seat: Seat) -> None:
        """Writing to a seat failed: its connection ends, whatever goes wrong with that."""
        _log.exception("writing to a client failed")
        try:
            seat.fail()
        except Exception:
            _log.exception("ending a client failed")
            self.drop(seat)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return self._own_loop or asyncio.get_running_loop()

    # --- what is staged ------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what is staged: a new round. The one before is over."""
        self._flush_due = None
        assert not self._writing, "a round is written before the next one begins"
        staged, self._staged, self._staged_bytes = self._staged, [], 0
        settled, self._settled = self._settled, {}
        for seat, number in settled.items():
            self._give_staged(seat, staged, number)
        if len(staged) == 1:
            [(members, framed)] = staged
            self._writing.append(_Write(framed, members.ways, settled.keys() & members.seats))
        else:
            self._write_together(staged, settled.keys())
        self._write_on()

    def _give_staged(self, seat: Seat, staged: Sequence[_Staged], number: int) -> None:
        data = b"".join([one.framed for one in staged[number:] if seat in one.members])
        if data:
            self._give(seat, data)

    def _write_together(self, staged: Sequence[_Staged], settled: Set[Seat]) -> None:
        """To each seat all that is its own, in order. Seats in the same rooms share the bytes."""
        rooms: dict[int, list[_Staged]] = {}
        for one in staged:
            rooms.setdefault(id(one.members), []).append(one)
        several = _in_several([frames[0].members for frames in rooms.values()])
        apart = settled | several.keys()
        for frames in rooms.values():
            data, members = b"".join([one.framed for one in frames]), frames[0].members
            self._writing.append(_Write(data, members.ways, apart & members.seats))
        alike: dict[tuple[int, ...], list[Seat]] = {}
        for seat, numbers in several.items():
            if seat not in settled:
                alike.setdefault(tuple(numbers), []).append(seat)
        ids = list(rooms)
        for theirs, seats in alike.items():
            wanted = {ids[number] for number in theirs}
            data = b"".join([one.framed for one in staged if id(one.members) in wanted])
            self._writing.append(_Write(data, Ways.to(seats)))

    # --- writing -------------------------------------------------------------------------------

    def _write_slice(self) -> None:
        self._slice_due = False
        self._write_on()

    def _write_on(self) -> None:
        """Write for a while; then it is the others' turn."""
        try:
            self._write_until(mono_ms() + SLICE_MS)
        finally:
            self._plan()

    def _plan(self) -> None:
        if self._writing:
            if not self._slice_due:
                self._slice_due = True
                self._loop.call_soon(self._write_slice)
        elif self._staged and self._flush_due is None:
            self._flush_due = self._loop.call_soon(self.flush)

    def _write_until(self, ends_ms: float) -> None:
        writing = self._writing
        while writing:
            write = writing[0]
            if write.at < len(write.ways.seats):
                self._push_some(write)
            else:
                self._put_some(write)
            if write.at >= len(write.ways):
                writing.popleft()
            if mono_ms() >= ends_ms:
                return

    def _push_some(self, write: _Write) -> None:
        """Write straight to transports; what goes wrong at one is that seat's alone.

        This loop is what an edge spends its time in: with ready bytes, and nothing to look at, it
        does no more than call the transport.
        """
        data, ways, begin = write.data, write.ways, write.at
        end = write.at = min(begin + LOOKS_EACH, len(ways.seats))
        seats, pushes = ways.seats, ways.pushes[begin:end]
        if write.done:
            due = [at for at in range(begin, end) if seats[at] not in write.done]
            seats, pushes, begin = [seats[at] for at in due], [ways.pushes[at] for at in due], 0
        going = iter(pushes)
        failed = 0
        while True:
            try:
                for push in going:
                    push(data)
                break
            except Exception:
                failed += 1
                self.failed(seats[begin + len(pushes) - length_hint(going) - 1])
        self.writes += len(pushes) - failed
        self.bytes_out += (len(pushes) - failed) * len(data)

    def _put_some(self, write: _Write) -> None:
        begin = write.at - len(write.ways.seats)
        some = write.ways.others[begin : begin + LOOKS_EACH]
        for seat in some:
            write.at += 1
            if seat not in write.done:
                self._give(seat, write.data)

    def _give(self, seat: Seat, data: bytes) -> None:
        self.writes += 1
        try:
            seat.put(data)
        except Exception:
            self.failed(seat)


def _in_several(rooms: Sequence[Members]) -> dict[Seat, list[int]]:
    """The seats that are in more than one of these rooms, and in which."""
    first: dict[Seat, int] = {}
    several: dict[Seat, list[int]] = {}
    for number, members in enumerate(rooms):
        for seat in members.seats & first.keys():
            several.setdefault(seat, [first[seat]]).append(number)
        first.update(dict.fromkeys(members.seats, number))
    return several

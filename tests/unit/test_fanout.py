"""The fan-out: everybody gets the bytes once, and what goes wrong at one is his alone."""

from relay.core.wire import JSON
from relay.edge.fanout import FanOut
from relay.edge.members import Members
from relay.edge.seat import Seat


class _Seat(Seat):
    """A session that keeps what it gets."""

    def __init__(self, *, straight: bool = True) -> None:
        super().__init__(JSON)
        self.got = b""
        self.failed = False
        if straight:
            self.push = self.write

    def write(self, framed: bytes) -> None:
        self.got += framed

    def fail(self) -> None:
        self.failed = True


def test_who_comes_goes_or_is_turned_is_written_to_as_he_is() -> None:
    fanout, one, slow = FanOut(), _Seat(), _Seat(straight=False)
    members = Members([one, slow])
    fanout.write(members, b"a")
    late = _Seat()
    members.add(late)
    fanout.write(members, b"b")
    members.discard(one)
    late.push = None
    members.turned()
    fanout.write(members, b"c")
    assert (one.got, slow.got, late.got) == (b"ab", b"abc", b"bc")
    assert (fanout.writes, fanout.bytes_out) == (7, 3)


def test_those_who_fail_cost_nobody_else() -> None:
    fanout, seats = FanOut(), [_Seat() for _ in range(5)]

    def broken(_data: bytes) -> None:
        raise OSError("gone")

    for at in (0, 3):
        seats[at].push = broken
    fanout.write(Members(seats), b"x")
    assert [seat.got for seat in seats] == [b"", b"x", b"x", b"", b"x"]
    assert [seat.failed for seat in seats] == [True, False, False, True, False]
    assert (fanout.writes, fanout.bytes_out) == (3, 3)

"""The members of a room in one encoding, and how to write to them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from relay.edge.seat import Seat


@dataclass(frozen=True, slots=True)
class Ways:
    """How to write to some seats, as they were when it was looked.

    Looking at each seat for each event costs more than the calls: its memory is far from the last
    one's.
    """

    seats: list[Seat]  # with a straight way
    pushes: list[Callable[[bytes], None]]  # of each of them
    others: list[Seat]  # where there is something to look at

    def __len__(self) -> int:
        return len(self.seats) + len(self.others)

    @classmethod
    def to(cls, seats: Iterable[Seat]) -> "Ways":
        """To these seats, as they are now."""
        straight, pushes, others = list[Seat](), list[Callable[[bytes], None]](), list[Seat]()
        for seat in seats:
            if seat.push is None:
                others.append(seat)
            else:
                straight.append(seat)
                pushes.append(seat.push)
        return cls(straight, pushes, others)


class Members:
    """The seats of a room in one encoding."""

    __slots__ = ("_ways", "seats")

    def __init__(self, seats: Iterable[Seat] = ()) -> None:
        self.seats = set(seats)
        self._ways: Ways | None = None

    def __len__(self) -> int:
        return len(self.seats)

    def __iter__(self) -> Iterator[Seat]:
        return iter(self.seats)

    def __contains__(self, seat: Seat) -> bool:
        return seat in self.seats

    def add(self, seat: Seat) -> None:
        """It is one of them."""
        self.seats.add(seat)
        self._ways = None

    def discard(self, seat: Seat) -> None:
        """It is none of them."""
        self.seats.discard(seat)
        self._ways = None

    def turned(self) -> None:
        """One of them is to be written to in another way."""
        self._ways = None

    @property
    def ways(self) -> Ways:
        """How to write to them. Nobody may change it."""
        if self._ways is None:
            self._ways = Ways.to(self.seats)
        return self._ways

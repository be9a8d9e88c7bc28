"""The fan-out: ready frames of a room written to the connections of its members."""

import logging
from operator import length_hint

from relay.edge.members import Members
from relay.edge.seat import Seat

_log = logging.getLogger("jetrelay.fanout")


class FanOut:
    """Writes frames to seats, and counts."""

    def __init__(self) -> None:
        self.writes = 0
        self.bytes_out = 0  # of what went straight to transports

    def write(self, members: Members, framed: bytes) -> None:
        """Write to all members of a room in one encoding.

        What goes wrong at one is that seat's alone. This loop is what an edge spends its time in:
        with ready bytes, and nothing to look at, it does no more than call the transport.
        """
        ways = members.ways
        going, failed = iter(ways.pushes), 0
        while True:
            try:
                for push in going:
                    push(framed)
                break
            except Exception:
                failed += 1
                self.failed(ways.seats[len(ways.pushes) - length_hint(going) - 1])
        straight = len(ways.pushes) - failed
        self.bytes_out += straight * len(framed)
        self.writes += straight + len(ways.others)
        for seat in ways.others:
            self.write_one(seat, framed)

    def write_one(self, seat: Seat, framed: bytes) -> None:
        """Write to one seat, which may have something to look at."""
        try:
            seat.write(framed)
        except Exception:
            self.failed(seat)

    def failed(self, seat: Seat) -> None:
        """Writing to a seat failed: its connection ends."""
        _log.exception("writing to a client failed")
        seat.fail()

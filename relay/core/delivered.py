"""Which events of an origin were delivered: exact for the newest sequences, in bounded memory."""

from dataclasses import dataclass, field

_BITS = 15  # a block has one bit for each of 32,768 sequences: 4 KiB
_WITHIN = (1 << _BITS) - 1


@dataclass(slots=True)
class Delivered:
    """A set of sequences, as blocks of bits.

    Beyond `most` blocks the lowest is forgotten. By default that is after 2,097,152 sequences at
    the earliest: 256 KiB, and more than 3 minutes of an origin that stores 10,000 events a second.
    """

    most: int = 64
    since: int = 0  # of sequences below it nothing is known any more
    _blocks: dict[int, bytearray] = field(default_factory=dict)

    def __contains__(self, seq: int) -> bool:
        block = self._blocks.get(seq >> _BITS)
        return block is not None and bool(block[(seq & _WITHIN) >> 3] >> (seq & 7) & 1)

    def add(self, seq: int) -> None:
        """Add a sequence; one below `since` is not kept."""
        block = self._blocks.get(seq >> _BITS)
        if block is None:
            if seq < self.since:
                return
            block = self._blocks[seq >> _BITS] = bytearray(1 << (_BITS - 3))
            if len(self._blocks) > self.most:
                self._forget()
        block[(seq & _WITHIN) >> 3] |= 1 << (seq & 7)

    def first_in(self, first: int, last: int) -> int | None:
        """The lowest sequence from `first` to `last` that is in it; None where none is."""
        for number in sorted(self._blocks):
            low = max(first, number << _BITS)
            high = min(last, (number << _BITS) | _WITHIN)
            if low > high:
                continue
            start, end = (low & _WITHIN) >> 3, (high & _WITHIN) >> 3
            bits = int.from_bytes(self._blocks[number][start : end + 1], "little") >> (low & 7)
            bits &= (1 << (high - low + 1)) - 1
            if bits:
                return low + (bits & -bits).bit_length() - 1
        return None

    def absent(self, first: int, last: int, most: int) -> list[tuple[int, int]]:
        """The runs from `first` to `last` of what is not in it; one for all where it were more.

        Args:
            first: a sequence.
            last: a sequence.
            most: runs at most.
        """
        runs: list[tuple[int, int]] = []
        at = first
        while at <= last:
            if len(runs) == most:
                return [(runs[0][0], last)]
            there = self.first_in(at, last)
            end = last if there is None else there - 1
            if at <= end:
                runs.append((at, end))
            at = last + 1 if there is None else self._end_of(there, last) + 1
        return runs

    def _end_of(self, seq: int, last: int) -> int:
        """The last of the run that begins at `seq`, or `last`."""
        while seq < last:
            block = self._blocks.get((seq + 1) >> _BITS)
            if block is None:
                return seq
            at = (seq + 1) & _WITHIN
            bits = int.from_bytes(block, "little") >> at
            run = (~bits & (bits + 1)).bit_length() - 1  # ones at its low end
            seq += run
            if at + run <= _WITHIN:
                break
        return min(seq, last)

    def _forget(self) -> None:
        lowest = min(self._blocks)
        del self._blocks[lowest]
        self.since = (lowest + 1) << _BITS

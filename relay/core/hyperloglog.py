"""HyperLogLog: how many different ones there are, from a few kilobytes, give or take.

After Flajolet, Fusy, Gandouet and Meunier, 2007, with 64-bit hashes, which need no correction for
large counts; small ones are counted by the empty registers, as the paper says.
"""

import math
from collections.abc import Iterable

PRECISION = 14
REGISTERS = 1 << PRECISION
ERROR = 1.04 / math.sqrt(REGISTERS)  # standard error, as a share of the count: 0.8 %
_REST = 64 - PRECISION
_ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)


class HyperLogLog:
    """A sketch of a set of 64-bit hashes. Sketches unite; nothing can be taken out."""

    def __init__(self, registers: bytes = b"") -> None:
        """An empty sketch, or the one that `registers` was.

        Raises:
            ValueError: these are not the registers of a sketch.
        """
        if registers and (len(registers) != REGISTERS or max(registers) > _REST + 1):
            raise ValueError("not the registers of a sketch")
        self._registers = bytearray(registers or REGISTERS)

    def add(self, hashes: Iterable[int]) -> None:
        """Put hashes of 64 bits in."""
        registers = self._registers
        for each in hashes:
            at = each >> _REST
            rank = _REST - (each & ((1 << _REST) - 1)).bit_length() + 1
            registers[at] = max(registers[at], rank)

    def unite(self, other: "HyperLogLog") -> None:
        """Put in what another sketch was given."""
        self._registers = bytearray(map(max, self._registers, other.registers))

    @property
    def registers(self) -> bytes:
        """The sketch as bytes, one a register."""
        return bytes(self._registers)

    def count(self) -> int:
        """About how many different hashes were put in."""
        counts = [0] * (_REST + 2)
        for rank in self._registers:
            counts[rank] += 1
        weight = sum(count * 2.0**-rank for rank, count in enumerate(counts))
        estimate = _ALPHA * REGISTERS * REGISTERS / weight
        if estimate <= 2.5 * REGISTERS and counts[0]:
            estimate = REGISTERS * math.log(REGISTERS / counts[0])
        return round(estimate)

"""`s`, the number of a DISPATCH: (ms since 2026-01-01) x 4096 + the edge's leased slot.

It is edge-wide and never falls; events of one millisecond share it; it stays below 2^53. The slot
tells which edge's records turn it back into a position, that edge's death included.
"""

from dataclasses import dataclass

SLOTS = 4096
SLOTS_PER_REGION = 256
AHEAD_MS = 15_000  # of the time, at most: a slot that is taken over goes on 10 s above its records
EPOCH_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def slot_of(s: int) -> int:
    """The slot of the edge that numbered `s`."""
    return s % SLOTS


def unix_ms_of(s: int) -> int:
    """The Unix time in `s`, in ms."""
    return s // SLOTS + EPOCH_MS


def s_at(unix_ms: int, slot: int) -> int:
    """The `s` of `slot` at a Unix time in ms (0 before 2026)."""
    return max(unix_ms - EPOCH_MS, 0) * SLOTS + slot


def slots_of_region(index: int) -> range:
    """The slots that edges of the region with this index may lease."""
    return range(index * SLOTS_PER_REGION, (index + 1) * SLOTS_PER_REGION)


def region_index_of(s: int) -> int:
    """The index of the region whose edge numbered `s`."""
    return slot_of(s) // SLOTS_PER_REGION


@dataclass(slots=True)
class Numbering:
    """The current `s` of one edge."""

    slot: int
    floor_ms: int = 0  # Unix ms that `s` has reached

    def at(self, now_ms: int) -> int:
        """`s` now: never smaller than any before, also when the clock steps back."""
        self.floor_ms = max(self.floor_ms, now_ms)
        return s_at(self.floor_ms, self.slot)

    def seal(self, now_ms: int) -> int:
        """`s` now, and no later event shares it: what a record names is complete."""
        sealed = self.at(now_ms)
        self.floor_ms += 1
        return sealed

    def above(self, s: int, now_ms: int) -> int:
        """`s` now, made larger than `s` (which another edge's clock may have put ahead).

        One that is further ahead than any edge gives is not followed: all sessions of this edge
        would get numbers that no other edge believes.
        """
        self.floor_ms = max(self.floor_ms, min(unix_ms_of(s) + 1, now_ms + AHEAD_MS))
        return self.at(now_ms)

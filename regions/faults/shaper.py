"""Decides when a piece of one direction arrives at its other end, or that it never does."""

from random import Random

from regions.faults.flow import Flow

QUEUE_S = 0.5  # a packet that would wait longer for the line is dropped, as a router does


class Shaper:
    """One direction. Pure: the clock is an argument, the dice are given."""

    def __init__(self, dice: Random) -> None:
        self.flow = Flow()
        self._dice = dice
        self._free_s = 0.0  # when the line has sent what it was given
        self._last_s = 0.0  # the latest arrival so far

    def arrival_s(self, size: int, now_s: float, *, drops: bool) -> float | None:
        """When `size` bytes given to the line now arrive; None: never.

        `drops`: whether single pieces may be lost, as packets can and bytes of a TCP stream can't.
        """
        flow = self.flow
        sent_s = now_s
        if drops and flow.loss and self._dice.random() < flow.loss:
            return None
        if flow.rate_kbit is not None:
            sent_s = max(now_s, self._free_s)
            if drops and sent_s - now_s > QUEUE_S:
                return None
            sent_s += size * 8 / (flow.rate_kbit * 1_000)
            self._free_s = sent_s
        jitter_ms = self._dice.uniform(0.0, flow.jitter_ms) if flow.jitter_ms else 0.0
        # Never before what went ahead of it: TCP takes reordered packets for lost ones.
        self._last_s = max(self._last_s, sent_s + (flow.delay_ms + jitter_ms) / 1_000)
        return self._last_s

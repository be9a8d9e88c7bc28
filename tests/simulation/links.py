"""The leaf connection between two regions: ordered, delayed, and breakable in several ways."""

import random
from collections.abc import Callable
from typing import Any

from tests.simulation.loop import Scheduler

STALE_S = 10.0  # two pings of 5 s without an answer: the servers give the connection up
REOPEN_S = (0.1, 1.7)
RETRANSMIT_S = (0.2, 0.8)  # a lost packet holds up what comes after it


class Link:
    """Both directions between two regions. A direction is named by the region that sends.

    Args:
        delay_s: one way.
    """

    def __init__(
        self, scheduler: Scheduler, dice: random.Random, ends: tuple[str, str], delay_s: float
    ) -> None:
        self._scheduler = scheduler
        self._dice = dice
        self.ends = ends
        self.delay_s = delay_s
        self.slowness = 1.0
        self.loss = 0.0
        self.open = True
        self.cut = False  # it can't be opened
        self.down: set[str] = set()  # regions whose servers are all gone
        self.stalled: set[str] = set()
        self.on_reset: list[Callable[[], None]] = []
        self._last_s = dict.fromkeys(ends, 0.0)
        self._held: dict[str, list[tuple[Callable[..., object], tuple[Any, ...]]]] = {
            end: [] for end in ends
        }
        self._generation = 0

    @property
    def works(self) -> bool:
        """Whether both directions are open and not held up."""
        return self.open and not self.stalled

    def other(self, region: str) -> str:
        """The other end."""
        return self.ends[1] if region == self.ends[0] else self.ends[0]

    def send(self, source: str, call: Callable[..., object], *args: Any) -> bool:
        """Carry something across. False: there is no connection."""
        if not self.open:
            return False
        if source in self.stalled:
            self._held[source].append((call, args))
            return True
        delay_s = self.delay_s * self.slowness * (1.0 + 0.2 * self._dice.random())
        if self.loss and self._dice.random() < self.loss:
            delay_s += self._dice.uniform(*RETRANSMIT_S)
        when = max(self._last_s[source], self._scheduler.now + delay_s)
        self._last_s[source] = when
        self._scheduler.at(when, self._arrive, self._generation, call, args)
        return True

    def _arrive(self, generation: int, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        if generation == self._generation:
            call(*args)

    # --- faults --------------------------------------------------------------------------------

    def reset(self) -> None:
        """The connection breaks: what was on its way is lost. It opens again by itself."""
        if not self.open:
            return
        self.open = False
        self._generation += 1
        for held in self._held.values():
            held.clear()
        for act in self.on_reset:
            act()
        self._reopen_later()

    def _reopen_later(self) -> None:
        self._scheduler.after(self._dice.uniform(*REOPEN_S), self._reopen)

    def _reopen(self) -> None:
        if self.open or self.cut or self.stalled or self.down:
            return
        self.open = True

    def stall(self, *sources: str) -> None:
        """Packets of these directions vanish, without a sign."""
        self.stalled.update(sources)
        self._scheduler.after(STALE_S, self._stale, self._generation)

    def _stale(self, generation: int) -> None:
        if generation == self._generation and self.stalled:
            self.reset()

    def break_up(self) -> None:
        """Cut it, so that both ends know."""
        self.cut = True
        self.reset()

    def heal(self) -> None:
        """Whatever was wrong is over."""
        self.cut = False
        self.loss = 0.0
        self.slowness = 1.0
        stalled, self.stalled = self.stalled, set()
        if not self.open:
            self._reopen_later()
            return
        for source in sorted(stalled):
            held, self._held[source] = self._held[source], []
            for call, args in held:
                self.send(source, call, *args)

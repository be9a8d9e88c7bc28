"""What feeds one mirror: the durable consumer at the origin, and its ways to fail."""

import random
from collections.abc import Callable

from tests.simulation.links import Link
from tests.simulation.nats import System
from tests.simulation.streams import Stored

RESTART_S = (1.4, 4.4)  # measured, with durable consumers
LATE_S = (8.0, 20.0)
LOOK_S = 0.5


class Pump:
    """From one home stream to its mirror in one other region.

    Args:
        skip: how many events a mirror loses when it begins again, by the dice of the run.
        count: called with the name of each thing that went wrong on purpose.
        hole: called with the origin and sequence of what a mirror skipped, or came too late for.
    """

    def __init__(
        self,
        dice: random.Random,
        origin: System,
        dest: System,
        link: Link,
        name: str,
        count: Callable[[str], None],
        hole: Callable[[str, int], None],
    ) -> None:
        self.origin = origin
        self.dest = dest
        self.name = name
        self.running = True
        self.wedged = False
        self.skips = 0.0  # the chance, at each new beginning
        self.late = 0.0
        self._scheduler = origin.scheduler
        self._dice = dice
        self.link = link
        self._count = count
        self._hole = hole
        self._generation = 0
        link.on_reset.append(self.restart)

    def offer(self, message: Stored) -> None:
        """The origin stored a message."""
        if self.running:
            self.link.send(self.origin.region, self._arrive, self._generation, message)

    def _arrive(self, generation: int, message: Stored) -> None:
        if generation != self._generation:
            return
        mirror = self.dest.streams.get(self.name)
        if mirror is None or not self.dest.writes or self.dest.disk_full or self.dest.frozen:
            self.restart()
            return
        if message.seq <= mirror.last:
            return  # ignored, without an error: also where the origin reuses sequences
        for seq in range(mirror.last + 1, message.seq):
            self._hole(self.origin.region, seq)  # limits had dropped them before they came here
        mirror.skip(message.seq - 1)
        self.dest.mirrored(mirror, message)

    def restart(self) -> None:
        """It broke off, and begins again in a while."""
        self.running = False
        self._generation += 1
        delay_s = self._dice.uniform(*RESTART_S)
        if self.late and self._dice.random() < self.late:
            self._count("mirror restarted late")
            delay_s = self._dice.uniform(*LATE_S)
        self._scheduler.after(delay_s, self._begin, self._generation)

    def wedge(self) -> None:
        """It stops, and nobody notices."""
        self.wedged = True
        self.running = False
        self._generation += 1

    def release(self) -> None:
        """It goes on."""
        if self.wedged:
            self.wedged = False
            self.restart()

    def _begin(self, generation: int) -> None:
        if generation != self._generation or self.wedged:
            return
        mirror, home = self.dest.streams.get(self.name), self.origin.streams.get(self.name)
        ready = self.link.works and self.origin.writes and self.dest.writes
        frozen = self.origin.frozen or self.dest.frozen or self.dest.disk_full
        if mirror is None or home is None or not ready or frozen:
            self._scheduler.after(LOOK_S, self._begin, generation)
            return
        if self.skips and mirror.last < home.last and self._dice.random() < self.skips:
            missed = min(1 + int(self._dice.random() * 4), home.last - mirror.last)
            self._count("mirror skipped events")
            for seq in range(mirror.last + 1, mirror.last + missed + 1):
                self._hole(self.origin.region, seq)
            mirror.skip(mirror.last + missed)
        self.running = True
        for seq in home.matching(mirror.last + 1, None, home.last):
            self.offer(home.messages[seq])

    def fill(self) -> None:
        """The mirror was made anew: it is filled at once."""
        self.running = False
        self._generation += 1
        self._begin(self._generation)

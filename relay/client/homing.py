"""When to try to return to the home region (protocol section 4)."""

from collections.abc import Callable

LONGEST = 8  # times the first wait


class Homing:
    """The timer of returning home. Pure.

    Args:
        after_s: the first wait; it is multiplied by 0.5 to 1.5, and doubled after each failure.
        dice: a random number from 0 to 1.
    """

    def __init__(self, after_s: float, dice: Callable[[], float]) -> None:
        self.deadline: float | None = None
        self._after_s = after_s
        self._dice = dice
        self._tries = 0

    def plan(self, away: bool, now: float) -> None:
        """The session is ready, away from home or there."""
        if not away:
            self._tries = 0
            self.deadline = None
        elif self.deadline is None:
            factor = min(2**self._tries, LONGEST) * (0.5 + self._dice())
            self.deadline = now + self._after_s * factor

    def cancel(self) -> None:
        """The session is not ready."""
        self.deadline = None

    def due(self, now: float) -> bool:
        """Whether to try now; the timer is used up by it."""
        if self.deadline is None or now < self.deadline:
            return False
        self.deadline = None
        return True

    def tried(self) -> None:
        """The home region is asked whether it takes clients; where it is closed, it is not."""
        self._tries += 1

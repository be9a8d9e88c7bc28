"""A mutant: a small change of the edge's code that breaks one promise, and who has to find it."""

import inspect
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_log = logging.getLogger("jetrelay.mutant")

STRUCK = "mutant struck: "  # and how often so far, in an edge's log
OLD_CURSORS = "old_cursors"  # of an epoch that is over, and not refused
_EACH = 64  # strikes are logged one by one up to here, then every so many


class Dice:
    """Decides, by a seed, when a mutant strikes; counts and logs it."""

    def __init__(self, seed: str, one_in: int) -> None:
        self._dice = random.Random(seed)
        self._one_in = one_in
        self._strikes = 0

    def strikes(self) -> bool:
        """Whether it strikes now."""
        if self._one_in > 1 and self._dice.randrange(self._one_in):
            return False
        self._strikes += 1
        if self._strikes <= _EACH or self._strikes % _EACH == 0:
            _log.warning("%s%d", STRUCK, self._strikes)
        return True

    def below(self, count: int) -> int:
        """A number in [0, `count`)."""
        return self._dice.randrange(count)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mutant.

    `breaks`: the promise, in a sentence. `found`: rules of the checker (or, where single events do
    not show it, objectives of the drill, or `old_cursors`), each of which names this very breach;
    one of them at least must. `apply`: patches the edge's code, in this Python process. `one_in`:
    how rarely it strikes, of the occasions that `apply` gives it. `drill`: under which its code
    runs. `single`: each strike makes one finding at most, so that more of them are not its own.
    """

    name: str
    breaks: str
    found: tuple[str, ...]
    apply: Callable[[Dice], None]
    one_in: int = 1
    drill: str = "edge-kill"
    single: bool = False


def patch(owner: object, name: str, mutated: Callable[..., Any]) -> None:
    """Put `mutated` into the place of `owner.name`.

    Raises:
        AttributeError: there is no such function any more.
        TypeError: it takes other parameters now.
    """
    before, now = (
        len(inspect.signature(one).parameters) for one in (getattr(owner, name), mutated)
    )
    if before != now:
        raise TypeError(f"{owner}.{name} takes {before} parameters, its mutant {now}: adapt it")
    setattr(owner, name, mutated)

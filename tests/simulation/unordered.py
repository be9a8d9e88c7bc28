"""Finds what would let the memory decide: a set whose objects are hashed by their addresses.

Whoever goes through such a set meets its objects in an order that differs from one Python process
to the next, and a seed that broke a promise could not be repeated.
"""

import gc

from tests.simulation.loop import Scheduler

ADDRESS: object = object.__hash__
EVERY = 20  # calls of `Scheduler.run` between two looks

found: set[str] = set()  # names of types


def watch() -> None:
    """Look again and again, from now on, while seeds run."""
    run = Scheduler.run
    gc.collect()
    gc.freeze()  # what is there already is Python's, and pytest's
    calls = 0

    def looking(self: Scheduler, *arguments: object, **named: object) -> bool:
        nonlocal calls
        stopped = run(self, *arguments, **named)  # type: ignore[arg-type]
        calls += 1
        if calls % EVERY == 0:
            look()
        return stopped

    Scheduler.run = looking  # type: ignore[method-assign]


def look() -> None:
    """Put the types of such objects into `found`."""
    for thing in gc.get_objects():
        if type(thing) in (set, frozenset) and len(thing) > 1:
            kinds = {type(each) for each in thing}
            found.update(kind.__qualname__ for kind in kinds if kind.__hash__ is ADDRESS)

"""Looking through many things a little at a time: no client waits while an operator asks."""

import asyncio
from collections.abc import Iterable
from typing import TypeVar

from relay.core.query import Query
from relay.core.ranking import First
from relay.edge import clock

T = TypeVar("T")

SLICE_S = 0.005  # then it is others' turn, for as long
AT_ONCE = 32  # things between two looks at the clock


async def look_through(things: Iterable[T], query: Query[T], first: First[T]) -> int:
    """Give all that the query is true of to `first`. Returns how many things there were."""
    began_s, number = clock.now().mono_s, 0
    for number, thing in enumerate(things, 1):
        if query.matches(thing):
            first.add(thing)
        if number % AT_ONCE == 0 and clock.now().mono_s - began_s > SLICE_S:
            await asyncio.sleep(SLICE_S)
            began_s = clock.now().mono_s
    return number

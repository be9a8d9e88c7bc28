"""One look at the fleet without a screen: listen for a while, then say."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from console.clock import Clock
from console.errors import NoLinkError
from console.feed import Feed, apply
from console.model import Ages, Fleet, FleetView, LinkState, expect, observe

WAIT_S = 3.0
LINK_WAIT_S = 10.0  # at least, for a region to answer
# Who stayed silent while the console listened for that long is dark: frames come once a second.
ONCE_AGES = Ages(stale_ms=2_000, gone_ms=2_800)


async def look(
    feed: Feed,
    known: Mapping[str, Sequence[str]],
    clock: Clock,
    wait_s: float = WAIT_S,
    *,
    link_s: float = LINK_WAIT_S,
) -> FleetView:
    """How the fleet looks after `hear`; its arguments and errors are the same."""
    fleet = await hear(feed, known, clock, wait_s, link_s=link_s)
    return observe(fleet, clock.steady_ms(), ONCE_AGES)


async def hear(
    feed: Feed,
    known: Mapping[str, Sequence[str]],
    clock: Clock,
    wait_s: float = WAIT_S,
    *,
    link_s: float = LINK_WAIT_S,
) -> Fleet:
    """The fleet after `wait_s` with a link.

    Args:
        feed: what is heard.
        known: region -> its edges, as far as known.
        clock: when things come.
        wait_s: seconds; edges speak every second (rates need two frames), and keepers every 2 s.
        link_s: how long a region's NATS is waited for.

    Raises:
        NoLinkError: no region's NATS could be reached.
    """
    fleet = Fleet()
    for region, edges in known.items():
        fleet = expect(fleet, region, edges)
    loop = asyncio.get_running_loop()
    started = False
    try:
        async with (
            asyncio.timeout(max(link_s, LINK_WAIT_S)) as deadline,
            aclosing(feed.events()) as events,
        ):
            async for event in events:
                fleet = apply(fleet, event, clock.steady_ms())
                if fleet.link.state is LinkState.CONNECTED and not started:
                    started = True
                    deadline.reschedule(loop.time() + wait_s)
    except TimeoutError:
        if not started:
            raise NoLinkError(
                f"no NATS answers: {fleet.link.reason or 'no reason given'}"
            ) from None
    return fleet

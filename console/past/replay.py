"""The fleet as it looked at some time: the same fold as live, over what was kept."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing

from console.feed import LinkChanged, apply
from console.model import HISTORY_POINTS, Fleet, FleetView, LinkState, expect, observe
from console.model.fleet import NOT_KEPT
from console.past.moment import Past
from console.wire import event_of

WARM_UP_MS = (HISTORY_POINTS + 10) * 1000  # that a full history takes, and who is silent is dark
REDO_MS = 60_000  # further ahead than this, it is quicker to begin anew
# Every edge speaks once a second: where nothing at all was kept for so long, nobody listened.
DEAF_MS = 3_000


class Replay:
    """Goes through the past. Times are Unix ms; nothing here waits for a clock.

    Args:
        past: where it is kept.
        known: region -> the names of its edges, as far as known.
        via: what is said instead of the region that a console listens in.
    """

    def __init__(self, past: Past, known: Mapping[str, Sequence[str]], via: str) -> None:
        self.past = past
        self._known = known
        self._via = via
        self.at_ms = 0
        self._kept_ms = 0  # when the newest was that was kept
        self.fleet = self._begin(0)

    @property
    def view(self) -> FleetView:
        """How it looked then."""
        return observe(self.fleet, self.at_ms)

    async def seek(self, at_ms: int) -> None:
        """Go to a time."""
        begin_ms = at_ms - WARM_UP_MS
        fleet = self._begin(begin_ms)
        for moment in await self.past.drills(begin_ms):  # of which a console keeps a day
            fleet = apply(fleet, event_of(moment.subject, moment.data), moment.at_ms)
        self.fleet, self.at_ms, self._kept_ms = fleet, begin_ms, begin_ms
        await self._go(at_ms)

    def _begin(self, at_ms: int) -> Fleet:
        """The fleet before anything was heard."""
        fleet = apply(Fleet(), LinkChanged(LinkState.CONNECTED, self._via), at_ms)
        for region, edges in self._known.items():
            fleet = expect(fleet, region, edges)
        return fleet

    async def advance(self, at_ms: int) -> None:
        """Go on to a later time; to an earlier one, or far ahead, by beginning anew."""
        if 0 <= at_ms - self.at_ms <= REDO_MS:
            await self._go(at_ms)
        else:
            await self.seek(at_ms)

    async def _go(self, at_ms: int) -> None:
        fleet = self.fleet
        async with aclosing(self.past.read(self.at_ms, at_ms)) as moments:
            async for moment in moments:
                fleet = self._listening(fleet, moment.at_ms)
                self._kept_ms = moment.at_ms
                if fleet.link.state is LinkState.LOST:
                    fleet = apply(fleet, LinkChanged(LinkState.CONNECTED, self._via), moment.at_ms)
                fleet = apply(fleet, event_of(moment.subject, moment.data), moment.at_ms)
        fleet = self._listening(fleet, at_ms)
        books = await self.past.books(at_ms)
        if books is not None:
            fleet = apply(fleet, books, at_ms)
        self.fleet, self.at_ms = fleet, at_ms

    def _listening(self, fleet: Fleet, at_ms: int) -> Fleet:
        """The fleet, whose link was lost if nothing was kept for too long before a time.

        Else all that was not heard would look dark, where only who kept it was deaf.
        """
        if at_ms - self._kept_ms <= DEAF_MS or fleet.link.state is LinkState.LOST:
            return fleet
        lost = LinkChanged(LinkState.LOST, self._via, NOT_KEPT)
        return apply(fleet, lost, self._kept_ms + DEAF_MS)

    async def next_alert(self) -> int | None:
        """When the next alert changed; None: none did."""
        return next((ms for ms in await self.past.alerts() if ms > self.at_ms), None)

    async def last_alert(self) -> int | None:
        """When the one before changed; None: none did."""
        return next((ms for ms in reversed(await self.past.alerts()) if ms < self.at_ms), None)

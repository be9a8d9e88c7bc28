"""Watching a fleet without a screen: what keepers tell all others, and raise alerts about."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from types import TracebackType

from cli.hook import Hook
from console.clock import Clock
from console.feed import NewsHeard, apply
from console.live import LiveFeed
from console.model import Fleet, FleetView, expect, knows_silence, observe
from console.model.fields import rows
from regions.alerts.board import Board
from regions.alerts.rules import Rule
from regions.certificates import CertificateWatch, places_of
from regions.herald import Herald
from regions.issuer import DOOR
from regions.news import AckNews, AlertChange, AlertsNews, CertificatesNews, News
from regions.steering.canary import Canaries
from regions.steering.steerer import Steerer
from regions.steering.telling import steering_news
from regions.steering.trying import doors_of, try_door
from regions.world import World
from relay.geo.atlas import Atlas
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.keeper")

LOOK_S = 1.0
HEARD_MS = 10_000  # a keeper that said nothing for longer is not there
SAY_MS = 60_000  # between two complaints about the same


class Watching:
    """Hears a fleet through one region, judges it, and tells what it sees.

    Args:
        world: the fleet.
        home: the region through which it hears first, and which is its own.
        tells: the regions in whose NATS it tells.
        rules: of alerts.
        tries: whether edges' doors are gone through, and canaries fly.
        hook: is told when an alert fires, or is over; None: nobody.
        stands_in: it is silent while a keeper of the same region is heard.
    """

    def __init__(
        self,
        world: World,
        home: str,
        tells: Sequence[str],
        rules: Sequence[Rule],
        *,
        tries: bool,
        hook: Hook | None = None,
        stands_in: bool = False,
    ) -> None:
        self.home = home
        self._stands_in = stands_in
        self._mine = deque[int](maxlen=1_000)  # when it told of alerts itself: Unix ms
        self._other_ms = -HEARD_MS  # when another one spoke for this region, by our steady clock
        self._said_ms = -SAY_MS  # when that was complained of
        self._hook = hook
        self._clock = Clock()
        self._stack = AsyncExitStack()
        self._tasks = Tasks("watching")
        topology, issuer, urls = world.topology(), world.issuer(DOOR), doors_of(world)
        doors = sorted(world.doors("console"), key=lambda door: door.region != home)
        self._feed = LiveFeed(doors)
        self._fleet = Fleet()
        for region in world.regions:
            self._fleet = expect(self._fleet, region.name, [edge.name for edge in region.edges])
        self._canaries = Canaries(issuer, urls if tries else {})
        through = partial(try_door, issuer) if tries else None
        # Clients are sent by the name server; this one only has to see how they would be.
        self._atlas = Atlas(None)
        self.steerer = Steerer(topology, doors, self._atlas, urls, through, self._canaries, home)
        self.certificates = CertificateWatch(places_of(world))
        self.board = Board(rules)
        self.herald = Herald(
            {region: world.nats_config(region, "control") for region in tells}, self._news, home
        )

    async def __aenter__(self) -> "Watching":
        self._tasks.keep(self._listen, "listen")
        self._tasks.keep(self._look, "look")
        self._tasks.keep(self.certificates.run, "certificates")
        await self._stack.enter_async_context(self._canaries)
        await self._stack.enter_async_context(self.steerer)
        self.herald.start()
        if self._hook is not None:
            self._hook.start()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._hook is not None:
            await self._hook.close()
        await self.herald.close()
        await self._tasks.close()
        await self._stack.aclose()
        self._atlas.close()

    @property
    def view(self) -> FleetView:
        """How the fleet looks now."""
        return observe(self._fleet, self._clock.steady_ms())

    async def _listen(self) -> None:
        async with aclosing(self._feed.events()) as events:
            async for event in events:
                self._fleet = apply(self._fleet, event, self._clock.steady_ms())
                match event:
                    case NewsHeard(_, AckNews(name=name, on=on, by=by, why=why)):
                        self.board.acknowledge(name, on, by, why)
                    case NewsHeard(_, AlertsNews(alerts=alerts, by=by)) if by != self.home:
                        self.board.adopt(alerts)
                    case NewsHeard(_, AlertsNews(at_ms=at_ms)) if at_ms not in self._mine:
                        self._heard_double()

    async def _look(self) -> None:
        left_out = 0
        while True:
            await asyncio.sleep(LOOK_S)
            view, now_ms = self.view, self._clock.wall_ms()
            deaf = not knows_silence(view)
            for change in self.board.look(rows(view, now_ms, self.home), now_ms, deaf=deaf):
                self._say(change)
            if self.board.left_out and not left_out:
                _log.warning(
                    "more alerts than can stand at once: %d are left out", self.board.left_out
                )
            left_out = self.board.left_out
            if self._hook is not None:
                others = self._others
                # What any keeper sees: of what does not come through, only some know.
                standing = [alert for news in others for alert in news.alerts]
                first = min((news.by for news in others if news.posts), default=self.home)
                # Those who do not hear each other are both the first, each where it is: the
                # outside is told twice rather than not at all.
                self._hook.stand([*standing, *self.board.standing], chief=self.home <= first)

    @property
    def _others(self) -> list[AlertsNews]:
        """What other keepers said not long ago."""
        now_ms = self._clock.steady_ms()
        return [
            news
            for at_ms, news in self._fleet.told.alerts.values()
            if now_ms - at_ms <= HEARD_MS and news.by != self.home
        ]

    def _heard_double(self) -> None:
        """Somebody else spoke as the keeper of this region."""
        self._other_ms = now_ms = self._clock.steady_ms()
        if not self._stands_in and now_ms - self._said_ms >= SAY_MS:
            self._said_ms = now_ms
            _log.error(
                "another keeper speaks for %s: consoles see now one, now the other", self.home
            )

    @property
    def _is_silent(self) -> bool:
        """Whether it leaves it to a keeper to tell what there is."""
        return self._stands_in and self._clock.steady_ms() - self._other_ms <= HEARD_MS

    def _say(self, change: AlertChange) -> None:
        alert = change.alert
        _log.warning("%s %s %s: %s", alert.name, alert.on, alert.state, alert.text)
        if not self._is_silent:
            self.herald.say(change)

    def _news(self) -> Iterator[News]:
        if self._is_silent:
            return
        now_ms, outlook = self._clock.wall_ms(), self.steerer.outlook
        if outlook is not None:
            tries = self.steerer.tries
            yield steering_news(outlook, tries, time.monotonic(), now_ms, self.home)
        standing, rules = self.board.standing, len(self.board.rules)
        posts = self._hook is not None and self._hook.works
        self._mine.append(now_ms)
        yield AlertsNews(at_ms=now_ms, alerts=standing, rules=rules, by=self.home, posts=posts)
        if self.certificates.ends:
            yield CertificatesNews(at_ms=now_ms, ends=dict(self.certificates.ends))

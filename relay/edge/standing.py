"""What operators want of this edge: read from the book once a second, and done."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from relay.bus.orders import OrderBook
from relay.core.orders import FULL_WEIGHT, Order, Orders
from relay.edge import clock
from relay.edge.peers import Peers
from relay.errors import BusError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.edge")

SAID = 128  # orders that are told to be known: one operation gives no more, and waits for that

SendAway = Callable[[float, Callable[[], bool], Callable[[], bool]], Coroutine[Any, Any, None]]


class Standing:
    """The orders as this edge knows them.

    Args:
        book: the orders of all regions.
        peers: is told whom clients are not to be pointed to.
        region: this edge's.
        edge: its name.
        send_away: sends all clients elsewhere, spread over so many seconds, while it is wanted, and
            whenever somebody takes them.
    """

    def __init__(
        self, book: OrderBook, peers: Peers, region: str, edge: str, send_away: SendAway
    ) -> None:
        self._book = book
        self._peers = peers
        self._region = region
        self._edge = edge
        self._send_away = send_away
        self._tasks = Tasks("standing")
        self._draining: Order | None = None  # the order that clients are being sent away by

    @property
    def orders(self) -> Orders:
        """All that stand."""
        return self._book.orders

    @property
    def _mine(self) -> Order | None:
        return self._book.orders.of(self._region, self._edge)

    @property
    def drained(self) -> bool:
        """Whether its clients are to be elsewhere."""
        return self._mine is not None and self._mine.drain_s is not None

    @property
    def cordoned(self) -> bool:
        """Whether nobody new is to be let in."""
        return self._mine is not None and self._mine.cordoned

    @property
    def known(self) -> dict[str, int]:
        """Scope -> Unix ms of the order that is known here, of the newest ones."""
        return self._book.orders.newest(SAID)

    async def begin(self) -> None:
        """Read what stands before anybody is let in; what can't be read, is read later."""
        try:
            await self._book.read()
        except BusError as error:
            _log.warning("operators' orders are not all known: %s", error)
        self._point_clients()

    async def turn(self) -> None:
        """Read what is new, and do it.

        Raises:
            BusError: NATS did not answer for one of the regions, at least.
        """
        try:
            await self._book.read()
        finally:
            self._point_clients()
            self._obey()

    def _point_clients(self) -> None:
        orders = self._book.orders
        self._peers.refusing = frozenset(
            each.scope for each in orders if each.edge and not each.idle
        )
        self._peers.shares = {name: self._share(name) for name in self._peers.others}

    def _share(self, region: str) -> float:
        """How much of what would come a region takes."""
        order, weight = self._book.orders.of(region), self._peers.weight(region)
        if order is not None and order.cordoned:
            return 0.0
        if order is not None and order.weight is not None:
            weight = order.weight
        ramp = self._peers.returns.ramp(
            region, None if order is None else order.ramp, clock.now().mono_s, clock.wall_ms()
        )
        return min(weight, FULL_WEIGHT) / FULL_WEIGHT * ramp

    def _obey(self) -> None:
        mine = self._mine
        wanted = mine if mine is not None and mine.drain_s is not None else None
        if wanted is self._draining:
            return
        self._draining = wanted
        self._peers.drained = wanted is not None
        if wanted is None or wanted.drain_s is None:
            _log.info("clients are welcome again: no drain is ordered any more")
            return
        _log.info("drained by %r: %r", wanted.by, wanted.why)
        going = self._send_away(
            wanted.drain_s,
            lambda: self._draining is wanted,
            lambda: wanted.alone or self._peers.somebody_takes(clock.now().mono_s),
        )
        self._tasks.spawn(going, "drain")

    async def close(self) -> None:
        """End what runs."""
        await self._tasks.close()

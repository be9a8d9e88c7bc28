"""Reading the standing orders, from this region's copies of every region's book."""

from collections.abc import Iterable

from relay.bus.events import SEQUENCE, SUBJECT
from relay.bus.reader import Reader
from relay.core.names import book_stream, order_subject
from relay.core.orders import Orders, decode_order
from relay.errors import BusError


class OrderBook:
    """Keeps the orders that stand up to date.

    Args:
        reader: in this region.
        origins: all regions.
        orders: what was heard otherwise; None: nothing.
    """

    def __init__(
        self, reader: Reader, origins: Iterable[str], orders: Orders | None = None
    ) -> None:
        self._reader = reader
        self._newest = dict.fromkeys(origins, 0)  # the sequence of the newest order seen
        self.orders = Orders() if orders is None else orders

    async def read(self) -> bool:
        """Read what was ordered since, in every region that can be read here.

        Returns:
            Whether anything stands now that did not before.

        Raises:
            BusError: NATS did not answer for one of the regions, at least.
        """
        changed, failure = False, None
        for origin in self._newest:
            try:
                changed |= await self._read(origin)
            except BusError as error:
                failure = error
        if failure is not None:
            raise failure
        return changed

    async def _read(self, origin: str) -> bool:
        stream, subject = book_stream(origin), order_subject(origin, ">")
        got = await self._reader.last_by_subject(stream, subject)
        newest = 0 if got is None else int(got[0][SEQUENCE])
        if newest == self._newest[origin]:
            return False
        # A book that was made anew may go on below: it is read whole, and what stands goes on to.
        page = await self._reader.newest(stream, subject)
        orders = [
            decode_order(origin, headers.get(SUBJECT, ""), data) for headers, data in page.messages
        ]
        changed = [self.orders.take(origin, order) for order in orders if order is not None]
        # Another replica may have answered, which lacks the newest: that is read the next time.
        self._newest[origin] = page.last or self._newest[origin]
        return any(changed)

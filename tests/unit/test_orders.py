"""Standing orders: which one counts, which ones are refused, and what edges do about them."""

import msgspec
import pytest

from relay.bus.orders import OrderBook
from relay.bus.reader import Page
from relay.core.names import order_subject
from relay.core.orders import (
    Order,
    Orders,
    Ramp,
    decode_order,
    encode_order,
    wrong_with,
)
from relay.errors import UnavailableError

DRAIN = Order(region="eu", edge="eu-1", at_ms=5, by="ops", drain_s=30.0)
CORDON = Order(region="eu", at_ms=5, by="ops", why="power", cordoned=True)


def test_an_order_comes_back_from_its_bytes() -> None:
    for order in (DRAIN, CORDON):
        subject = order_subject("us", order.region, order.edge)
        assert decode_order("us", subject, encode_order(order)) == order


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        (order_subject("us", "eu", "eu-2"), encode_order(DRAIN)),
        (order_subject("ap", "eu", "eu-1"), encode_order(DRAIN)),
        (order_subject("us", "eu", "eu-1"), b"{"),
        (order_subject("us", "eu", "eu-1"), b"\xff"),
        ("ops.us.order.eu.*", encode_order(Order(region="eu", edge="*", at_ms=1, by="x"))),
        ("ops.us.order.eu", encode_order(Order(region="eu", at_ms=1, by="x", drain_s=1.0))),
    ],
)
def test_what_is_not_said_where_it_belongs_is_no_order(subject: str, data: bytes) -> None:
    assert decode_order("us", subject, data) is None


@pytest.mark.parametrize(
    "order",
    [
        Order(region="eu", at_ms=1, by="x", drain_s=1.0),
        Order(region="eu", edge="eu-1", at_ms=1, by="x", drain_s=-1.0),
        Order(region="eu", edge="eu-1", at_ms=1, by="x", drain_s=float("nan")),
        Order(region="eu", edge="eu-1", at_ms=1, by="x", weight=50),
        Order(region="eu", at_ms=1, by="x", weight=101),
        Order(region="eu", at_ms=1, by="x", ramp=Ramp(0, 1e9)),
        Order(region="eu", at_ms=1, by="x" * 513),
    ],
)
def test_wrong_orders_are_named(order: Order) -> None:
    assert wrong_with(order)


def test_the_newest_order_of_a_scope_stands_whichever_region_it_came_through() -> None:
    orders = Orders()
    assert orders.take("us", CORDON)
    assert not orders.take("us", CORDON), "heard again"
    before = orders.of(*CORDON.scope)
    same = msgspec.structs.replace(CORDON)
    assert not orders.take("zz", same), "it stands in the books of all regions"
    assert orders.of(*CORDON.scope) is before, "what is done for it goes on"
    eu = orders.of("eu")
    assert eu is not None
    assert eu.cordoned
    later = Order(region="eu", at_ms=6, by="ops")
    assert orders.take("ap", later)
    assert not orders.take("us", CORDON), "an older one comes late"
    assert orders.of("eu") == later
    eu = orders.of("eu")
    assert eu is not None
    assert not eu.cordoned
    assert orders.of("eu", "eu-1") is None


def test_of_two_of_the_same_moment_all_take_the_same_one() -> None:
    other = Order(region="eu", at_ms=5, by="else")
    one, two = Orders(), Orders()
    for origin, order in (("us", CORDON), ("ap", other)):
        one.take(origin, order)
    for origin, order in (("ap", other), ("us", CORDON)):
        two.take(origin, order)
    assert one.of("eu") == two.of("eu") == CORDON


def test_a_ramp_lets_more_and_more_come() -> None:
    ramp = Order(region="eu", at_ms=1, by="ops", ramp=Ramp(10_000, 20.0))
    assert [ramp.share(at_ms) for at_ms in (0, 10_000, 20_000, 30_000, 99_000)] == [0, 0, 0.5, 1, 1]
    assert Order(region="eu", at_ms=1, by="ops", ramp=Ramp(0, 0.0)).share(0) == 1
    assert Order(region="eu", at_ms=1, by="ops").share(0) == 1


class Copies:
    """Copies of books: origin -> (sequence, subject, data) of the newest of each subject."""

    def __init__(self) -> None:
        self.held: dict[str, list[tuple[int, str, bytes]]] = {"us": [], "eu": []}
        self.silent: set[str] = set()
        self.whole = 0  # books read whole
        self.lag = 0  # orders that the replica lacks which answers that

    def _of(self, stream: str) -> list[tuple[int, str, bytes]]:
        origin = stream.removeprefix("OPS_")
        if origin in self.silent:
            raise UnavailableError(f"{origin} does not answer")
        return self.held[origin]

    async def last_by_subject(
        self, stream: str, _subject: str
    ) -> tuple[dict[str, str], bytes] | None:
        held = self._of(stream)
        return ({"Nats-Sequence": str(held[-1][0])}, held[-1][2]) if held else None

    async def newest(self, stream: str, _subject: str) -> Page:
        self.whole += 1
        return Page(
            tuple(
                ({"Nats-Sequence": str(seq), "Nats-Subject": subject}, data)
                for seq, subject, data in self._of(stream)[: -self.lag or None]
            ),
            0,
        )


def book(copies: Copies) -> OrderBook:
    return OrderBook(copies, ["us", "eu"])  # type: ignore[arg-type]


async def test_a_book_is_read_whole_when_its_newest_order_is_another() -> None:
    copies = Copies()
    read = book(copies)
    assert not await read.read()
    copies.held["us"] = [(3, order_subject("us", "eu"), encode_order(CORDON))]
    assert await read.read()
    assert not await read.read()
    assert copies.whole == 1
    assert read.orders.of("eu") == CORDON


@pytest.mark.parametrize("lag", [1, 2])
async def test_an_order_that_a_replica_lacks_is_read_the_next_time(lag: int) -> None:
    copies = Copies()
    copies.held["us"] = [
        (3, order_subject("us", "eu"), encode_order(CORDON)),
        (4, order_subject("us", "eu", "eu-1"), encode_order(DRAIN)),
    ]
    read, copies.lag = book(copies), lag
    assert await read.read() == (lag == 1)
    assert read.orders.of("eu", "eu-1") is None
    copies.lag = 0
    assert await read.read()
    assert read.orders.of("eu", "eu-1") == DRAIN
    assert not await read.read()


async def test_a_book_that_was_made_anew_takes_nothing_back() -> None:
    copies = Copies()
    copies.held["us"] = [(300, order_subject("us", "eu"), encode_order(CORDON))]
    read = book(copies)
    await read.read()
    copies.held["us"] = []
    assert not await read.read()
    assert read.orders.of("eu") == CORDON
    copies.held["us"] = [(2, order_subject("us", "eu", "eu-1"), encode_order(DRAIN))]
    assert await read.read()
    assert read.orders.of("eu", "eu-1") == DRAIN


async def test_a_book_that_does_not_answer_holds_up_no_other() -> None:
    copies = Copies()
    copies.silent.add("us")
    copies.held["eu"] = [(1, order_subject("eu", "eu"), encode_order(CORDON))]
    read = book(copies)
    with pytest.raises(UnavailableError):
        await read.read()
    assert read.orders.of("eu") == CORDON

"""Standing orders: what operators want of a region or of an edge, until they say otherwise. Pure.

An order replaces the one before it of the same scope, whichever region it was given through. Edges
do what theirs say; steering counts those of regions.
"""

from collections.abc import Iterator
from heapq import nlargest
from typing import NamedTuple

import msgspec

from relay.core.names import is_edge, is_region, order_subject

TEXT = 512  # characters of who and why
SCOPES = 4_096  # of which orders are known at once
FULL_WEIGHT = 100
LONGEST_S = 86_400.0  # that a drain or a ramp may take


class Scope(NamedTuple):
    """What an order is for: a region, or one edge of it."""

    region: str
    edge: str = ""  # empty: the region

    def __str__(self) -> str:
        return self.edge or self.region

    @property
    def key(self) -> str:
        """What names it among all: two regions may have an edge of the same name."""
        return f"{self.region}/{self.edge}" if self.edge else self.region


class Ramp(msgspec.Struct, frozen=True):
    """A region takes more and more of what would come to it."""

    since_ms: int  # Unix ms
    over_s: float

    def share(self, now_ms: int) -> float:
        """How much it takes at a time (Unix ms), 0 to 1."""
        if self.over_s <= 0:
            return 1.0
        return min(max((now_ms - self.since_ms) / 1000 / self.over_s, 0.0), 1.0)


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wanted of a scope."""

    region: str
    edge: str = ""  # empty: the region
    at_ms: int  # Unix ms, and later than any before of this scope
    by: str  # who wants it
    why: str = ""
    run: str = ""  # the operation that gave it
    cordoned: bool = False  # nobody new; who is here stays, and may come back
    drain_s: float | None = None  # of an edge: its clients go elsewhere, spread over so long
    alone: bool = False  # of a drain: also where nobody takes them
    own: bool = False  # of an edge: it was closed for itself, whatever becomes of its region
    weight: int | None = None  # of a region, percent; None: as the topology says
    ramp: Ramp | None = None  # of a region

    @property
    def scope(self) -> Scope:
        """What it is for."""
        return Scope(self.region, self.edge)

    @property
    def idle(self) -> bool:
        """Whether it wants nothing."""
        nothing = self.drain_s is None and self.weight is None and self.ramp is None
        return nothing and not self.cordoned

    @property
    def reason(self) -> str:
        """Why it is so, for people; never empty."""
        return self.why or f"by {self.by or 'an operator'}"

    def same(self, other: "Order") -> bool:
        """Whether both want the same, whoever does, when and why, and at which pace."""
        return (self.scope, self.own, self.cordoned, self.drain_s is None, self.weight) == (
            other.scope, other.own, other.cordoned, other.drain_s is None, other.weight,
        ) and (self.ramp and self.ramp.over_s) == (other.ramp and other.ramp.over_s)  # fmt: skip

    def share(self, now_ms: int) -> float:
        """How much of what would come a region takes, by its ramp; 0 to 1."""
        return 1.0 if self.ramp is None else self.ramp.share(now_ms)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Order)


def encode_order(order: Order) -> bytes:
    """The order as UTF-8 JSON."""
    return _encoder.encode(order)


def decode_order(origin: str, subject: str, data: bytes) -> Order | None:
    """The order in a message of the book of `origin`; None where there is none."""
    try:
        order = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    named = is_region(order.region) and (not order.edge or is_edge(order.edge))
    if not named or subject != order_subject(origin, order.region, order.edge):
        return None
    return order if not wrong_with(order) else None


def wrong_with(order: Order) -> str:
    """What is wrong with an order, for people; empty: nothing."""
    if len(order.by) > TEXT or len(order.why) > TEXT:
        return f"who and why have at most {TEXT} characters"
    if order.drain_s is not None:
        if not order.edge:
            return "a region is drained edge by edge"
        if not 0 <= order.drain_s <= LONGEST_S:
            return f"a drain takes 0 to {LONGEST_S:,.0f} s"
    if order.weight is not None and (order.edge or not 0 <= order.weight <= FULL_WEIGHT):
        return f"a weight is of a region, and 0 to {FULL_WEIGHT}"
    if order.ramp is not None and (order.edge or not 0 <= order.ramp.over_s <= LONGEST_S):
        return f"a ramp is of a region, and takes 0 to {LONGEST_S:,.0f} s"
    return ""


class Orders:
    """The orders that stand, as far as they were heard."""

    def __init__(self) -> None:
        self._standing: dict[Scope, tuple[int, str, Order]] = {}

    def __iter__(self) -> Iterator[Order]:
        return (order for _, _, order in self._standing.values())

    def take(self, origin: str, order: Order) -> bool:
        """An order was heard.

        Args:
            origin: the region through which it was given.
            order: it.

        Returns:
            Whether it stands now, and did not before.
        """
        known = self._standing.get(order.scope)
        if known is None and len(self._standing) >= SCOPES:
            return False
        if known is not None and (order.at_ms, origin) <= known[:2]:
            return False
        if known is not None and order == known[2]:  # it stands in the books of all regions
            self._standing[order.scope] = order.at_ms, origin, known[2]
            return False
        self._standing[order.scope] = order.at_ms, origin, order
        return True

    def of(self, region: str, edge: str = "") -> Order | None:
        """What is wanted of a scope; None where nothing was ever said."""
        known = self._standing.get(Scope(region, edge))
        return None if known is None else known[2]

    def newest(self, most: int) -> dict[str, int]:
        """Scope, as it is named among all, -> Unix ms of its order; of so many, the newest."""
        known = ((at_ms, scope.key) for scope, (at_ms, _, _) in self._standing.items())
        return {key: at_ms for at_ms, key in nlargest(most, known)}

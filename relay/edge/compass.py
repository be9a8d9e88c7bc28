"""Where clients are sent: the same decision as GeoDNS makes, from what edges say of themselves.

Every edge hears from every other one how full it is, and reads what operators want. So it needs
nobody to decide for it, and goes on deciding when nobody else is there.
"""

from collections.abc import Sequence
from typing import NamedTuple

from relay.config import RegionConfig
from relay.core.orders import FULL_WEIGHT, Orders
from relay.core.steering import Candidate, Place, State, Verdict, choose, shares
from relay.edge.peers import Peers, spread
from relay.edge.returns import SILENT
from relay.geo.atlas import Origin

# Who hears nobody takes the others for silent: they may be there, and this region serves nobody.
CUT = Verdict(State.DOWN, "its NATS does not answer", admits=False)


class Course(NamedTuple):
    """A region to go to."""

    name: str
    url: str
    distance_ms: float | None  # of a round trip: measured, else by the distance; None: not known


class Compass:
    """Ranks the regions for client networks.

    Args:
        peers: the edges that were heard, this one among them.
        orders: what operators want.
        regions: all of them.
    """

    def __init__(self, peers: Peers, orders: Orders, regions: Sequence[RegionConfig]) -> None:
        self._peers = peers
        self._orders = orders
        self._regions = {region.name: region for region in regions}

    def candidates(self, now_s: float, now_ms: int) -> list[Candidate]:
        """The regions as they are; one that comes back counts when that has lasted.

        Args:
            now_s: monotonic.
            now_ms: Unix ms.
        """
        return [self._candidate(region, now_s, now_ms) for region in self._regions.values()]

    def _candidate(self, region: RegionConfig, now_s: float, now_ms: int) -> Candidate:
        ready = self._peers.ready(region.name, now_s)
        order = self._orders.of(region.name)
        weight = region.weight if order is None or order.weight is None else order.weight
        rooms = [beat.room for beat in ready]
        wanted = None if order is None else order.ramp
        returns = self._peers.returns
        early = bool(region.urls) and self._peers.early(now_s)
        verdict = returns.verdict(region.name) if ready or early else SILENT
        return Candidate(
            name=region.name,
            place=Place(region.lat, region.lon),
            verdict=CUT if self._peers.is_cut(region.name) else verdict,
            ramp=returns.ramp(region.name, wanted, now_s, now_ms),
            connections=sum(beat.connections for beat in ready),
            room=sum(rooms) if all(rooms) else 0,  # an older edge does not say
            weight=min(weight, FULL_WEIGHT),
            cordoned=order.reason if order is not None and order.cordoned else "",
        )

    def rank(self, origin: Origin, now_s: float, now_ms: int) -> list[Course]:
        """The regions for a client network, best first, each with an address.

        Args:
            origin: the network, and where it is.
            now_s: monotonic.
            now_ms: Unix ms.
        """
        given = shares(self.candidates(now_s, now_ms), origin.whence)
        network = str(origin.network)
        distances = {share.region: share.distance_ms for share in given}
        courses = []
        for name in choose(given, network.encode()):
            urls = [beat.url for beat in self._peers.ready(name, now_s)]
            urls = urls or self._regions[name].urls
            if urls:
                courses.append(Course(name, spread(urls, network), distances[name]))
        return courses

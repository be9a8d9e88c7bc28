"""A whole fleet as steering sees it: what was heard, judged, and put together by region. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from regions.steering.health import (
    NO_FLIGHTS,
    EdgeKey,
    Flights,
    Observer,
    Steady,
    judge_edge,
    judge_region,
    with_canaries,
)
from regions.steering.what_if import WhatIf, if_left
from regions.topology import Topology
from relay.core.orders import Orders
from relay.core.steering import Candidate, Place, Verdict

RECONNECT_S = 10.0  # in which clients whose region died have come elsewhere


@dataclass(frozen=True, slots=True)
class Outlook:
    """A fleet at one moment."""

    edges: Mapping[EdgeKey, Verdict]
    connections: Mapping[EdgeKey, int]  # as each edge said last
    regions: Sequence[Candidate]
    edge_admits_per_s: float  # connections that one edge lets in
    flights: Flights = NO_FLIGHTS

    def region(self, name: str) -> Candidate:
        """The region called so.

        Raises:
            KeyError: there is none.
        """
        for each in self.regions:
            if each.name == name:
                return each
        raise KeyError(name)

    def if_died(self, region: str) -> WhatIf:
        """What would happen if a region died now.

        Raises:
            KeyError: there is none.
        """
        return self.if_left(region, self.region(region).connections, RECONNECT_S)

    def if_left(self, region: str, connections: int, within_s: float) -> WhatIf:
        """What would happen if so many clients left a region within so long, and it took none.

        Raises:
            KeyError: there is no such region.
        """
        self.region(region)
        admitting = {each.name: 0 for each in self.regions}
        for key, verdict in self.edges.items():
            admitting[key.region] += verdict.admits
        return if_left(
            self.regions,
            region,
            connections,
            within_s=within_s,
            admitted_per_s=self.edge_admits_per_s,
            edges=admitting,
        )


class Fleet:
    """Judges a fleet again and again, and holds to what was judged.

    Args:
        topology: its regions and edges.
        steady: holds verdicts; None: each moment is judged for itself.
    """

    def __init__(self, topology: Topology, steady: Steady | None = None) -> None:
        self.topology = topology
        self._steady = steady
        self._known: set[EdgeKey] = set()

    def look(
        self,
        observers: Sequence[Observer],
        connections: Mapping[EdgeKey, int],
        now_s: float,
        orders: Orders,
        now_ms: int,
        flights: Flights = NO_FLIGHTS,
    ) -> Outlook:
        """How it stands now.

        Args:
            observers: all of them.
            connections: of each edge that was ever heard, as it said last.
            now_s: the time, monotonic.
            orders: what operators want.
            now_ms: the time, Unix ms.
            flights: what canaries saw.
        """
        names = set(self.topology.names)
        keys = {
            EdgeKey(region.name, edge.name)
            for region in self.topology.regions
            for edge in region.edges
        }
        keys |= {key for key in connections if key.region in names}
        edges = {key: self._judge(key, observers, now_s) for key in sorted(keys)}
        if self._steady is not None:
            self._steady.forget(self._known - keys)
            self._known = keys
        regions = [
            self._ordered(
                self._candidate(name, edges, connections, flights.wrong(name, now_s)),
                orders,
                now_ms,
            )
            for name in self.topology.names
        ]
        rate = self.topology.limits.connections_per_s
        return Outlook(edges, connections, regions, rate, flights)

    def _judge(self, key: EdgeKey, observers: Sequence[Observer], now_s: float) -> Verdict:
        verdict = judge_edge(key, observers, now_s)
        return verdict if self._steady is None else self._steady.take(key, verdict, now_s)

    def _ordered(self, candidate: Candidate, orders: Orders, now_ms: int) -> Candidate:
        order = orders.of(candidate.name)
        if order is None:
            return candidate
        return replace(
            candidate,
            weight=candidate.weight if order.weight is None else order.weight,
            cordoned=order.reason if order.cordoned else "",
            ramp=order.share(now_ms),
        )

    def _candidate(
        self,
        name: str,
        edges: Mapping[EdgeKey, Verdict],
        connections: Mapping[EdgeKey, int],
        wrong: str,
    ) -> Candidate:
        region, mine = self.topology.region(name), {k: v for k, v in edges.items() if k[0] == name}
        admitting = [key for key, verdict in mine.items() if verdict.admits]
        return Candidate(
            name=name,
            place=Place(region.lat, region.lon),
            verdict=with_canaries(judge_region(mine), wrong),
            connections=sum(connections.get(key, 0) for key in admitting),
            room=len(admitting) * self.topology.limits.connections,
            weight=region.weight,
        )

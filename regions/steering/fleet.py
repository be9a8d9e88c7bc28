"""A whole fleet as steering sees it: what was heard, judged, and put together by region. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from regions.steering.health import (
    NO_FLIGHTS,
    EdgeKey,
    Flights,
    Load,
    Observer,
    judge_edge,
    judge_region,
    with_canaries,
)
from regions.steering.what_if import GONE, RECONNECT_S, WhatIf, if_left
from regions.topology import Topology
from relay.core.orders import Orders
from relay.core.steady import Comebacks, Steady
from relay.core.steering import Candidate, Place, Verdict

BLAMED_S = 10.0  # for which what arrives again has to go on to, before it is believed


@dataclass(frozen=True, slots=True)
class Outlook:
    """A fleet at one moment."""

    edges: Mapping[EdgeKey, Verdict]
    loads: Mapping[EdgeKey, Load]  # of the edges that are heard now
    regions: Sequence[Candidate]
    edge_admits_per_s: float  # connections that one edge lets in
    edge_room: int  # that one edge can hold, as long as it does not say otherwise
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
        self.region(region)
        return self.if_left(region, self.in_region(region), RECONNECT_S)

    def at_edge(self, key: EdgeKey) -> int | None:
        """Connections of an edge; None: it is not heard."""
        load = self.loads.get(key)
        return None if load is None else load.connections

    def in_region(self, region: str) -> int:
        """Connections of the edges of a region that are heard, whether they admit or not."""
        return sum(load.connections for key, load in self.loads.items() if key.region == region)

    def room(self, key: EdgeKey) -> int:
        """Connections that an edge can hold: by its own word, else by the topology."""
        load = self.loads.get(key)
        return self.edge_room if load is None else load.holds(self.edge_room)

    def if_left(self, region: str, connections: int, within_s: float, closed: str = "") -> WhatIf:
        """What would happen if so many clients left a region within so long, and it took none.

        Args:
            region: it.
            connections: that leave.
            within_s: seconds.
            closed: another region that takes none either; empty: none.

        Raises:
            KeyError: there is no such region.
        """
        self.region(region)
        admitting = {each.name: 0 for each in self.regions}
        for key, verdict in self.edges.items():
            admitting[key.region] += verdict.admits
        return if_left(
            [replace(each, verdict=GONE) if each.name == closed else each for each in self.regions],
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

    def __init__(self, topology: Topology, steady: Steady[EdgeKey] | None = None) -> None:
        self.topology = topology
        self._steady = steady
        self._comebacks = Comebacks()
        self._blamed: dict[str, tuple[float, str]] = {}  # region -> when canaries did, and why
        self._known: set[EdgeKey] = set()

    def look(
        self,
        observers: Sequence[Observer],
        loads: Mapping[EdgeKey, Load],
        now_s: float,
        orders: Orders,
        now_ms: int,
        flights: Flights = NO_FLIGHTS,
    ) -> Outlook:
        """How it stands now.

        Args:
            observers: all of them.
            loads: of the edges that are heard now.
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
        heard = {key for each in observers for key in each.heard}
        keys |= {key for key in heard | loads.keys() if key.region in names}
        edges = {key: self._judge(key, observers, now_s) for key in sorted(keys)}
        if self._steady is not None:
            self._steady.forget(self._known - keys)
            self._known = keys
        found = [
            self._candidate(name, edges, loads, self._wrong(name, flights, now_s))
            for name in self.topology.names
        ]
        if self._steady is not None:
            self._comebacks.look({each.name: each.verdict.admits for each in found}, now_s)
        regions = [self._ordered(each, orders, now_s, now_ms) for each in found]
        limits = self.topology.limits
        return Outlook(edges, loads, regions, limits.connections_per_s, limits.connections, flights)

    def _wrong(self, name: str, flights: Flights, now_s: float) -> str:
        """What a region is to blame for by canaries; what arrives again has to go on to."""
        wrong = flights.wrong(name, now_s)
        if self._steady is None:
            return wrong
        if wrong:
            self._blamed[name] = (now_s, wrong)
            return wrong
        at_s, before = self._blamed.get(name, (float("-inf"), ""))
        left_s = BLAMED_S - (now_s - at_s)
        return f"{before}; now it does, believed in {left_s:.0f} s" if left_s > 0 else ""

    def _judge(self, key: EdgeKey, observers: Sequence[Observer], now_s: float) -> Verdict:
        verdict = judge_edge(key, observers, now_s)
        return verdict if self._steady is None else self._steady.take(key, verdict, now_s)

    def _ordered(
        self, candidate: Candidate, orders: Orders, now_s: float, now_ms: int
    ) -> Candidate:
        order = orders.of(candidate.name)
        wanted = None if order is None else order.ramp
        ramp = self._comebacks.ramp(candidate.name, wanted, now_s, now_ms)
        if order is None:
            return replace(candidate, ramp=ramp)
        return replace(
            candidate,
            weight=candidate.weight if order.weight is None else order.weight,
            cordoned=order.reason if order.cordoned else "",
            ramp=ramp,
        )

    def _candidate(
        self,
        name: str,
        edges: Mapping[EdgeKey, Verdict],
        loads: Mapping[EdgeKey, Load],
        wrong: str,
    ) -> Candidate:
        region, mine = self.topology.region(name), {k: v for k, v in edges.items() if k[0] == name}
        admitting = [key for key, verdict in mine.items() if verdict.admits]
        most = self.topology.limits.connections
        return Candidate(
            name=name,
            place=Place(region.lat, region.lon),
            verdict=with_canaries(judge_region(mine), wrong),
            connections=sum(loads[key].connections for key in admitting if key in loads),
            room=sum(loads.get(key, Load(0)).holds(most) for key in admitting),
            weight=region.weight,
        )

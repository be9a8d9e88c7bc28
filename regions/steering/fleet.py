"""A whole fleet as steering sees it: what was heard, judged, and put together by region. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from regions.steering.decide import Candidate, Place
from regions.steering.health import (
    EdgeKey,
    Observer,
    Steady,
    Verdict,
    judge_edge,
    judge_region,
)
from regions.steering.what_if import WhatIf, if_died
from regions.topology import Topology

RECONNECT_S = 10.0  # in which clients whose region died have come elsewhere


class Figures(NamedTuple):
    """What an edge said of itself last."""

    at_s: float  # monotonic, when it was heard
    connections: int
    url: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """A fleet at one moment."""

    edges: Mapping[EdgeKey, Verdict]
    figures: Mapping[EdgeKey, Figures]
    regions: Sequence[Candidate]
    edge_room: int  # connections that one edge holds
    edge_admits_per_s: float  # and lets in

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
        admitting = {each.name: 0 for each in self.regions}
        for key, verdict in self.edges.items():
            admitting[key.region] += verdict.admits
        return if_died(
            self.regions,
            region,
            within_s=RECONNECT_S,
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
        self, observers: Sequence[Observer], figures: Mapping[EdgeKey, Figures], now_s: float
    ) -> Outlook:
        """How it stands now.

        Args:
            observers: all of them.
            figures: the newest of each edge that was ever heard.
            now_s: the time, monotonic.
        """
        names = set(self.topology.names)
        keys = {
            EdgeKey(region.name, edge.name)
            for region in self.topology.regions
            for edge in region.edges
        }
        keys |= {key for key in figures if key.region in names}
        edges = {key: self._judge(key, observers, now_s) for key in sorted(keys)}
        if self._steady is not None:
            self._steady.forget(self._known - keys)
            self._known = keys
        regions = [self._candidate(name, edges, figures) for name in self.topology.names]
        limits = self.topology.limits
        return Outlook(edges, figures, regions, limits.connections, limits.connections_per_s)

    def _judge(self, key: EdgeKey, observers: Sequence[Observer], now_s: float) -> Verdict:
        verdict = judge_edge(key, observers, now_s)
        return verdict if self._steady is None else self._steady.take(key, verdict, now_s)

    def _candidate(
        self, name: str, edges: Mapping[EdgeKey, Verdict], figures: Mapping[EdgeKey, Figures]
    ) -> Candidate:
        region, mine = self.topology.region(name), {k: v for k, v in edges.items() if k[0] == name}
        admitting = [key for key, verdict in mine.items() if verdict.admits]
        return Candidate(
            name=name,
            place=Place(region.lat, region.lon),
            verdict=judge_region(mine),
            connections=sum(figures[key].connections for key in admitting if key in figures),
            room=len(admitting) * self.topology.limits.connections,
            weight=region.weight,
        )

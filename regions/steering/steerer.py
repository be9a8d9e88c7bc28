"""Steering that goes on: looks at the fleet all the time, and says where each network belongs."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from regions.doors import Door
from regions.steering.canary import Canaries
from regions.steering.fleet import Fleet, Outlook
from regions.steering.health import NO_FLIGHTS, Deafness, EdgeKey, Observer, Try
from regions.steering.observing import Posts
from regions.steering.trying import TryDoor, nothing, try_doors
from regions.topology import Topology
from relay.core.steady import Steady
from relay.core.steering import Candidate, Place, Share, choose, shares
from relay.geo.atlas import Atlas, Network
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.steering")

LOOK_S = 0.5
HEAR_S = 2.5  # every edge says how it is once a second
TRY_S = 5.0
NETWORKS = 100_000  # whose order is remembered, while nothing changes
PLACES = 10_000  # likewise, of which the shares are
PARTS = 50  # of a region's room: by less than one of them, no share changes


class Steerer:
    """Says where each client network belongs, as the fleet stands.

    Args:
        topology: the fleet.
        doors: its regions' NATS, to listen at.
        atlas: says where networks are.
        urls: the edges whose doors are tried.
        try_door: goes through one; None: none is tried.
        canaries: hear in all regions what is said at the tries; who made them closes them.
        keeper: the region of the keeper that this is part of; empty: of none.
    """

    def __init__(
        self,
        topology: Topology,
        doors: Sequence[Door],
        atlas: Atlas,
        urls: Mapping[EdgeKey, str],
        try_door: TryDoor | None = None,
        canaries: Canaries | None = None,
        keeper: str = "",
    ) -> None:
        self._keeper = keeper
        self._posts = Posts(doors)
        self._fleet = Fleet(topology, Steady())
        self._atlas = atlas
        self._urls = urls
        self._try_door = try_door
        self._canaries = canaries
        self.tries: dict[EdgeKey, Try] = {}  # the newest of each door
        self._tasks = Tasks("steering")
        self._regions: tuple[Candidate, ...] = ()
        self._orders: OrderedDict[Network, tuple[str, ...]] = OrderedDict()
        self._shares: dict[Place | None, list[Share]] = {}
        self._loads: dict[str, tuple[int, int]] = {}  # region -> load that counts, of which room
        self.outlook: Outlook | None = None
        self.changes = 0  # of what is answered
        self._looked_s = time.monotonic()
        self._deafness = Deafness()

    async def __aenter__(self) -> "Steerer":
        await self._posts.__aenter__()
        await self._posts.heard(self._urls, HEAR_S)
        self._look()
        self._tasks.keep(self._watch, "watch")
        if self._try_door is not None:
            self._tasks.keep(self._try_all, "try")
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._tasks.close()
        await self._posts.__aexit__()

    def take(self, topology: Topology) -> None:
        """Go on with another topology: weights, places and limits count at once."""
        self._fleet.topology = topology
        self._look()

    @property
    def regions(self) -> tuple[Candidate, ...]:
        """The regions as the answers go by them: without what changes all the time."""
        return self._regions

    @property
    def hearing(self) -> dict[str, bool]:
        """Whether each region's NATS is listened to."""
        return {each.region: each.connected for each in self._posts.posts}

    @property
    def age_s(self) -> float:
        """Since the fleet was last looked at; it is not while nothing is heard anywhere."""
        return time.monotonic() - self._looked_s

    def order(self, network: Network) -> tuple[str, ...]:
        """The regions for a client network, best first."""
        known = self._orders.get(network)
        if known is not None:
            return known
        order = tuple(choose(self._given(network), str(network).encode()))
        self._orders[network] = order
        if len(self._orders) > NETWORKS:
            self._orders.popitem(last=False)
        return order

    def _given(self, network: Network) -> list[Share]:
        """The shares of the place where a network is."""
        whence = self._atlas.find(network.network_address).whence
        given = self._shares.get(whence.place)
        if given is None:
            given = self._shares[whence.place] = shares(self._regions, whence)
            if len(self._shares) > PLACES:
                self._shares.pop(next(iter(self._shares)))
        return given

    def _forget(self) -> None:
        """Something has changed that orders go by."""
        self._orders.clear()
        self._shares.clear()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._look()
            if await self._atlas.refresh():
                self._forget()

    def _look(self) -> None:
        now_s = time.monotonic()
        # What fails from here may be the way from here: keepers try the same doors.
        keepers = self._posts.keepers.observers(self._posts.newest, self._keeper)
        here = Observer("here", connected=False, tries=self.tries)
        observers = [*self._posts.observers, here, *keepers]
        if self._deafness.look(observers, now_s) and self.outlook is not None:
            return  # what was known goes on to count
        self._looked_s = now_s
        flights = NO_FLIGHTS if self._canaries is None else self._canaries.flights
        self.outlook = self._fleet.look(
            observers,
            self._posts.loads,
            now_s,
            self._posts.orders,
            int(time.time() * 1000),
            flights,
        )
        regions = tuple(self._rough(each) for each in self.outlook.regions)
        if regions != self._regions:
            states = {each.name: each.verdict.state for each in self._regions}
            for each in self.outlook.regions:
                if states.get(each.name, each.verdict.state) != each.verdict.state:
                    _log.warning("%s is %s: %s", each.name, each.verdict.state,
                                 each.verdict.reason)  # fmt: skip
            self._regions = regions
            self._forget()
            self.changes += 1

    async def _try_all(self) -> None:
        assert self._try_door is not None
        while True:
            began_s = time.monotonic()
            note = nothing if self._canaries is None else self._canaries.note
            self.tries = await try_doors(self._try_door, self._urls, note, self.tries)
            if self._canaries is not None:
                self._canaries.take(self.tries)
            await asyncio.sleep(max(TRY_S - (time.monotonic() - began_s), 0.1))

    def _rough(self, candidate: Candidate) -> Candidate:
        """Without what changes all the time: its load counts anew when it has moved by a part."""
        part = max(candidate.room // PARTS, 1)
        used = self._loads.get(candidate.name)
        if (
            used is None
            or used[1] != candidate.room
            or abs(used[0] - candidate.connections) >= part
        ):
            used = self._loads[candidate.name] = candidate.connections, candidate.room
        verdict = replace(candidate.verdict, reason="")
        ramp = int(candidate.ramp * PARTS) / PARTS
        return replace(candidate, connections=used[0], verdict=verdict, ramp=ramp)

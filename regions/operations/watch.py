"""What an operator sees of a fleet while he plans and follows."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from regions.operations.plan import Sight
from regions.steering.fleet import Fleet, Outlook
from regions.steering.health import ALIVE_S, EdgeKey
from regions.steering.observing import Posts
from regions.topology import Topology
from relay.core.orders import Orders
from relay.core.telemetry import ENDED, EdgeFrame


class Seen(NamedTuple):
    """What an edge said last."""

    frame: EdgeFrame
    age_s: float

    @property
    def alive(self) -> bool:
        """Whether it is there now."""
        return self.age_s <= ALIVE_S and self.frame.state != ENDED


class Watch:
    """Sees a fleet through listening posts.

    Args:
        topology: the fleet.
        posts: one in each region.
    """

    def __init__(self, topology: Topology, posts: Posts) -> None:
        self.topology = topology
        self._posts = posts
        self._fleet = Fleet(topology)  # each moment is judged for itself

    def seen(self) -> Mapping[EdgeKey, Seen]:
        """What every edge that was ever heard said last."""
        now_s = time.monotonic()
        return {key: Seen(frame, now_s - at_s) for key, (at_s, frame) in self._posts.newest.items()}

    def outlook(self, orders: Orders, now_ms: int) -> Outlook:
        """How the fleet stands, with these orders, at a time by the regions' clock, Unix ms."""
        newest = self._posts.newest
        return self._fleet.look(
            # Doors as keepers have tried them: who plans does not send clients to a closed one.
            [*self._posts.observers, *self._posts.keepers.observers(newest)],
            self._posts.loads,
            time.monotonic(),
            orders,
            now_ms,
        )

    def sight(self, orders: Orders, reached: int, now_ms: int) -> Sight:
        """What a plan is made from.

        Args:
            orders: those that stand.
            reached: regions whose NATS answers.
            now_ms: by the regions' clock, Unix ms: an operator's own may differ by minutes.
        """
        seen, outlook = self.seen(), self.outlook(orders, now_ms)
        unknown = [key for key in outlook.edges if key not in seen or not seen[key].alive]
        return Sight(self.topology, outlook, orders, now_ms, reached, tuple(unknown))

"""The parts of an edge that count: sessions, different users, minutes, visits, and their log."""

from relay.bus.bus import Bus
from relay.bus.leases import Leases
from relay.bus.visit_log import VisitLog
from relay.config import EdgeConfig
from relay.core.headcount import Headcount
from relay.core.visits import VisitIds
from relay.edge.census import CensusTaker
from relay.edge.logbook import Logbook
from relay.edge.minutes import Minutes
from relay.edge.visits import Visits


class Counting:
    """What one edge counts.

    Args:
        config: of the edge.
        bus: its connections.
        leases: its leases.
        epoch: Unix ms of its start.
    """

    def __init__(self, config: EdgeConfig, bus: Bus, leases: Leases, epoch: int) -> None:
        region, edge = config.region, config.edge
        self.headcount = Headcount()
        self.logbook = Logbook(bus.inbox, bus.reader, self.headcount, region, edge, epoch)
        self.census = CensusTaker(bus.work, bus.inbox, leases, self.headcount, region, edge, epoch)
        self.minutes = Minutes(bus.inbox, bus.reader, region, edge)
        self.visits = Visits(
            bus.work,
            bus.inbox,
            VisitLog(bus.inbox, bus.reader, region, edge, epoch, config.limits.visit_timeout_s),
            self.logbook.away_s,
            VisitIds(bytes.fromhex(config.session_key)),
            region,
            edge,
            config.limits,
        )

    async def start(self) -> None:
        """Begin to log, and to answer."""
        self.logbook.start()
        await self.census.start()
        await self.visits.start()

    async def close(self) -> None:
        """Log the end, and stop."""
        for part in (self.logbook, self.visits, self.census):
            await part.close()

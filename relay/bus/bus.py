"""An edge's three connections to its region's NATS, and what is asked over them.

Live events have one of their own, so that nothing delays the ordered dispatch point; replay has
one of its own, since the server reads a batch inline in the connection's read loop; publishing,
leases and telemetry share the third.
"""

from relay.bus.connection import Connection, open_connection
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.config import NatsConfig

INBOX = "_INBOX_edge"


class Bus:
    """The connections of one edge."""

    def __init__(self, live: Connection, work: Connection, read: Connection, reads: int) -> None:
        self.live = live
        self.work = work
        self.inbox = Inbox(work)
        self._read = read
        self._read_inbox = Inbox(read)
        self.reader = Reader(self._read_inbox, reads)

    @classmethod
    async def open(cls, config: NatsConfig, name: str, reads: int) -> "Bus":
        """Connect, for ever: this returns when NATS answers.

        Args:
            config: servers and credentials of the region.
            name: the edge's, shown by the server's monitoring.
            reads: how many reads may run at once.
        """
        opened: list[Connection] = []
        try:
            for purpose in ("live", "work", "read"):
                one = await open_connection(config, f"{name}.{purpose}", INBOX)
                opened.append(one)
            live, work, read = opened
            bus = cls(live, work, read, reads)
            await bus.inbox.start()
            await bus._read_inbox.start()
        except BaseException:
            for connection in opened:
                await connection.close()
            raise
        return bus

    @property
    def connected(self) -> bool:
        """Whether all three connections are up."""
        return all(one.is_connected for one in (self.live, self.work, self._read))

    async def close(self) -> None:
        """Close the connections."""
        for connection in (self.live, self.work, self._read):
            await connection.close()

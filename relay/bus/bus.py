"""An edge's four connections to its region's NATS, and what is asked over them.

Live events have one of their own, so that nothing delays the ordered dispatch point. So have reads
for sessions, since the server reads a batch inline in the connection's read loop, and the edge's
own reads, so that no herd of sessions holds up its repairs. The rest shares the fourth.
"""

from collections.abc import Callable  # noqa: TC003 (an attribute names it)

from relay.bus.connection import Connection, open_connection
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.config import NatsConfig

INBOX = "_INBOX_edge"
OWN_READS = 32  # of the edge itself, at once


class Bus:
    """The connections of one edge."""

    def __init__(
        self,
        live: Connection,
        work: Connection,
        read: Connection,
        replay: Connection,
        reads: int,
    ) -> None:
        self.live = live
        self.work = work
        self.inbox = Inbox(work)
        self._connections = (live, work, read, replay)
        self.on_ended: Callable[[str], None] = lambda _why: None  # NATS will not have us any more
        for one in self._connections:
            one.on_ended = self._ended
        self._read_inbox, self._replay_inbox = Inbox(read), Inbox(replay)
        self.reader = Reader(self._read_inbox, OWN_READS)
        self.replays = Reader(self._replay_inbox, reads)

    @classmethod
    async def open(cls, config: NatsConfig, name: str, reads: int) -> "Bus":
        """Connect, for ever: this returns when NATS answers.

        Args:
            config: servers and credentials of the region.
            name: the edge's, shown by the server's monitoring.
            reads: how many reads for sessions may run at once.
        """
        opened: list[Connection] = []
        try:
            for purpose in ("live", "work", "read", "replay"):
                one = await open_connection(config, f"{name}.{purpose}", INBOX)
                opened.append(one)
            live, work, read, replay = opened
            bus = cls(live, work, read, replay, reads)
            for inbox in (bus.inbox, bus._read_inbox, bus._replay_inbox):
                await inbox.start()
        except BaseException:
            for connection in opened:
                await connection.close()
            raise
        return bus

    def _ended(self, why: str) -> None:
        self.on_ended(why)

    @property
    def connected(self) -> bool:
        """Whether all connections are up."""
        return all(one.is_connected for one in self._connections)

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            await connection.close()

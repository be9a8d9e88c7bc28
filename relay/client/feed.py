"""The events of a session: its cursor, its `s`, and what reaches the application of them."""

from relay.client.bodies import read
from relay.client.dedup import Dedup
from relay.client.effects import Emit
from relay.client.events import Gap, Message, Signal
from relay.client.stats import Stats
from relay.client.wire import Frame
from relay.core.codes import EventName


class Feed:
    """What was received, in wire order. Pure.

    Args:
        stats: where to count.
        dedup: what was seen.
    """

    def __init__(self, stats: Stats, dedup: Dedup) -> None:
        self.cursor: str | None = None
        self.seq: int | None = None  # the newest `s`, for heartbeats
        self._stats = stats
        self._dedup = dedup

    def advance(self, cursor: str | None) -> None:
        """The newest cursor on the wire counts, whatever frame it came on."""
        if cursor is not None:
            self.cursor = cursor

    def take(self, frame: Frame) -> list[Emit]:
        """A DISPATCH about data: what the application gets of it.

        Raises:
            Undecodable: its `d` is not what its `t` promises.
        """
        match frame.t:
            case EventName.MESSAGE:
                message = read(frame.d, Message)
                self.advance(frame.c)
                if self._dedup.is_repeat(message, replay=frame.c is None):
                    self._stats.duplicates += 1
                    return []
                self._stats.received += 1
                return [Emit(message)]
            case EventName.SIGNAL:
                self._stats.signals += 1
                return [Emit(read(frame.d, Signal))]
            case EventName.GAP:
                self._stats.gaps += 1
                gap = read(frame.d, Gap)
                self.advance(frame.c)
                return [Emit(gap)]
            case _:
                return []  # from a later version: ignored, as gateway clients do

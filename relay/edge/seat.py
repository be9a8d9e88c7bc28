"""A session's place in rooms: what the hub and the fan-out know of its connection."""

from collections.abc import Set
from typing import TYPE_CHECKING, Any

from relay.core.wire import Codec

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from relay.core.event import RoomKey
    from relay.core.join import Ahead
    from relay.core.presence import Scope


NOBODY: Set["Scope"] = frozenset()  # one for all who look at nobody


class Seat:
    """What the hub knows of one session's connection. The connection derives from it."""

    def __init__(self, codec: Codec[Any]) -> None:
        self.codec = codec
        self.tenant = ""
        self.ahead: Ahead | None = None
        self.frozen: str | None = None  # its cursor, while rooms that it is in are joined again
        self.seated: set[RoomKey] = set()
        # Regions from which it came, and what these may owe it: how many requests of its own ask.
        self.owing: frozenset[str] = frozenset()
        self.debts: Counter[str] | None = None
        self.looking: Set[Scope] = NOBODY  # at whom it looks, as the viewers know it
        # Writes ready frames and looks at nothing; None: `put` has something to look at.
        self.push: Callable[[bytes], None] | None = None

    def write(self, framed: bytes) -> None:
        """Write ready frames, behind all that is on its way to this seat."""
        raise NotImplementedError

    def put(self, framed: bytes) -> None:
        """Write ready frames at once: for the fan-out, which keeps the order."""
        raise NotImplementedError

    def fail(self) -> None:
        """Writing failed: end the connection, so that the client resumes."""
        raise NotImplementedError

    def write_signal(self, framed: bytes) -> bool:
        """Write a frame, unless the client reads too slowly. Whether it was written."""
        raise NotImplementedError

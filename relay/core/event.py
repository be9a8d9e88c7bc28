"""An event, as it is stored in its origin's stream and comes out in every region."""

from dataclasses import dataclass

RoomKey = tuple[str, str]  # (tenant, room)


@dataclass(frozen=True, slots=True)
class Event:
    """One stored event. `(origin, epoch, seq)` names it in every region, for ever."""

    origin: str
    epoch: int
    seq: int  # stream sequence at the origin; 0: ephemeral, never stored
    tenant: str
    room: str
    user: str | None  # None: published by a backend that named nobody
    id: str | None
    ts_ms: int  # Unix ms, stamped by the edge that accepted it
    data: bytes  # UTF-8 JSON
    previous: int = 0  # sequence of the room's event before this one in this copy of the stream
    stored_ms: int = 0  # Unix ms, stamped by the origin's stream

    @property
    def key(self) -> RoomKey:
        """The room it is in."""
        return (self.tenant, self.room)

"""What a token allows: room patterns with the acts they grant."""

from dataclasses import dataclass
from enum import StrEnum


class Act(StrEnum):
    """What may be granted on a room."""

    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    PRESENCE = "presence"
    HISTORY = "history"


def covers(pattern: str, name: str) -> bool:
    """Whether `name` matches; of another pattern, whether all does that matches it."""
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern


@dataclass(frozen=True, slots=True)
class RoomGrant:
    """Rooms that match, and what may be done there. `*` stands only at the end."""

    match: str
    can: frozenset[Act]
    auto: bool = False

    def covers(self, room: str) -> bool:
        """Whether `room` matches."""
        return covers(self.match, room)


@dataclass(frozen=True, slots=True)
class Grants:
    """Who the bearer is, what is granted, and until when."""

    tenant: str
    user: str
    expires_s: int  # Unix time
    rooms: tuple[RoomGrant, ...]
    watch: tuple[str, ...] = ()  # patterns of users

    def allows(self, act: Act, room: str) -> bool:
        """Whether some grant covers `room` with `act`."""
        return any(act in grant.can and grant.covers(room) for grant in self.rooms)

    def watches(self, user: str) -> bool:
        """Whether `user` may be watched."""
        return any(covers(match, user) for match in self.watch)

    @property
    def nothing(self) -> bool:
        """Whether nothing at all is granted."""
        return not any(grant.can for grant in self.rooms) and not self.watch

    @property
    def auto_rooms(self) -> tuple[str, ...]:
        """Rooms that are subscribed without being asked for."""
        return tuple(
            grant.match
            for grant in self.rooms
            if grant.auto and "*" not in grant.match and Act.SUBSCRIBE in grant.can
        )

"""Who makes client tokens for a world: its key, and what its edges ask of a token besides."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from relay.config import TokenKey
from relay.core.grants import RoomGrant
from relay.core.tokens import mint

LOCAL, DOOR = "local", "door"  # the kids of a world's own two keys
DOOR_ROOM, DOOR_USER = "jetrelay:door", "jetrelay-door"  # where doors are tried, and by whom


@dataclass(frozen=True, slots=True)
class Issuer:
    """Makes tokens that the edges of one world take, by this machine's clock.

    Args:
        key: an HS256 key that they know.
        audience: the `aud` claim, where they ask for one.
        tenant: the `tenant` claim, where they ask for one.
    """

    key: TokenKey
    audience: str | None = None
    tenant: str | None = None

    def token(
        self, user: str, rooms: Sequence[RoomGrant], ttl_s: int, watch: Sequence[str] = ()
    ) -> str:
        """A token from now on.

        Args:
            user: the `sub`.
            rooms: what is granted.
            ttl_s: lifetime in s.
            watch: patterns of users who may be watched.

        Raises:
            ConfigError: the key is not HS256, or `user` is no user name.
        """
        now_s = int(time.time())
        return mint(self.key, user, rooms, now_s, ttl_s, self.tenant, self.audience, watch)

"""How a client behaves, and the states it can be in."""

from dataclasses import dataclass
from enum import Enum

from relay.client.dedup import DEDUP_EVENTS
from relay.client.publishing import RETRY_S


class State(Enum):
    """Where a client is."""

    CONNECTING = "connecting"  # never was ready
    READY = "ready"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a client behaves; times are in seconds."""

    urls: tuple[str, ...]
    rooms: tuple[str, ...] = ()
    encoding: str = "json"
    token: str | None = None
    fresh_tokens: bool = False  # FetchToken can be answered more than once
    timeout_s: float = 30.0  # from the start to the first READY
    home_after_s: float = 60.0  # away from home: until the first try to return, times 0.5 to 1.5
    retry_s: float = RETRY_S  # how long a publish is tried
    dedup_events: int = DEDUP_EVENTS

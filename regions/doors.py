"""Ways into a fleet: a region, and how to reach its NATS."""

from dataclasses import dataclass

from relay.config import NatsConfig


@dataclass(frozen=True, slots=True)
class Door:
    """One way in. Any region's will do."""

    region: str
    nats: NatsConfig

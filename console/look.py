"""What a screen is to draw: the fleet at one time, and how the operator wants to see it."""

from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import Literal

from console.model import FleetView

Kind = Literal["region", "edge", "client", "room", "stream", "alert", "operation", "drill"]


class Mode(Enum):
    """Which time is drawn."""

    LIVE = "live"
    FROZEN = "frozen"  # a moment that was live, while data goes on
    PAST = "past"


@dataclass(frozen=True, slots=True)
class Subject:
    """What keys and commands are about: what the cursor stands on."""

    kind: Kind
    where: str  # its region; of an alert, what it is about
    name: str


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the fleet."""

    view: FleetView
    wall_ms: int  # the time that is drawn, Unix ms
    mode: Mode = Mode.LIVE
    region: str = ""  # the only one of which rows are shown; empty: all
    private: bool = False  # whether names of users, clients and rooms are hidden

    def wants(self, region: str) -> bool:
        """Whether rows of a region are shown."""
        return not self.region or self.region == region

    def name(self, text: str) -> str:
        """A name that a client chose, or who stands for it on a screen that others see: the same
        one for the same name.
        """
        if not self.private or not text:
            return text
        return f"·{blake2b(text.encode(), digest_size=4).hexdigest()}"

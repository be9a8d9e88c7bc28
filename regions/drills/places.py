"""What there is in a world to be broken, and which of it a seed chooses. Values only."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from regions.errors import DrillError


@dataclass(frozen=True, slots=True)
class Place:
    """A region's processes."""

    name: str
    edges: tuple[str, ...]
    servers: tuple[str, ...]

    @property
    def processes(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.edges, *self.servers)


@dataclass(frozen=True, slots=True)
class Places:
    """A world as plans see it.

    `why_not`: faults that can't be made, and why. `deployment`: its NATS serves others, too.
    """

    regions: tuple[Place, ...]
    why_not: Mapping[str, str] = field(default_factory=dict)
    deployment: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The regions."""
        return tuple(region.name for region in self.regions)

    @property
    def edges(self) -> tuple[str, ...]:
        """All edges."""
        return tuple(edge for region in self.regions for edge in region.edges)

    def region(self, name: str) -> Place:
        """The region called `name`."""
        return next(region for region in self.regions if region.name == name)

    def home_of(self, process: str) -> Place:
        """The region in which a process is."""
        return next(region for region in self.regions if process in region.processes)

    def can(self, *names: str) -> bool:
        """Whether all these faults can be made."""
        return not any(name in self.why_not for name in names)


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a drill strikes: all of it follows from the seed.

    `at` is the region that is hit, `other` one that is not, `edge` one of its edges.
    """

    places: Places
    at: Place
    other: Place | None
    dice: random.Random

    @property
    def edge(self) -> str:
        """An edge of the region.

        Raises:
            DrillError: it has none.
        """
        if not self.at.edges:
            raise DrillError(f"{self.at.name} has no edge")
        return self.dice.choice(self.at.edges)

    @property
    def partner(self) -> Place:
        """Another region.

        Raises:
            DrillError: there is none.
        """
        if self.other is None:
            raise DrillError("this needs two regions, the world has one")
        return self.other

    def shuffled(self, names: Sequence[str]) -> list[str]:
        """In an order of the seed's."""
        return self.dice.sample(list(names), len(names))


def choose(places: Places, seed: int, region: str | None = None) -> Choice:
    """Where a drill strikes.

    Args:
        places: the world.
        seed: of the choice.
        region: to hit this one.

    Raises:
        DrillError: there is no such region.
    """
    if region is not None and region not in places.names:
        raise DrillError(f"no region {region!r}; the world has {', '.join(places.names)}")
    dice = random.Random(f"drill/{seed}")  # noqa: S311 (choices that can be repeated)
    at = dice.choice(places.regions)
    if region is not None:
        at = places.region(region)
    others = [one for one in places.regions if one is not at]
    return Choice(places, at, dice.choice(others) if others else None, dice)

"""Drills as they were told: each with its stages, and how it went or goes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from regions.news import DrillNews, FoundNews

SILENT_MS = 180_000  # without a word: it may be gone, or hold a fault for very long
GOES, SILENT = "goes on", "silent"


@dataclass(frozen=True, slots=True)
class DrillView:
    """One run of a drill; at least one stage of it was told."""

    stages: tuple[DrillNews, ...]

    @property
    def first(self) -> DrillNews:
        """What was told first, of what is known."""
        return self.stages[0]

    @property
    def last(self) -> DrillNews:
        """What was told last: how it ended, where it has."""
        return self.stages[-1]

    @property
    def run(self) -> str:
        """What names it."""
        return self.first.run

    @property
    def drill(self) -> str:
        """The drill's name."""
        return self.first.drill

    @property
    def began_ms(self) -> int:
        """Unix ms."""
        return int(self.first.at_ms - self.first.at_s * 1000)

    @property
    def ended(self) -> bool:
        """Whether it was told how it ended."""
        return bool(self.last.word)

    @property
    def found(self) -> FoundNews | None:
        """What it found; None: it was not judged, or not yet."""
        return self.last.found

    def state(self, wall_ms: int) -> str:
        """Its verdict in a word; `goes on`; or `silent`."""
        if self.ended:
            return self.last.word
        return SILENT if wall_ms - self.last.at_ms > SILENT_MS else GOES

    def lasted_ms(self, wall_ms: int) -> int:
        """How long it lasted, as far as was told, or lasts already."""
        goes = self.state(wall_ms) == GOES
        return max(0, (wall_ms if goes else self.last.at_ms) - self.began_ms)

    def worst_s(self, stage: str) -> float | None:
        """The longest that stages of a name took; None: there was none."""
        took = [each.took_s for each in self.stages if each.stage == stage and each.took_s]
        return max(took, default=None)


def drills_of(told: Mapping[str, tuple[DrillNews, ...]]) -> list[DrillView]:
    """All runs that are known, the newest first."""
    return sorted(map(DrillView, told.values()), key=lambda each: (-each.began_ms, each.run))


def going(drills: Iterable[DrillView], wall_ms: int) -> DrillView | None:
    """The newest that goes on."""
    return next((each for each in drills if each.state(wall_ms) == GOES), None)

"""Which time is drawn: the one that is heard now, a moment of it that was held, or the past."""

from dataclasses import dataclass

from console.clock import Clock
from console.feed import FeedEvent, apply
from console.look import Look, Mode
from console.model import Fleet, FleetView, observe
from console.model.observe import DEFAULT_AGES
from console.past.player import Place, Player

SAME_MS = 50  # within which what was seen needs no second look, unless something was heard
LATELY_MS = 600  # within which it is good enough for what a key changes; above a repaint's interval


@dataclass(frozen=True, slots=True)
class Held:
    """A moment that was held."""

    view: FleetView
    wall_ms: int
    since_ms: int  # steady clock


class Scene:
    """The fleet as heard, and which time of it is drawn.

    Args:
        fleet: what is known before anything was heard.
        clock: for ages, and for the time.
    """

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self.fleet = fleet
        self._clock = clock
        self._held: Held | None = None
        self.player: Player | None = None
        self.ages = DEFAULT_AGES  # of what is heard
        self.region = ""
        self.private = False
        self._seen: tuple[Fleet, FleetView | None] = (fleet, None)

    def steady_ms(self) -> int:
        """The clock by which things are heard."""
        return self._clock.steady_ms()

    def wall_ms(self) -> int:
        """The time now, Unix ms."""
        return self._clock.wall_ms()

    @property
    def mode(self) -> Mode:
        """Which time is drawn."""
        if self.player is not None:
            return Mode.PAST
        return Mode.LIVE if self._held is None else Mode.FROZEN

    @property
    def held_ms(self) -> int:
        """How long the picture is held already."""
        return 0 if self._held is None else self._clock.steady_ms() - self._held.since_ms

    @property
    def place(self) -> Place | None:
        """Where in the past it is."""
        return None if self.player is None else self.player.place

    def hear(self, event: FeedEvent) -> None:
        """Fold an event in."""
        self.fleet = apply(self.fleet, event, self._clock.steady_ms())

    def live(self, *, lately: bool = False) -> FleetView:
        """How the fleet looks now, or looked lately, whatever is drawn."""
        now_ms = self._clock.steady_ms()
        fleet, view = self._seen
        good_ms = LATELY_MS if lately else SAME_MS if fleet is self.fleet else 0
        if view is None or not 0 <= now_ms - view.now_ms < good_ms:
            view = observe(self.fleet, now_ms, self.ages)
            self._seen = (self.fleet, view)
        return view

    def look(self, *, lately: bool = False) -> Look:
        """What is to be drawn; `lately`: as it was last looked at, unless that is long ago."""
        if self.player is not None:
            view, wall_ms = self.player.view, self.player.at_ms
        elif self._held is not None:
            view, wall_ms = self._held.view, self._held.wall_ms
        else:
            view, wall_ms = self.live(lately=lately), self._clock.wall_ms()
        return Look(view, wall_ms, self.mode, self.region, self.private)

    def freeze(self) -> None:
        """Hold the picture, or let it go on."""
        if self._held is not None:
            self._held = None
        else:
            self._held = Held(self.live(), self._clock.wall_ms(), self._clock.steady_ms())

    def next_region(self) -> str:
        """Look at the next region only; after the last one at all. Which it is."""
        names = ["", *(region.name for region in self.look().view.regions)]
        at = names.index(self.region) if self.region in names else 0
        self.region = names[(at + 1) % len(names)]
        return self.region

"""Golden screens: a screen's text, compared with a file that is read in review.

`--update-screens` writes the files anew.
"""

from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path

import pytest
from textual.app import App

from console.app import ConsoleApp
from console.clock import Clock
from console.feed import FeedEvent, FrameHeard, LinkChanged
from console.model import LinkState
from tests.console.scenario import EDGES, START_MS, Arrival

SCREENS = Path(__file__).parent / "screens"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-screens", action="store_true", help="write golden screens anew")


class SilentFeed:
    """A feed that says nothing: tests fold their events themselves, at times of their own."""

    async def events(self) -> AsyncGenerator[FeedEvent, None]:
        nothing: tuple[FeedEvent, ...] = ()
        for event in nothing:
            yield event


class FrozenClock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now_ms = 0

    def clock(self) -> Clock:
        return Clock(lambda: self.now_ms, lambda: START_MS + self.now_ms)


class Stage:
    """A console with a frozen clock and a silent feed, played to by hand."""

    def __init__(self, known: dict[str, tuple[str, ...]] | None = None) -> None:
        self.time = FrozenClock()
        self.app = ConsoleApp(
            SilentFeed(),
            EDGES if known is None else known,
            world="local world",
            clock=self.time.clock(),
        )

    def connect(self) -> None:
        self.app.hear(LinkChanged(LinkState.CONNECTED, "us"))

    def play(self, arrivals: Iterable[Arrival]) -> None:
        for arrival in arrivals:
            self.time.now_ms = arrival.at_ms
            self.app.hear(FrameHeard(arrival.frame))

    def at(self, now_ms: int) -> None:
        """Draw the screen as it looks at `now_ms`."""
        self.time.now_ms = now_ms
        self.app.repaint()


def screen_text(app: App[None]) -> str:
    """The lines on the screen, without colours."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[ConsoleApp, str], None]:
    """`golden(app, name)`: the screen is as in `screens/<name>.txt`."""

    def check(app: ConsoleApp, name: str) -> None:
        path = SCREENS / f"{name}.txt"
        drawn = screen_text(app)
        if request.config.getoption("--update-screens"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(drawn, encoding="utf-8")
        assert path.exists(), f"no {path.name}: run pytest --update-screens and read what it wrote"
        assert drawn == path.read_text(encoding="utf-8")

    return check

"""Renders the console's pictures.

.venv/bin/python docs/pictures.py                    docs/console-trouble.svg, a fleet in trouble,
                                                     from the frames of the console's tests
.venv/bin/python docs/pictures.py --state .jetrelay  docs/console.svg and docs/console/*.svg, every
                                                     screen of a running world; give it load
                                                     (`jetrelay demo quakes`) and a drill
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cli.backing import backing_of  # noqa: E402  the tree is importable from here on
from cli.doors import find_fleet  # noqa: E402
from console.app import ConsoleApp  # noqa: E402
from console.live import LiveFeed  # noqa: E402
from console.svg import tidy  # noqa: E402
from regions.state import find_world  # noqa: E402
from tests.console.scenario import EDGES, troubled  # noqa: E402
from tests.console.stage import Stage, settle  # noqa: E402

LIVE = ROOT / "docs" / "console.svg"
TROUBLE = ROOT / "docs" / "console-trouble.svg"
TOUR = ROOT / "docs" / "console"
SIZE = (120, 22)  # the least with a card a region
SCREEN = (130, 36)
WARM_UP_S = 60  # of a running world: a full sparkline
ASKED_S = 4.0  # until edges have answered, and a plan is made

# What is pressed, one after the other, and what the screen is then kept as; empty: it is not.
STEPS: tuple[tuple[str, str], ...] = (
    ("1", "fleet"),
    ("2", "edges"),
    ("enter", "edge"),
    ("3", "clients"),
    ("enter", "client"),
    ("r", "trace"),
    ("4", "rooms"),
    ("enter", "room"),
    ("5", "streams"),
    ("enter", "stream"),
    ("6", "steering"),
    ("7", "drills"),
    ("8", "events"),
    ("1", ""),
    ("question_mark", "help"),
    ("escape", ""),
    ("W", ""),
    ("t i c k e t space 4 2 enter", ""),
    ("D", ""),
    ("3 0 enter", "act"),
    ("escape", ""),
    ("W", ""),
    ("T", "past"),
)


async def draw_scenario() -> str:
    """The made-up fleet of the tests, in trouble."""
    stage = Stage(EDGES)
    async with stage.app.run_test(size=SIZE) as pilot:
        stage.connect()
        stage.play(troubled(80))
        await settle(stage, pilot, 79_600)
        return stage.app.export_screenshot(title="jetrelay console")


async def draw_world(state: Path) -> list[Path]:
    """A running world: its first screen, and then all of them."""
    fleet = find_fleet(state, None, None, None)
    backing = backing_of(fleet, find_world(state), "ops@host", state)
    app = ConsoleApp(LiveFeed(fleet.doors), fleet.known, world="local", backing=backing)
    written = []
    async with app.run_test(size=SIZE) as pilot:
        await asyncio.sleep(WARM_UP_S)
        written.append(keep(app, LIVE))
        await pilot.resize_terminal(*SCREEN)
        for keys, name in STEPS:
            await pilot.press(*keys.split())
            await asyncio.sleep(ASKED_S)
            if name:
                app.clear_notifications()
                await pilot.pause()
                app.repaint()
                await pilot.pause()
                written.append(keep(app, TOUR / f"{name}.svg"))
    return written


def keep(app: ConsoleApp, path: Path) -> Path:
    """Write the screen to a file."""
    path.parent.mkdir(exist_ok=True)
    svg = app.export_screenshot(title="jetrelay console", simplify=True)
    path.write_text(tidy(svg), encoding="utf-8")
    return path


def tell(paths: Iterable[Path]) -> None:
    """Say what was written."""
    for path in paths:
        sys.stderr.write(f"{path.relative_to(ROOT)}\n")


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--state", type=Path, help="state directory of a running world")
    state: Path | None = parser.parse_args().state
    if state is not None:
        tell(asyncio.run(draw_world(state)))
        return
    TROUBLE.write_text(tidy(asyncio.run(draw_scenario())), encoding="utf-8")
    tell([TROUBLE])


if __name__ == "__main__":
    main()

"""Renders the console's two pictures.

.venv/bin/python docs/pictures.py                    docs/console-trouble.svg, a fleet in trouble,
                                                     from the frames of the console's tests
.venv/bin/python docs/pictures.py --state .jetrelay  docs/console.svg, a running world, watched for
                                                     a minute; give it load: `jetrelay demo quakes`
"""

import argparse
import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from console.app import ConsoleApp  # noqa: E402  the tree is importable from here on
from console.live import LiveFeed  # noqa: E402
from console.svg import tidy  # noqa: E402
from regions.state import find_world  # noqa: E402
from tests.console.scenario import EDGES, troubled  # noqa: E402
from tests.console.stage import Stage, settle  # noqa: E402

LIVE = ROOT / "docs" / "console.svg"
TROUBLE = ROOT / "docs" / "console-trouble.svg"
SIZE = (120, 22)  # the least with a card a region
WARM_UP_S = 60  # of a running world: a full sparkline


async def draw_scenario() -> str:
    """The made-up fleet of the tests, in trouble."""
    stage = Stage(EDGES)
    async with stage.app.run_test(size=SIZE) as pilot:
        stage.connect()
        stage.play(troubled(80))
        await settle(stage, pilot, 79_600)
        return stage.app.export_screenshot(title="jetrelay console")


async def draw_world(state: Path) -> str:
    """A running world."""
    world = find_world(state)
    known = {region.name: [edge.name for edge in region.edges] for region in world.regions}
    app = ConsoleApp(LiveFeed(world.doors("console")), known, world="local")
    async with app.run_test(size=SIZE) as pilot:
        await asyncio.sleep(WARM_UP_S)
        app.repaint()
        await pilot.pause()
        return app.export_screenshot(title="jetrelay console")


def main() -> None:
    """Write one of the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--state", type=Path, help="state directory of a running world")
    state: Path | None = parser.parse_args().state
    picture = TROUBLE if state is None else LIVE
    svg = asyncio.run(draw_scenario() if state is None else draw_world(state))
    picture.write_text(tidy(svg), encoding="utf-8")
    sys.stderr.write(f"{picture.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()

"""What a real world told while a region was cut off in a drill, as it was recorded: golden screens.

`recordings/isolated.jsonl.gz` was written by `jetrelay console record` beside `jetrelay drill run
region-isolate:20s --region ap`.
"""

from pathlib import Path

import pytest

from cli.backing import recording
from console.commands import parse
from console.figures import moment
from console.past.file import FilePast
from tests.console.conftest import Golden
from tests.console.stage import SIZES, Stage, settle, until

RECORDING = Path(__file__).parent / "recordings" / "isolated.jsonl.gz"
SCREENS = (
    ("1", "fleet"), ("2", "edges"), ("5", "streams"), ("6", "steering"), ("7", "drills"),
    ("8", "events"),
)  # fmt: skip
AT = "18:35:44"  # a moment in which the region is dark


@pytest.fixture
def past() -> FilePast:
    return FilePast(RECORDING)


@pytest.mark.parametrize("size", SIZES)
async def test_a_region_that_a_drill_had_cut_off(size: str, golden: Golden, past: FilePast) -> None:
    stage = Stage(past.header.known, backing=recording(past))
    async with stage.app.run_test(size=SIZES[size]) as pilot:
        await until(pilot, lambda: (p := stage.app.scene.place) is not None and not p.busy)
        stage.app.tell(*parse(f"go {AT}"))
        await until(
            pilot,
            lambda: (
                (place := stage.app.scene.place) is not None
                and not place.busy
                and AT in moment(place.at_ms)
            ),
        )
        for key, name in SCREENS:
            await pilot.press(key)
            await settle(stage, pilot, 0)
            golden(stage.app, f"recorded-{name}-{size}")

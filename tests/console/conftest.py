"""Golden screens: a screen's text, or its picture, compared with a file that is read in review.

`--update-screens` writes the files anew.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from console.app import ConsoleApp
from console.svg import screen_text, tidy

Golden = Callable[[ConsoleApp, str], None]
SCREENS = Path(__file__).parent / "screens"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-screens", action="store_true", help="write golden screens anew")


def _compare(request: pytest.FixtureRequest, path: Path, drawn: str) -> None:
    # Under a plain `pytest` this file is read after the options: then there is no such option.
    if request.config.getoption("--update-screens", default=False):
        path.parent.mkdir(exist_ok=True)
        path.write_text(drawn, encoding="utf-8")
    assert path.exists(), (
        f"no {path.name}: run `pytest tests/console --update-screens` and read what it wrote"
    )
    assert drawn == path.read_text(encoding="utf-8")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(app, name)`: the screen's words are as in `screens/<name>.txt`."""

    def check(app: ConsoleApp, name: str) -> None:
        _compare(request, SCREENS / f"{name}.txt", screen_text(app.screen))

    return check


@pytest.fixture
def golden_picture(request: pytest.FixtureRequest) -> Golden:
    """`golden_picture(app, name)`: the screen is as in `screens/<name>.svg`, with its colours."""

    def check(app: ConsoleApp, name: str) -> None:
        drawn = tidy(app.export_screenshot(title=name, simplify=True))
        _compare(request, SCREENS / f"{name}.svg", drawn)

    return check

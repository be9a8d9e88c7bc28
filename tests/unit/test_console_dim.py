"""What is older than 3 s is dimmed where it is drawn: every figure, in every row that has one."""

import re

import pytest

from console.model import EdgeView, FleetView, RegionView, observe
from console.panes.edge import _read_row
from console.panes.edges import wide_row
from console.signs import Tone
from console.views.cell import Cell
from console.views.edges import edge_row
from console.views.lag import lag_row
from console.views.regions import _region_row
from tests.unit.test_console_observe import heard_at

FIGURE = re.compile(r"[0-9]")
LIVE_MS, STALE_MS = 2_000, 6_000


def view_at(age_ms: int) -> FleetView:
    said = {"lag_ms": {"us": 12.0, "eu": 80.0}, "positions": {"us": 7, "eu": 9}}
    return observe(heard_at((0, said), (1_000, said)), 1_000 + age_ms)


def rows(view: FleetView) -> dict[str, list[Cell]]:
    """Rows of figures that frames tell; names, versions and ages are as they are."""
    (edge,), (region, *_) = view.edges, view.regions
    assert isinstance(edge, EdgeView)
    assert isinstance(region, RegionView)
    return {
        "edge": list(edge_row(edge)[3:-1]),
        "wide": list(wide_row(edge)[3:-2]),
        "read": list(_read_row(edge, "eu")[1:]),
        "region": list(_region_row(region, view.now_ms)[2:-1]),
        "lag": list(lag_row(view, "us", ["us", "eu"])[1:]),
    }


def figures_in(cells: list[Cell]) -> list[Cell]:
    return [each for each in cells if FIGURE.search(each.text)]


@pytest.mark.parametrize("name", ["edge", "wide", "read", "region", "lag"])
def test_figures_are_dimmed_when_they_are_old_and_not_before(name: str) -> None:
    live, stale = rows(view_at(LIVE_MS))[name], rows(view_at(STALE_MS))[name]
    assert len(figures_in(live)) == len(figures_in(stale)) > 0
    assert Tone.MUTED not in {each.tone for each in figures_in(live)}
    assert {each.tone for each in figures_in(stale)} == {Tone.MUTED}

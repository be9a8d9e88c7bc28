"""The dashboard, and where Grafana finds it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from regions.compose.grafana import DASHBOARDS_PATH, dashboard, provisioning
from tests.exposed import TARGET, exposed
from tests.promql import (
    grouped_in,
    matched_in,
    metrics_of,
    needs_promtool,
    promtool,
    shown_in,
)

BOARD: dict[str, Any] = json.loads(dashboard())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
ROWS = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]


def expressions() -> Iterator[tuple[str, str, str]]:
    """Title of the panel, expression, legend."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def test_the_dashboard_has_its_name_its_rows_and_its_variables() -> None:
    assert (BOARD["uid"], BOARD["schemaVersion"]) == ("jetrelay", 39)
    assert ROWS == [
        "Fleet", "Events", "Mirrors", "Resumes and losses", "Presence", "Edges", "DNS", "Steering",
        "Canaries",
    ]  # fmt: skip
    source, region = BOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == (
        "datasource", "datasource", "prometheus",
    )  # fmt: skip
    assert (region["name"], region["multi"]) == ("region", True)
    assert region["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["description"].endswith(".")
    assert panel["description"].count(". ") == 0, "one sentence"
    assert panel["options"]["legend"]["showLegend"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert all(target["legendFormat"] for target in panel["targets"])
    legends = [target["legendFormat"] for target in panel["targets"]]
    assert len(set(legends)) == len(legends), "series of two queries are told apart"


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert [panel["id"] for panel in BOARD["panels"]] == [*range(1, len(BOARD["panels"]) + 1)]
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells
        assert max(x for x, _ in cells) < 24, "as wide as Grafana's grid"
        taken |= cells


async def test_panels_are_about_metrics_and_labels_that_exist() -> None:
    known = exposed()
    for title, expr, legend in expressions():
        named = metrics_of(expr)
        assert named, title
        assert named <= known.keys(), title
        labels = TARGET.union(*(known[name] for name in named))
        for metric, label in matched_in(expr):
            assert label in known[metric] | TARGET, title
        assert grouped_in(expr) <= labels, title
        kept = re.match(r"\w+ by (\([^)]*\))", expr)
        assert kept is not None, f"{title}: bounded by the labels that are kept"
        assert shown_in(legend) == grouped_in(f"by {kept[1]}"), title


async def test_regions_are_chosen_from_a_metric_that_exists() -> None:
    query = BOARD["templating"]["list"][1]["query"]["query"]
    asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", query)
    assert asked is not None
    assert asked[2] in exposed()[asked[1]]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    files = {path: yaml.safe_load(text) for path, text in provisioning("http://p:9090").items()}
    [source] = files["datasources/prometheus.yaml"]["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == (
        "prometheus", "http://p:9090", True,
    )  # fmt: skip
    [provider] = files["dashboards/jetrelay.yaml"]["providers"]
    assert provider["options"]["path"] == DASHBOARDS_PATH == "/etc/jetrelay/grafana/dashboards"


@needs_promtool
def test_prometheus_takes_every_expression(tmp_path: Path) -> None:
    asked = [
        expr.replace("$__rate_interval", "20s").replace("$region", ".*")
        for _, expr, _ in expressions()
    ]
    rules = [{"record": f"panel:{place}", "expr": expr} for place, expr in enumerate(asked)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", str(file))

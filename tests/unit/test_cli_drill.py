"""`jetrelay drill run`: what is asked for, and mistakes that are said before anything is broken."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from cli.drill import _code_of, _named
from regions.drills import run
from regions.drills.catalogue import DRILLS, find_drill
from regions.drills.run import DrillRun, Order
from regions.drills.verdict import Verdict
from regions.errors import DrillError
from regions.faults.client import Faults


def test_a_drill_may_be_named_with_how_long_its_fault_lasts() -> None:
    pair = find_drill("pair-partition")
    assert _named(("pair-partition:2m", "pair-partition")) == [(pair, 120.0), (pair, None)]
    found = _named(("all", "pair-partition:30s"))
    assert found[-1] == (pair, 30.0)
    assert [drill for drill, _ in found[:-1]] == [
        drill for drill in DRILLS if drill.name != "campaign"
    ]
    with pytest.raises(click.BadParameter, match="'soon' is not a time"):
        _named(("pair-partition:soon",))
    with pytest.raises(DrillError, match="did you mean pair-partition"):
        _named(("pair-partitio:30s",))


@pytest.mark.parametrize(
    ("word", "code"),
    [("pass", 0), ("missed", 1), ("violated", 1), ("failed", 2), ("interrupted", 130)],
)
def test_every_verdict_has_its_exit_code(word: Any, code: int) -> None:
    verdict = Verdict(drill="herd", seed=1, verdict=word, why=[], started="2026-01-01", took_s=1.0)
    assert _code_of(verdict) == code


def drill_run(tmp_path: Path, **keys: Any) -> DrillRun:
    order = Order(find_drill("herd"), tmp_path / "state", tmp_path / "report")
    return DrillRun(replace(order, **keys), lambda _: None, lambda _: False)


async def test_a_report_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    report = tmp_path / "file" / "report"
    with pytest.raises(DrillError, match=f"{report}: Not a directory"):
        await drill_run(tmp_path, report=report).carry_out()


@pytest.mark.parametrize(
    ("keys", "option"),
    [({"topology": Path("w.toml")}, "--topology"), ({"links": "relay"}, "--links")],
)
async def test_what_is_for_a_world_of_its_own_is_not_ignored_where_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], option: str
) -> None:
    monkeypatch.setattr(run, "running", lambda _: object())
    with pytest.raises(DrillError, match=f"^{option} is for a world that the drill starts"):
        await drill_run(tmp_path, **keys).carry_out()


async def test_what_became_of_a_fault_is_said_as_far_as_it_is_known(tmp_path: Path) -> None:
    drill = drill_run(tmp_path)
    assert drill.aftermath == "nothing was broken"
    drill.broke = True
    assert drill.aftermath.startswith("the supervisor heals what was broken")
    faults = drill._faults = Faults(tmp_path)
    assert drill.aftermath == "what was broken is healed"
    faults.unhealed = "ended within a request"
    assert drill.aftermath.startswith("the supervisor heals what was broken")
    drill._unhealed.append("the wedge is not healed: no answer in time")
    assert drill.aftermath == "the wedge is not healed: no answer in time"

"""`jetrelay drill run`: what is asked for, and mistakes that are said before anything is broken."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from cli.drill import _ask, _code_of, _guarded, _named, command
from regions.drills import run
from regions.drills.catalogue import DRILLS, find_drill
from regions.drills.run import DrillRun, Order
from regions.drills.verdict import Verdict
from regions.errors import DrillError
from regions.faults.client import Faults
from relay.tasks import Tasks


def test_a_drill_may_be_named_with_how_long_its_fault_lasts() -> None:
    pair = find_drill("pair-partition")
    assert _named(("pair-partition:2m", "pair-partition"), None) == [(pair, 120.0), (pair, None)]
    assert _named(("pair-partition:2m", "mirror-wedge"), 7.0) == [
        (pair, 120.0),
        (find_drill("mirror-wedge"), 7.0),
    ]
    found = _named(("all", "pair-partition:30s"), None)
    assert found[-1] == (pair, 30.0)
    assert [drill for drill, _ in found[:-1]] == [
        drill for drill in DRILLS if drill.name != "campaign"
    ]
    with pytest.raises(click.BadParameter, match="'soon' is not a time"):
        _named(("pair-partition:soon",), None)
    with pytest.raises(DrillError, match="did you mean pair-partition"):
        _named(("pair-partitio:30s",), None)


@pytest.mark.parametrize(("names", "hold_s"), [(("herd",), 5.0), (("edge-kill:0",), None)])
def test_a_length_that_a_drill_has_no_use_for_is_not_ignored(
    names: tuple[str, ...], hold_s: float | None
) -> None:
    with pytest.raises(DrillError, match="follows from the fault"):
        _named(names, hold_s)
    lengths = {drill.name: lasts_s for drill, lasts_s in _named(("all",), 5.0)}
    assert (lengths["edge-kill"], lengths["edge-hang"]) == (None, 5.0)


def test_bad_calls_are_said_in_one_line_before_anything_is_started(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state")]
    runner = CliRunner()
    done = runner.invoke(command, ["run", "herd", "--rate", "nan", *state])
    assert done.exit_code == 2
    assert "'nan' is not a number" in done.output
    for names in (("herd", "herd"), ("all", "herd")):
        done = runner.invoke(command, ["run", *names, "--report", str(tmp_path / "r"), *state])
        assert isinstance(done.exception, DrillError)
        assert "named twice" in str(done.exception)
    (tmp_path / "r" / "ledger").mkdir(parents=True)
    (tmp_path / "r" / "ledger" / "0.jsonl").write_text("")
    done = runner.invoke(command, ["run", "herd", "--report", str(tmp_path / "r"), *state])
    assert "has a report already" in str(done.exception)
    assert not (tmp_path / "state").exists()


def test_ctrl_c_and_ctrl_d_are_a_no_to_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: Any, **__: Any) -> bool:
        raise click.Abort  # what click makes of both keys

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(click, "confirm", pressed)
    before = signal.getsignal(signal.SIGINT)
    assert _ask("herd") is False
    assert signal.getsignal(signal.SIGINT) is before


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


async def test_a_drill_ends_with_its_stdin_where_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drill, began = drill_run(tmp_path), asyncio.Event()

    async def carry_out() -> None:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(drill, "carry_out", carry_out)
    read, write = os.pipe()
    with os.fdopen(read) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        tasks = Tasks("test")
        task = tasks.spawn(_guarded(drill, until_eof=True), "drill")
        await began.wait()
        os.write(write, b"what is said there does not matter")
        os.close(write)
        await asyncio.wait([task])
        assert task.cancelled()
    with (tmp_path / "file").open("w") as file:
        monkeypatch.setattr("sys.stdin", file)
        with pytest.raises(DrillError, match="--until-eof: stdin is no pipe"):
            await _guarded(drill, until_eof=True)


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

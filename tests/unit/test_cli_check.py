"""`jetrelay check`: a table for people, JSON for scripts, and an exit code."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.check import command
from regions.errors import LedgerError
from regions.ledger.record import Delivered
from tests.unit.ledger_history import History


def check(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


@pytest.fixture
def history() -> History:
    """Two who talk."""
    history = History()
    history.join("ann", "tea")
    history.join("bob", "tea")
    for _ in range(3):
        history.say("bob", "tea")
    return history.end()


def test_a_clean_ledger_passes(history: History, tmp_path: Path) -> None:
    findings = history.check(tmp_path)
    done = check(str(tmp_path))
    assert done.exit_code == 0
    assert "FAIL" not in done.output
    assert done.output.endswith(f"passed  history {findings.history}\n")


def test_a_broken_promise_is_told_with_an_example(history: History, tmp_path: Path) -> None:
    report = tmp_path / "ledger"  # what a drill calls it
    report.mkdir()
    del history.records[history.find(Delivered, client="ann", number=2)]
    history.check(report)
    done = check(str(tmp_path))
    assert done.exit_code == 1
    assert "FAIL missing                 1  events that a client was owed" in done.output
    assert "missing: ann never got us/1/2 (tea, bob #2, id bob.tea.2): middle" in done.output
    assert "failed  history " in done.output


def test_json_has_it_all(history: History, tmp_path: Path) -> None:
    history.check(tmp_path)
    done = check(str(tmp_path), "--json")
    found = json.loads(done.stdout)
    assert found["passed"] is True
    assert (found["acked"], found["delivered"], found["missing"]) == (3, 6, 0)
    assert [gap["client"] for gap in found["gaps"]] == ["ann", "bob"]


def test_a_directory_without_a_ledger_is_said(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger"):
        CliRunner().invoke(command, [str(tmp_path)], catch_exceptions=False)

"""The simulation as a command: clean seeds, the same seed twice, a seed that breaks a promise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = 40  # of each of two tests that may run side by side; `make simulate` runs 100,000


def simulate(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """`python -m tests.simulation ARGUMENTS`, after `code`."""
    start = ["-m", "tests.simulation"]
    if code:
        run = "import runpy; runpy.run_module('tests.simulation', run_name='__main__')"
        start = ["-c", f"{code}; {run}"]
    return subprocess.run(
        [sys.executable, *start, *arguments, "--jobs", "1"],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )


def history(done: subprocess.CompletedProcess[str]) -> str:
    """The hash of all that clients were told."""
    assert done.returncode == 0, done.stderr
    return next(line for line in done.stdout.splitlines() if line.startswith("history "))


@pytest.mark.parametrize("first", [0, 1_000])
def test_seeds_are_clean_and_have_their_steps_and_faults(first: int) -> None:
    done = simulate("--first", str(first), "--seeds", str(SEEDS))
    assert done.returncode == 0, done.stderr
    assert f"{SEEDS} seeds, 0 failed" in done.stdout
    counts = done.stdout.split("steps (at least ")[1]
    assert int(counts.split(" a seed)")[0]) >= 200
    assert int(counts.split("faults (at least ")[1].split(")")[0]) >= 2


def test_the_same_seeds_have_the_same_history() -> None:
    first, again, other = (simulate("--first", at, "--seeds", "6") for at in ("7", "7", "8"))
    assert history(first) == history(again)
    assert history(first) != history(other)


def test_a_recorded_run_is_continued_and_says_what_all_of_it_showed(tmp_path: Path) -> None:
    file = tmp_path / "seeds.json"
    small = "from tests.simulation import record; record.PART = 2"
    begun = simulate("--seeds", "2", "--record", str(file), code=small)
    assert begun.returncode == 0, begun.stderr
    whole = simulate("--seeds", "4", "--record", str(file), code=small)
    assert "4 seeds, 0 failed" in whole.stdout
    again = simulate("--seeds", "4", "--record", str(file), code=small)
    assert again.stdout == whole.stdout, "nothing ran again"
    plain = simulate("--seeds", "4")
    tables = [done.stdout.split("faults:")[1] for done in (whole, plain)]
    assert tables[0] == tables[1]


def test_a_record_of_other_code_is_not_continued(tmp_path: Path) -> None:
    file = tmp_path / "seeds.json"
    small = "from tests.simulation import record; record.PART = 2"
    simulate("--seeds", "2", "--record", str(file), code=small)
    file.write_text(file.read_text().replace('"code": "', '"code": "0'))
    text = file.read_text()
    refused = simulate("--seeds", "4", "--record", str(file), code=small)
    assert refused.returncode == 2
    assert "the code is another" in refused.stderr
    assert file.read_text() == text
    file.write_text("[]")
    assert simulate("--seeds", "2", "--record", str(file), code=small).returncode == 2


def test_no_set_of_the_simulated_world_is_in_the_order_of_addresses() -> None:
    watch = "import atexit; from tests.simulation import unordered; unordered.watch()"
    tell = "atexit.register(lambda: print('unordered:', sorted(unordered.found)))"
    done = simulate("--first", "77", "--seeds", "2", code=f"{watch}; {tell}")
    assert done.returncode == 0, done.stderr
    assert "unordered: []" in done.stdout


def test_a_seed_that_breaks_a_promise_says_how_to_repeat_it() -> None:
    plant = "from tests.simulation.mutants import MUTANTS; MUTANTS[0].plant()"
    done = simulate("--seeds", "10", code=plant)
    assert done.returncode == 1
    assert "broke a promise" in done.stderr
    assert "repeat it: python -m tests.simulation --seed" in done.stderr
    assert "--trace" in done.stderr


def test_a_kind_of_fault_that_is_not_known_is_a_mistake_in_one_line() -> None:
    done = simulate("--faults", "earthquake")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "earthquake" in done.stderr

"""The simulation as a command: clean seeds, the same seed twice, a seed that breaks a promise."""

import os
import subprocess
import sys

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

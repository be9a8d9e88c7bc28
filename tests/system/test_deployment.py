"""Edges, and drills, over NATS servers that somebody else runs, with logins of their own there."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from regions.permissions import USERS, User
from regions.state import StateDir
from tests.system.test_drills import PROGRAM, SMALL, TOPOLOGY, drill, verdict_in
from tests.world import World


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Two regions of NATS, with the streams, and without edges."""
    topology = TOPOLOGY.replace("edges = 2", "edges = 0")
    world = World(tmp_path_factory.mktemp("theirs") / "state", topology)
    world.launch()
    try:
        yield world
        assert world.end() == 0
    finally:
        world.clean()


def options(theirs: World, directory: Path, *users: User) -> list[str]:
    """Of `jetrelay up`, where `edge` logs in for everyone but `users`."""
    passwords = StateDir(theirs.state_dir).secrets().nats
    found: list[str] = []
    for region in ("us", "eu"):
        found += ["--nats", f"{region}={theirs.regions[region].nats[0].url}"]
        for user in USERS:
            file = directory / f"{region}-{user}"
            file.write_text(f"{user}:{passwords[f'{region}/{user}']}\n")
            file.chmod(0o600)
        found += ["--creds", f"{region}={directory}/{region}-edge"]
        for user in users:
            found += ["--creds", f"{region}:{user}={directory}/{region}-{user}"]
    return found


async def test_a_drill_over_a_deployment_reads_with_the_logins_that_may(
    theirs: World, tmp_path: Path
) -> None:
    logins = options(theirs, tmp_path, "console", "control")
    async with World(tmp_path / "ours", TOPOLOGY, *logins) as ours:
        publish = ["publish", "--room", "lobby", "{}", "--state", str(ours.state_dir)]
        assert subprocess.run([PROGRAM, *publish], check=False).returncode == 0
        looked = subprocess.run(
            [PROGRAM, "console", "--once", "--format", "json", "--state", str(ours.state_dir)],
            capture_output=True,
            check=False,
        )
        assert {one["name"] for one in json.loads(looked.stdout)["regions"]} == {"us", "eu"}
        asked = drill("run", "herd", "--state", ours.state_dir, *SMALL)
        assert asked.returncode == 2
        assert "not allowed on this deployment; nothing was done" in asked.stderr
        report = tmp_path / "report"
        done = drill("run", "herd", "--state", ours.state_dir, "--report", report, "--yes", *SMALL)
        verdict = verdict_in(report)
        assert verdict["violations"] == {}, verdict["examples"]
        codes = {"pass": 0, "missed": 1, "failed": 2}
        assert done.returncode == codes[verdict["verdict"]], done.stderr
        assert verdict["acked"] > 300
        assert (verdict["missing"], verdict["undeclared_gaps"], verdict["repeated"]) == (0, 0, 0)
        openings = records(report, "opening")
        assert max(one["last"] for one in openings) > 0  # not all that is there is the crowd's
        stored = records(report, "stored", "scan")
        assert len(stored) == 2 * verdict["acked"]  # at home, and in one mirror


async def test_a_login_that_may_not_hear_telemetry_is_named_with_the_option_that_helps(
    theirs: World, tmp_path: Path
) -> None:
    async with World(tmp_path / "ours", TOPOLOGY, *options(theirs, tmp_path)) as ours:
        done = drill("run", "herd", "--state", ours.state_dir, "--yes", *SMALL)
        assert done.returncode == 2
        last = done.stderr.splitlines()[-1]
        assert "may not hear telemetry (permissions violation" in last.lower()
        assert ":console=FILE" in last
        assert not list(ours.state_dir.glob("drills/*/ledger"))


def records(report: Path, kind: str, file: str = "") -> list[dict[str, Any]]:
    """The records of a kind in a file of the report's ledger, which without is called so too."""
    lines = (report / "ledger" / f"{file or kind}.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["k"] == kind]

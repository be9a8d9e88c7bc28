"""A crowd in a real world that loses an edge: its ledger is clean, and a touched one is not."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

import pytest

from regions.errors import CrowdError
from regions.ledger.checker import check
from regions.ledger.crowd import Crowd
from regions.ledger.findings import RULES
from regions.ledger.orders import Status
from regions.ledger.scan import scan
from regions.ledger.spec import CrowdSpec
from tests.crowd import until
from tests.world import World


async def until_status(crowd: Crowd, fits: str, wanted: int) -> Status:
    """Wait until a figure of the crowd's status is at least `wanted`, with everybody ready."""
    async with asyncio.timeout(60):
        while True:
            status = await crowd.status()
            if getattr(status, fits) >= wanted and status.ready == status.clients:
                return status
            await asyncio.sleep(0.1)


def judged(directory: Path) -> subprocess.CompletedProcess[str]:
    """`jetrelay check`."""
    program = str(Path(sys.executable).with_name("jetrelay"))
    return subprocess.run(
        [program, "check", str(directory), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def delivered_once(lines: Sequence[bytes]) -> int:
    """The index of a delivery in the middle of a ledger, of an event that its client got once."""
    events = [at for at, line in enumerate(lines) if line.startswith(b'{"k":"event"')]
    named = {at: itemgetter("c", "o", "e", "q")(json.loads(lines[at])) for at in events}
    counts = Counter(named.values())
    return next(at for at in events[len(events) // 2 :] if counts[named[at]] == 1)


async def test_a_killed_edge_leaves_a_clean_ledger(world: World, tmp_path: Path) -> None:
    ledger = tmp_path / "report" / "ledger"
    spec = CrowdSpec(
        run="kill", clients=42, rooms=10, rate=60, msgpack=0.3, publishers=0.6, processes=2
    )
    crowd = await Crowd.start(world.state_dir, spec, ledger)
    try:
        assert await crowd.ready() == 42
        crowd.mark("before")
        before = await until_status(crowd, "acked", 120)
        assert before.on_edge["us-1"] == 7
        crowd.mark("fault")
        await world.ctl("kill", "us-1")
        after = await until_status(crowd, "acked", before.acked + 240)
        assert "us-1" not in after.on_edge or after.on_edge["us-1"] < 7
        crowd.mark("after")
        await until_status(crowd, "acked", after.acked + 60)
        assert await crowd.hush() == 0
        assert await crowd.drain() == {}
    finally:
        last = await crowd.stop()
    await scan(world.found(), ledger)

    findings = check(ledger)
    assert findings.passed, findings.examples
    assert findings.acked == last.acked == findings.asked - findings.unknown
    assert findings.surfaced == last.delivered - findings.raw_repeats
    assert findings.stored == findings.acked
    assert findings.clients == 42
    assert (findings.hit, findings.disconnects) == (7, 7)
    assert findings.resumes == 7
    assert [phase.name for phase in findings.phases] == ["before", "fault", "after"]
    assert findings.gap_hit_ms.max < 30_000
    assert findings.declared_gaps == 0

    verdict = judged(tmp_path / "report")
    assert verdict.returncode == 0, verdict.stderr
    assert json.loads(verdict.stdout)["history"] == findings.history

    # The same ledger, with one delivery struck out.
    path = ledger / "crowd-0.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    struck = delivered_once(lines)
    path.write_bytes(b"".join(lines[:struck] + lines[struck + 1 :]))
    verdict = judged(tmp_path / "report")
    assert verdict.returncode == 1
    found = json.loads(verdict.stdout)
    assert {rule: found[rule] for rule in RULES if found[rule]} == {
        "missing": 1,
        "undeclared_gaps": 1,
    }

    with pytest.raises(CrowdError, match="has a ledger already"):
        await Crowd.start(world.state_dir, spec, ledger)


async def test_a_crowd_without_a_world_says_so(tmp_path: Path) -> None:
    crowd = await Crowd.start(tmp_path / "none", CrowdSpec(run="x"), tmp_path / "ledger")
    try:
        with pytest.raises(CrowdError, match="no world in"):
            await crowd.ready()
    finally:
        await crowd.stop()


async def test_a_crowd_whose_drill_is_gone_ends(world: World, tmp_path: Path) -> None:
    crowd = await Crowd.start(
        world.state_dir, CrowdSpec(run="gone", clients=3, rooms=3), tmp_path / "ledger"
    )
    await crowd.ready()
    child = crowd._processes[0].child
    assert child.stdin is not None
    child.stdin.close()
    await until(lambda: child.returncode is not None, 20, "the end of the crowd's process")
    assert child.returncode == 0
    await crowd.stop()

"""A region is evacuated under load by operators who change their minds, and who meet.

2,000 clients and 500 events/s. In the middle of it a second operator is refused, and told who is at
work and since when; then it is aborted, and stops where it is. It goes on when it is ordered
again, and once more does nothing.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regions.drills.plans import HOME_S
from regions.drills.telemetry import CROWDED
from regions.ledger.checker import check
from regions.ledger.crowd import Crowd
from regions.ledger.orders import Status
from regions.ledger.scan import scan
from regions.ledger.spec import CrowdSpec
from tests.metrics import refused
from tests.operators import begin, ctl
from tests.world import World

CLIENTS, RATE = 2_000, 500
HERE = "us-1"  # the only edge of us
STAYS_S = 8.0
TOPOLOGY = Path(__file__).with_name("evacuate.toml").read_text()

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions of one edge each."""
    one = World(tmp_path_factory.mktemp("evacuated") / "state", TOPOLOGY)
    try:
        yield one.launch()
    finally:
        one.clean()
    assert not one.leftovers()


async def until(crowd: Crowd, met: Callable[[Status], bool], timeout_s: float = 180.0) -> Status:
    """Wait until the crowd stands like this, with everybody connected."""
    async with asyncio.timeout(timeout_s):
        while True:
            status = await crowd.status()
            if met(status) and status.ready == status.clients:
                return status
            await asyncio.sleep(0.5)


async def crowded_out(world: World) -> int:
    """Handshakes that edges have refused, since too many came at once, or in all."""
    found = [await refused(world, edge) for edge in world.edges]
    return sum(each.get(reason, 0) for each in found for reason in CROWDED)


async def test_aborted_ordered_again_and_twice_under_load(world: World, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    spec = CrowdSpec(
        run="evacuated", clients=CLIENTS, rooms=CLIENTS, rate=RATE, processes=2, home_after_s=HOME_S
    )
    crowd = await Crowd.start(world.state_dir, spec, ledger)
    try:
        assert await crowd.ready(180.0) == CLIENTS
        crowd.mark("before")
        before = await until(crowd, lambda status: status.acked >= 5_000)
        here = before.on_edge[HERE]
        assert here >= CLIENTS // 4

        turned_away = await crowded_out(world)

        crowd.mark("fault")
        first = await begin(world, "evacuate", "us", "--yes", "--by", "one", "--why", "a drill")
        await first.said("clients left")
        await until(crowd, lambda status: status.on_edge.get(HERE, 0) < 0.7 * here)
        name = next(line.split()[-1] for line in first.lines if "-evacuate-us-" in line)
        busy = await ctl(world, 2, "drain", HERE, "--yes", "--by", "two")
        assert re.search(rf"one is at work on us since \S+ \S+Z: {name}", busy)

        await ctl(world, 0, "abort", name, "--by", "two", "--why", "not now")
        code, said = await first.end()
        assert (code, "aborted by two: not now" in said) == (1, True), said
        await asyncio.sleep(2.0)  # who was told already, has gone
        stopped = (await until(crowd, lambda _: True)).on_edge[HERE]
        assert 0.2 * here < stopped < 0.8 * here
        await asyncio.sleep(STAYS_S)
        assert (await crowd.status()).on_edge[HERE] == stopped

        await ctl(world, 0, "evacuate", "us", "--yes", "--by", "two", "--why", "after all")
        await until(crowd, lambda status: status.on_edge.get(HERE, 0) == 0)
        assert "nothing to do" in await ctl(world, 0, "evacuate", "us", "--yes", "--by", "one")

        await ctl(world, 0, "return", "us", "--yes", "--over", "60", "--by", "one")
        await until(crowd, lambda status: status.on_edge.get(HERE, 0) >= here and not status.away)
        assert await crowded_out(world) == turned_away, "never more than edges let in"
        crowd.mark("after")
        await asyncio.sleep(5.0)
        assert await crowd.hush() == 0
        assert await crowd.drain() == {}
    finally:
        last = await crowd.stop()
    await scan(world.found(), ledger)

    findings = check(ledger)
    gap = findings.gap_hit_ms
    said = (
        f"{findings.acked} acknowledged, {findings.surfaced} delivered, {findings.resumes} resumes"
    )
    print(f"\n{said}, gap p99 {gap.p99:.0f} ms, longest {gap.max:.0f} ms")
    assert findings.passed, findings.examples
    assert findings.acked == last.acked
    assert findings.declared_gaps == 0
    assert gap.p99 <= 1_000

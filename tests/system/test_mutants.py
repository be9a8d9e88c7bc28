"""Edges with mutants in a real world: the checker names each, and at nobody else's clients."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from regions.drills.own_world import OwnWorld
from regions.ledger.casting import cast
from regions.ledger.checker import check
from regions.ledger.crowd import Crowd
from regions.ledger.findings import RULES, Findings
from regions.ledger.scan import scan
from regions.ledger.spec import CrowdSpec
from regions.state import find_world
from regions.topology_file import builtin_topology
from relay.tasks import Tasks
from tests.mutants.edge import program
from tests.mutants.trial import strikes

SPEC = CrowdSpec(run="mut", clients=36, rooms=9, rate=120)
MUTANTS = {
    "us-1": ("drop/40", "missing"),
    "eu-1": ("duplicate/40", "resent"),
    "ap-1": ("resume-miscounts/1", "miscounted"),
}


@pytest.fixture
async def mutated(tmp_path: Path) -> AsyncIterator[OwnWorld]:
    """Three regions of two edges; the first edge of each has a mutant, the second has none."""
    wanted = [f"{edge}={mutant}" for edge, (mutant, _) in MUTANTS.items()]
    edges = program(*wanted, seed=1)
    world = OwnWorld(tmp_path / "world", builtin_topology("three"), "direct", None, edges)
    tasks = Tasks("test")
    try:
        await world.start()
        tasks.spawn(world.drop_output(), "output")
        yield world
    finally:
        await tasks.close()
        await world.stop()


async def heard(crowd: Crowd, acked: int, backs: int) -> None:
    """Wait until so much was acknowledged, and so many are back."""
    async with asyncio.timeout(60):
        while True:
            status = await crowd.status()
            done = status.acked >= acked and status.backs >= backs
            if done and status.ready == status.clients:
                return
            await asyncio.sleep(0.05)


async def findings_of(world: OwnWorld, report: Path) -> Findings:
    """What the checker finds after a crowd talked for a while, and lost its connections once."""
    crowd = await Crowd.start(world.directory, SPEC, report / "ledger")
    try:
        await crowd.ready()
        crowd.mark("before")
        await heard(crowd, 200, 0)
        crowd.mark("fault")
        dropped = await crowd.drop("us", "eu", "ap")
        assert dropped == SPEC.clients
        await heard(crowd, 350, dropped)
        await crowd.hush()
        await crowd.drain(60)
    finally:
        await crowd.stop()
    await scan(find_world(world.directory), report / "ledger")
    return check(report)


async def test_each_mutant_is_named_and_only_in_its_region(
    mutated: OwnWorld, tmp_path: Path
) -> None:
    findings = await findings_of(mutated, tmp_path / "report")

    found = {rule for rule in RULES if getattr(findings, rule)}
    assert found == {rule for _, rule in MUTANTS.values()} | {"undeclared_gaps"}
    homes = {part.name: part.region for part in cast(SPEC, ["us", "eu", "ap"])}
    for edge, (_, rule) in MUTANTS.items():
        log = (mutated.directory / "edges" / f"{edge}.log").read_text().splitlines()
        assert strikes(log) >= getattr(findings, rule) > 0
        texts = [example.text for example in findings.examples if example.rule == rule]
        clients = [match[0] for text in texts if (match := re.match(r"mut-\d+", text))]
        assert len(clients) == len(texts) > 0
        # Who came back may be on the region's other edge.
        assert {homes[client] for client in clients} == {edge.partition("-")[0]}

"""What drills would do: plans are values, and follow from the world and the seed."""

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from regions.drills.catalogue import DRILLS, Drill, find_drill, hindrance, needs_of, why_not
from regions.drills.places import Choice, Place, Places, choose
from regions.drills.step import Break, Calm, Heal, Hold, Plan, Recover, Restart, Up
from regions.drills.wording import MOST, plan_text, step_text
from regions.errors import DrillError, TopologyError
from regions.faults.fault import (
    DownFault,
    FillDiskFault,
    KillFault,
    LinkFault,
    PauseFault,
    RewindFault,
    WedgeFault,
)
from regions.topology_file import parse_topology


def place(name: str, servers: int = 1) -> Place:
    return Place(
        name,
        (f"{name}-1", f"{name}-2"),
        tuple(f"{name}-n{number}" for number in range(1, servers + 1)),
    )


WORLD = Places((place("us"), place("eu"), place("ap")))


def plan(name: str, places: Places = WORLD, seed: int = 1, hold_s: float | None = None) -> Plan:
    drill = find_drill(name)
    return drill.plan(choose(places, seed), drill.hold_s if hold_s is None else hold_s)


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
def test_every_drill_begins_and_ends_calm_and_heals_what_it_breaks(drill: Drill) -> None:
    name = drill.name
    for seed in range(20):
        found = plan(name, seed=seed)
        assert isinstance(found.steps[0], Calm)
        assert isinstance(found.steps[-1], Calm)
        broken: set[str] = set()
        for step in found.steps:
            if isinstance(step, Break) and not isinstance(step.fault, KillFault):
                assert step.key not in broken
                broken.add(step.key)
            if isinstance(step, Heal):
                broken.remove(step.key)
        assert not broken
        assert any(isinstance(step, Recover) for step in found.steps)
        assert found == plan(name, seed=seed)


def test_the_seed_chooses_where_and_a_region_can_be_named() -> None:
    hit = {str(plan("edge-kill", seed=seed).steps[1]) for seed in range(50)}
    assert len(hit) == 6
    drill = find_drill("region-loss")
    found = drill.plan(choose(WORLD, 1, "ap"), 3)
    fault = found.steps[1]
    assert isinstance(fault, Break)
    assert fault.fault == DownFault(["ap-1", "ap-2", "ap-n1"])
    assert fault.lost == "ap"
    with pytest.raises(DrillError, match="no region 'mars'; the world has us, eu, ap"):
        choose(WORLD, 1, "mars")


def test_rolling_restarts_each_edge_once() -> None:
    restarted = [step.edge for step in plan("edge-rolling").steps if isinstance(step, Restart)]
    assert sorted(restarted) == sorted(WORLD.edges)


def test_an_isolated_region_is_cut_from_all_others_both_ways() -> None:
    step = plan("region-isolate", seed=3).steps[1]
    assert isinstance(step, Break)
    assert isinstance(step.fault, LinkFault)
    assert len(set(step.fault.pairs)) == 4


def test_nats_kill_kills_the_leader_where_there_are_three() -> None:
    kinds = [type(step).__name__ for step in plan("nats-kill").steps]
    assert "KillLeader" not in kinds
    with_three = replace(WORLD, regions=(place("us", 3), place("eu"), place("ap")))
    kinds = [type(step).__name__ for step in plan("nats-kill", with_three).steps]
    assert kinds.index("KillLeader") < kinds.index("Break")


def test_what_can_not_be_broken_here_says_why() -> None:
    direct = replace(WORLD, why_not={"cut": "this world's links are direct"})
    drill = find_drill("pair-partition")
    choice = choose(direct, 1)
    assert why_not(drill, drill.plan(choice, 5), choice) == "cut: this world's links are direct"
    drill = find_drill("edge-kill")
    assert why_not(drill, drill.plan(choice, 0), choice) is None
    alone = Choice(Places((place("us"),)), place("us"), None, random.Random(1))
    with pytest.raises(DrillError, match="two regions"):
        find_drill("region-loss").plan(alone, 5)


def test_a_deployment_is_only_drained_and_dropped_from() -> None:
    shared = replace(WORLD, deployment=True)
    choice = choose(shared, 1)
    can = [
        drill.name
        for drill in DRILLS
        if why_not(drill, drill.plan(choice, drill.hold_s), choice) is None
    ]
    assert can == ["edge-drain", "edge-rolling", "evacuate", "herd"]


def test_what_a_world_has_to_have_is_said_of_every_drill() -> None:
    needs = {drill.name: needs_of(drill) for drill in DRILLS}
    assert needs["herd"] == needs["edge-drain"] == ()
    assert needs["edge-kill"] == ("a NATS of its own",)
    assert needs["region-loss"] == ("a NATS of its own", "two regions")
    assert needs["one-way"] == ("a NATS of its own", "two regions", "links relay or netns")
    assert needs["evacuate"] == ("two regions",)
    assert "small disks (root) for a full one" in needs["disk-full"]
    assert "a cluster of three for a leader" in needs["nats-kill"]
    one = Places((place("us"),))
    for drill in DRILLS:
        lonely = hindrance(drill, one)
        assert (lonely is not None) == ("two regions" in needs[drill.name]), drill.name
        shared = hindrance(drill, replace(WORLD, deployment=True))
        assert (shared is not None) == ("a NATS of its own" in needs[drill.name]), drill.name


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
def test_what_a_drill_is_going_to_do_is_said_in_one_line(drill: Drill) -> None:
    steps = plan(drill.name).steps
    text = plan_text(plan(drill.name))
    assert text.count(" → ") == min(len(steps), MOST + 1) - 1
    assert text.endswith(f"and {len(steps) - MOST} more") == (len(steps) > MOST)
    assert all(step_text(step) for step in steps)


def test_a_full_disk_is_a_limit_where_no_store_has_a_small_one() -> None:
    without = replace(WORLD, why_not={"fill-disk": "no"})
    assert plan("disk-full", without).needs == ("store-limit",)
    assert plan("disk-full").needs == ("fill-disk",)


def test_a_campaign_follows_from_its_seed_and_has_all_kinds() -> None:
    half_an_hour = plan("campaign", seed=1, hold_s=1800)
    faults = [step.fault for step in half_an_hour.steps if isinstance(step, Break)]
    assert len(faults) >= 25
    assert {type(fault).__name__ for fault in faults} == {
        "KillFault", "PauseFault", "DownFault", "LinkFault", "WedgeFault", "FillDiskFault",
        "RewindFault",
    }  # fmt: skip
    assert half_an_hour == plan("campaign", seed=1, hold_s=1800)
    assert half_an_hour != plan("campaign", seed=2, hold_s=1800)
    assert 1300 < half_an_hour.seconds <= 1800


def test_faults_at_once_never_take_away_what_the_other_needs() -> None:
    for seed in range(30):
        down: set[str] = set()
        for step in plan("campaign", seed=seed, hold_s=900).steps:
            match step:
                case Break(fault=DownFault(names) | PauseFault(names) | KillFault(names)):
                    assert not down & set(names)
                    down |= set(names)
                case Heal(up=names) | Up(names=names):
                    down -= set(names)
                case Hold() | _:
                    pass


@pytest.mark.parametrize("places", [WORLD, replace(WORLD, regions=(place("us", 3), place("eu")))])
def test_every_pair_of_faults_can_be_made_and_healed(places: Places) -> None:
    servers = {name for region in places.regions for name in region.servers}
    paired = 0

    def lacking(names: Iterable[str], away: dict[str, set[str]]) -> set[str]:
        """Servers that these processes need, and that are broken."""
        needed = {one for name in names for one in places.home_of(name).servers}
        return needed & set().union(*away.values())

    for seed in range(300):
        away: dict[str, set[str]] = {}  # key of a fault, or what is awaited -> processes
        wedged: dict[str, str] = {}  # key -> origin, whose server is told when it is healed
        killed: set[str] = set()
        for step in plan("campaign", places, seed=seed, hold_s=1800).steps:
            where = f"seed {seed}: {step}"
            match step:
                case Break(key=key, fault=WedgeFault(origin=origin)):
                    assert not lacking(places.region(origin).servers, away), where
                    wedged[key] = origin
                case Break(key=key, fault=KillFault(names) | PauseFault(names) | DownFault(names)):
                    away[key] = set(names)
                    if isinstance(step.fault, KillFault):
                        killed |= set(names)  # they come back by themselves
                case Break(key=key, fault=FillDiskFault(server=server)):
                    away[key] = {server}
                case Break(key=key, fault=RewindFault(region=region)):
                    away[key] = set(places.region(region).servers)
                case Heal(key=key, up=names):
                    away.pop(key, None)
                    assert not lacking(set(names) - servers, away) - killed, where
                    if key in wedged:
                        assert not lacking(places.region(wedged.pop(key)).servers, away), where
                case Up(names=names):
                    away = {key: left for key, left in away.items() if left != set(names)}
                    killed -= set(names)
                    assert not lacking(set(names) - servers, away) - killed, where
                case Hold():
                    paired += len(away) + len(wedged) > 1
                case _:
                    pass
        assert not away, seed
        assert not wedged, seed
    assert paired > 300


def test_an_unknown_drill_names_the_nearest() -> None:
    with pytest.raises(DrillError, match="no drill 'edge-kil'; did you mean edge-kill"):
        find_drill("edge-kil")


def test_objectives_are_checked_like_all_keys() -> None:
    base = '[[regions]]\nname = "us"\n'
    found = parse_topology("[objectives]\ncurrent_s = 2.5\n" + base, "w.toml")
    assert found.objectives.current_s == 2.5
    assert found.objectives.planned_gap_p99_s == 1
    for text, message in (
        ("curent_s = 1", "objectives.curent_s: unknown key; did you mean 'current_s'"),
        ("current_s = 0", "objectives.current_s: 0 is not in 0 to 3600"),
        ('current_s = "fast"', "objectives.current_s: Expected `float`"),
        ("resume_success_min = 1.5", "objectives.resume_success_min: 1.5 is not in 0 to 1"),
        ("sessions_lost_max = -1", "objectives.sessions_lost_max: -1 is negative"),
        ("declared_events_max = 0.5", "objectives.declared_events_max: Expected `int`"),
    ):
        with pytest.raises(TopologyError, match=message):
            parse_topology(f"[objectives]\n{text}\n{base}", "w.toml")

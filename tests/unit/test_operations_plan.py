"""Plans: what would be ordered, who moves where, and what speaks against it."""

import pytest
from msgspec.structs import replace

from regions.errors import OperationError
from regions.operations.entry import Plan, Request, Verb
from regions.operations.plan import Sight, make_plan
from regions.steering.fleet import Fleet
from regions.steering.health import EdgeKey, Heard, Load, Observer, Try
from regions.topology_file import parse_topology
from relay.core.orders import Order, Orders, Ramp
from tests.places import three

NOW_S, NOW_MS = 1_000.0, 1_800_000_000_000
TOPOLOGY = parse_topology(
    """
    [limits]
    connections = 1000
    connections_per_s = 20.0
    """
    + three(2, 2, 2),
    "test.toml",
)
EDGES = [EdgeKey(region, f"{region}-{n}") for region in ("us", "eu", "ap") for n in (1, 2)]


def sight(
    *orders: Order,
    connections: int = 100,
    states: dict[str, str] | None = None,
    dead: tuple[str, ...] = (),
    empty: tuple[str, ...] = (),
    reached: int = 3,
    room: int = 0,
    shut: tuple[str, ...] = (),
) -> Sight:
    """Six edges with as many connections each, and what is ordered."""
    standing = Orders()
    for order in orders:
        standing.take("us", order)
    alive = [key for key in EDGES if key.edge not in dead]
    heard = {key: Heard(NOW_S, (states or {}).get(key.edge, "ready")) for key in alive}
    observers = [Observer(name, connected=True, heard=heard) for name in ("us", "eu", "ap")]
    tries = {key: Try(NOW_S, "connect: refused" if key.edge in shut else "", times=2)
             for key in EDGES}  # fmt: skip
    observers.append(Observer("the keeper of us", connected=False, tries=tries))
    loads = {key: Load(0 if key.edge in empty else connections, room) for key in alive}
    outlook = Fleet(TOPOLOGY).look(observers, loads, NOW_S, standing, NOW_MS)
    unknown = tuple(key for key in EDGES if key.edge in dead)
    return Sight(TOPOLOGY, outlook, standing, NOW_MS, reached, unknown)


def plan(verb: Verb, scope: str, seen: Sight, **more: float) -> Plan:
    region, _, number = scope.partition("-")
    request = Request(
        verb=verb, region=region, edge=scope if number else "", by="ops", why="work",
        **more,  # type: ignore[arg-type]
    )  # fmt: skip
    return make_plan(request, seen)


def given(found: Plan) -> list[list[tuple[str, bool, float | None]]]:
    """Of each stage: scope, cordoned, and over how long a drain goes."""
    return [
        [(str(order.scope), order.cordoned, order.drain_s) for order in stage.orders]
        for stage in found.stages
    ]


def test_a_region_is_cordoned_by_one_order_that_all_edges_have_to_hear() -> None:
    found = plan("cordon", "eu", sight())
    assert given(found) == [[("eu", True, None)]]
    assert found.stages[0].wait == "known"
    assert found.against == []
    assert found.moves == 0


def test_nobody_is_sent_to_a_region_whose_doors_are_shut() -> None:
    found = plan("evacuate", "eu", sight(shut=("us-1", "us-2")))
    assert [each.name for each in found.coming if each.connections] == ["ap"]
    assert found.against == []
    (note,) = found.notes
    assert note == (
        "us takes nobody: no edge admits; us-2: its door fails from the keeper of us: "
        "connect: refused"
    )
    found = plan("evacuate", "eu", sight(shut=("us-1", "us-2", "ap-1", "ap-2"), connections=1))
    assert found.against == [], "who fails at most doors may be cut off himself"
    found = plan("drain", "eu-1", sight(shut=("eu-2",)))
    assert [each.name for each in found.coming if each.connections] == ["us"]


def test_who_evacuates_cordons_first_and_then_drains_no_faster_than_others_let_in() -> None:
    found = plan("evacuate", "eu", sight(connections=300))
    # 600 clients to us, whose two edges let in 40 a second: at half of that, 30 s.
    assert given(found) == [
        [("eu", True, None)],
        [("eu-1", False, 30.0), ("eu-2", False, 30.0)],
    ]
    assert [stage.wait for stage in found.stages] == ["known", "gone"]
    assert (found.moves, found.takes_s) == (600, 30.0)
    coming = {each.name: (each.connections, each.after) for each in found.coming}
    assert coming == {"us": (600, 1_200), "ap": (0, 600)}
    assert found.against == []


def test_few_clients_are_spread_all_the_same() -> None:
    assert plan("evacuate", "eu", sight(connections=1)).takes_s == 10.0


def test_an_edge_is_drained_to_its_neighbours() -> None:
    found = plan("drain", "eu-1", sight(), within_s=20)
    assert given(found) == [[("eu-1", False, 20.0)]]
    assert [(each.name, each.connections, each.after) for each in found.coming] == [
        ("eu-2", 100, 200)
    ]
    assert found.coming[0].per_s == 5.0


def test_an_edge_without_a_neighbour_is_drained_to_other_regions() -> None:
    found = plan("drain", "eu-1", sight(dead=("eu-2",)))
    assert {each.name for each in found.coming} == {"us", "ap"}


def test_it_is_refused_where_others_would_be_too_full() -> None:
    found = plan("evacuate", "eu", sight(connections=700))
    assert any("full, and 80% is the most" in each for each in found.against)


def test_it_is_refused_where_more_would_come_than_are_let_in() -> None:
    found = plan("drain", "eu", sight(connections=300), within_s=5)
    assert found.against == ["120/s would come to us, which lets in 40/s: over 5 s is too fast"]


CORDONS = [Order(region=name, at_ms=1, by="ops", cordoned=True) for name in ("us", "ap")]


@pytest.mark.parametrize("verb", ["cordon", "drain", "evacuate"])
def test_the_last_open_region_stays_open(verb: Verb) -> None:
    assert "eu is the last region that takes clients" in plan(verb, "eu", sight(*CORDONS)).against


def test_a_weight_of_nothing_is_a_cordon() -> None:
    found = plan("weight", "eu", sight(*CORDONS), weight=0)
    assert found.against == ["eu is the last region that takes clients"]
    assert plan("weight", "eu", sight(*CORDONS), weight=10).against == []


def test_an_edge_whose_newcomers_would_go_to_a_full_one_is_not_cordoned() -> None:
    found = plan("cordon", "eu-1", sight(connections=90, room=100))
    assert found.against == [
        "eu-2 would get more of the new clients, and is 90% full: 80% is the most"
    ]
    assert plan("cordon", "eu-1", sight(connections=70, room=100)).against == []


def test_the_only_open_edge_of_a_region_is_cordoned_as_the_region_is() -> None:
    seen = sight(connections=90, room=100, states={"eu-2": "cordoned"})
    (edge,) = plan("cordon", "eu-1", seen).notes
    assert edge.startswith("new clients near eu go to: ")
    assert plan("cordon", "eu-1", seen).against == plan("cordon", "eu", seen).against != []


def test_the_last_edge_that_takes_clients_is_not_drained() -> None:
    seen = sight(*CORDONS, states={"eu-2": "cordoned"})
    found = plan("drain", "eu-1", seen)
    assert "eu-1 is the last edge that takes clients" in found.against


def test_where_most_regions_do_not_answer_somebody_else_may_be_at_work() -> None:
    assert plan("cordon", "eu", sight(reached=2)).against == []
    found = plan("cordon", "eu", sight(reached=1)).against
    assert len(found) == 1
    assert found[0].startswith("1 of 3 regions answer")


EVACUATED = [
    Order(region="eu", at_ms=1, by="ops", cordoned=True),
    Order(region="eu", edge="eu-1", at_ms=1, by="ops", drain_s=30),
    Order(region="eu", edge="eu-2", at_ms=1, by="ops", drain_s=30),
]


def test_what_is_done_already_is_nothing_to_do() -> None:
    drained = sight(*EVACUATED, connections=0, states={"eu-1": "drained", "eu-2": "drained"})
    assert plan("evacuate", "eu", drained).nothing
    assert plan("cordon", "eu", drained).nothing
    (stage,) = plan("drain", "eu-1", drained).stages
    assert [order.own for order in stage.orders] == [True], "from now on for itself"
    assert not plan("drain", "eu-1", sight(*EVACUATED)).nothing, "clients are there yet"
    assert plan("uncordon", "us", drained).nothing
    assert plan("return", "us", drained).nothing
    weighted = sight(Order(region="eu", at_ms=1, by="ops", weight=30))
    assert plan("weight", "eu", weighted, weight=30).nothing


def test_who_returns_opens_the_edges_and_then_takes_more_and_more() -> None:
    found = plan("return", "eu", sight(*EVACUATED), over_s=60)
    assert given(found) == [
        [("eu-1", False, None), ("eu-2", False, None)],
        [("eu", False, None)],
    ]
    assert [stage.wait for stage in found.stages] == ["ready", "known"]
    assert found.stages[1].orders[0].ramp == Ramp(NOW_MS, 60)


@pytest.mark.parametrize("verb", ["return", "uncordon"])
def test_an_edge_that_was_closed_for_itself_stays_so_and_is_named(verb: Verb) -> None:
    """It was drained because its disk is bad; its region was evacuated for another reason."""
    bad = Order(region="eu", edge="eu-2", at_ms=1, by="storage", why="bad disk", drain_s=10.0,
                own=True, run="20261129T101112-drain-eu-2-a1b2")  # fmt: skip
    evacuated = Order(region="eu", edge="eu-1", at_ms=2, by="ops", drain_s=10.0,
                      run="20261129T111112-evacuate-eu-a1b3")  # fmt: skip
    found = plan(verb, "eu", sight(EVACUATED[0], bad, evacuated), over_s=60)
    assert {str(order.scope) for stage in found.stages for order in stage.orders} == {"eu", "eu-1"}
    assert found.notes[0] == (
        "eu-2 stays drained, by storage (bad disk): `jetrelay ctl uncordon eu-2` opens it"
    )
    assert found.against == []
    assert given(plan("uncordon", "eu-2", sight(bad))) == [[("eu-2", False, None)]]
    both = [bad, replace(bad, edge="eu-1", run="20261129T101112-drain-eu-1-a1b4")]
    assert "no edge of eu would be open" in plan(verb, "eu", sight(EVACUATED[0], *both)).against


def test_an_edge_that_was_cordoned_for_itself_is_emptied_with_its_region_and_stays_cordoned() -> (
    None
):
    bad = Order(region="eu", edge="eu-2", at_ms=1, by="storage", why="bad disk", cordoned=True,
                own=True, run="20261129T101112-cordon-eu-2-a1b2")  # fmt: skip
    assert plan("cordon", "eu-2", sight()).stages[0].orders[0].own
    (_, drains) = plan("evacuate", "eu", sight(bad)).stages
    assert [(order.edge, order.own) for order in drains.orders] == [("eu-1", False), ("eu-2", True)]
    emptied = [replace(order, at_ms=2, run="20261129T111112-evacuate-eu-a1b3")
               for order in drains.orders]  # fmt: skip
    found = plan("return", "eu", sight(EVACUATED[0], *emptied), over_s=60)
    assert given(found)[0] == [("eu-1", False, None), ("eu-2", True, None)]
    assert found.notes[0].startswith("eu-2 stays cordoned")
    (again,) = [order for order in found.stages[0].orders if order.edge == "eu-2"]
    assert again.own


def test_an_edge_may_be_closed_for_itself_while_its_region_is_emptied() -> None:
    emptied = [replace(order, run="20261129T111112-evacuate-eu-a1b3") for order in EVACUATED]
    states = {"eu-1": "drained", "eu-2": "drained"}
    seen = sight(*emptied, states=states, empty=("eu-1", "eu-2"))
    (order,) = [order for stage in plan("drain", "eu-2", seen).stages for order in stage.orders]
    assert order.own
    own = replace(order, at_ms=NOW_MS, run="20261129T121112-drain-eu-2-a1b4")
    assert plan("drain", "eu-2", sight(*emptied, own, states=states, empty=("eu-2",))).nothing
    found = plan("return", "eu", sight(*emptied, own, states=states), over_s=60)
    assert given(found)[0] == [("eu-1", False, None)]


def test_an_edge_whose_own_drain_was_aborted_is_open() -> None:
    aborted = Order(region="eu", edge="eu-2", at_ms=1, by="storage", own=True,
                    run="20261129T101112-drain-eu-2-a1b2")  # fmt: skip
    found = plan("return", "eu", sight(EVACUATED[0], aborted), over_s=60)
    assert not [note for note in found.notes if "eu-2 stays" in note]


def test_who_ramps_or_weighs_a_region_that_is_closed_is_told_so() -> None:
    closed = "eu is cordoned, and stays so: `jetrelay ctl return eu` opens it, and ramps"
    assert closed in plan("ramp", "eu", sight(EVACUATED[0]), over_s=60).against
    assert closed in plan("weight", "eu", sight(EVACUATED[0]), weight=50).against
    assert closed not in plan("weight", "eu", sight(EVACUATED[0]), weight=0).against
    assert plan("ramp", "eu", sight(), over_s=60).against == []


def test_a_region_of_which_nothing_is_heard_is_not_opened() -> None:
    seen = sight(*EVACUATED, dead=("eu-1", "eu-2"))
    assert plan("return", "eu", seen).against == ["no edge of eu is heard"]


def test_what_is_not_spoken_of_stays_as_it_is() -> None:
    weighted = Order(region="eu", at_ms=1, by="ops", weight=30)
    orders = [
        plan("cordon", "eu", sight(weighted)).stages[0].orders[0],
        plan("return", "eu", sight(weighted, EVACUATED[1])).stages[1].orders[0],
        plan("ramp", "eu", sight(weighted), over_s=5).stages[0].orders[0],
    ]
    assert [order.weight for order in orders] == [30, 30, 30]
    kept = plan("weight", "eu", sight(EVACUATED[0]), weight=5).stages[0].orders[0]
    assert kept.cordoned


def test_edges_that_are_not_heard_are_named_and_obey_when_they_are_back() -> None:
    found = plan("evacuate", "eu", sight(dead=("eu-2",)))
    assert found.notes == ["eu-2 is not heard: it does so when it is back"]
    assert [str(order.scope) for order in found.stages[1].orders] == ["eu-1", "eu-2"]


@pytest.mark.parametrize(
    ("verb", "scope", "more", "named"),
    [
        ("cordon", "mars", {}, "no region 'mars'"),
        ("drain", "eu-9", {}, "no edge 'eu-9'"),
        ("weight", "eu-1", {"weight": 5}, "a weight is of a region"),
        ("weight", "eu", {"weight": 101}, "0 to 100"),
        ("ramp", "eu-1", {}, "a ramp is of a region"),
        ("return", "eu-1", {}, "uncordon"),
        ("drain", "eu", {"within_s": 1e9}, "a drain takes"),
        ("evacuate", "eu-1", {}, "an edge is drained"),
    ],
)
def test_what_makes_no_sense_is_named(
    verb: Verb, scope: str, more: dict[str, float], named: str
) -> None:
    with pytest.raises(OperationError, match=named):
        plan(verb, scope, sight(), **more)


def test_who_orders_is_named_in_each_order() -> None:
    for stage in plan("evacuate", "eu", sight()).stages:
        assert {(order.by, order.why) for order in stage.orders} == {("ops", "work")}


def test_a_cordoned_region_is_no_target() -> None:
    seen = sight(Order(region="us", at_ms=1, by="ops", cordoned=True), connections=100)
    coming = {each.name: each.connections for each in plan("evacuate", "eu", seen).coming}
    assert coming["ap"] == 200
    assert coming.get("us", 0) == 0


def test_an_edge_that_somebody_had_drained_before_is_left_as_it_is() -> None:
    """So an abort does not open it."""
    seen = sight(EVACUATED[1], states={"eu-1": "drained"}, empty=("eu-1",))
    found = plan("evacuate", "eu", seen)
    assert given(found)[-1] == [("eu-2", False, 10.0)]


def test_an_edge_that_is_drained_for_itself_is_not_taken_over() -> None:
    """Else `return` would open an edge that somebody closed for another reason."""
    own = Order(
        region="eu", edge="eu-1", at_ms=NOW_MS - 5_000, by="bea", why="its disk", drain_s=600.0,
        own=True, run="20270115T080000.000Z-drain-eu-1-abcd",
    )  # fmt: skip
    found = plan("evacuate", "eu", sight(own, states={"eu-1": "drained"}))
    assert given(found)[-1] == [("eu-2", False, 10.0)]
    assert "eu-1 is drained already, by bea (its disk)" in found.notes
    assert found.moves == 100


def test_clients_that_another_operation_still_sends_count() -> None:
    """Else two evacuations would fill the third region together, each of them within its 80 %."""
    going = [
        Order(region="eu", edge=edge, at_ms=NOW_MS, by="bea", cordoned=not edge,
              drain_s=600.0 if edge else None, run="20270115T080000.000Z-evacuate-eu-abcd")
        for edge in ("", "eu-1", "eu-2")
    ]  # fmt: skip
    states = {"eu-1": "draining", "eu-2": "draining"}
    alone = plan("evacuate", "us", sight(connections=300, empty=("eu-1", "eu-2")))
    assert alone.against == []
    both = plan("evacuate", "us", sight(*going, connections=300, states=states))
    (ap,) = [each for each in both.coming if each.name == "ap"]
    assert (ap.connections, ap.after) == (600, 1_800)
    assert "ap would be 90% full, and 80% is the most" in both.against


def test_a_ramp_begins_at_nothing_and_so_needs_another_open_region() -> None:
    found = plan("ramp", "eu", sight(*CORDONS), over_s=60)
    assert found.against == ["eu is the last region that takes clients"]
    ramping = Order(region="us", at_ms=1, by="ops", ramp=Ramp(NOW_MS, 60))
    found = plan("evacuate", "eu", sight(ramping, CORDONS[1]))
    assert "eu is the last region that takes clients" in found.against


def test_a_ramp_that_goes_on_is_not_begun_again() -> None:
    ramping = Order(region="eu", at_ms=1, by="ops", ramp=Ramp(NOW_MS - 1_000, 60))
    assert plan("ramp", "eu", sight(ramping), over_s=60).nothing
    assert not plan("ramp", "eu", sight(ramping), over_s=30).nothing


def test_a_weight_that_stays_is_named() -> None:
    weighted = Order(region="eu", at_ms=1, by="ops", weight=0)
    notes = plan("return", "eu", sight(weighted, EVACUATED[1]), over_s=5).notes
    assert notes[:1] == ["eu has weight 0 still: `jetrelay ctl weight eu topology` ends that"]
    assert plan("uncordon", "eu", sight(weighted)).notes[:1] == notes[:1]


def test_the_clients_of_a_region_that_is_not_heard_are_elsewhere_already() -> None:
    found = plan("evacuate", "eu", sight(dead=("eu-1", "eu-2")))
    assert (found.moves, found.against) == (0, [])
    assert [stage.wait for stage in found.stages] == ["known", "gone"]
    assert found.notes == [f"eu-{n} is not heard: it does so when it is back" for n in (1, 2)]


def test_clients_of_edges_that_take_nobody_would_have_to_move_as_well() -> None:
    seen = sight(connections=100, states={"eu-2": "full"})
    assert seen.outlook.if_died("eu").connections == 200
    assert plan("evacuate", "eu", seen).moves == 200


def test_what_an_edge_says_that_it_can_hold_counts_before_the_topology() -> None:
    seen = sight(connections=100, room=250)
    assert [each.room for each in seen.outlook.regions] == [500] * 3
    found = plan("drain", "eu-1", seen)
    assert [(each.name, each.after, each.room) for each in found.coming] == [("eu-2", 200, 250)]
    assert "80%" not in "".join(found.against)
    assert plan("drain", "eu-1", sight(connections=110, room=250)).against == [
        "eu-2 would be 88% full, and 80% is the most"
    ]


def test_a_weight_can_be_left_to_the_topology_again() -> None:
    weighted = Order(region="eu", at_ms=1, by="ops", weight=30, cordoned=True)
    (stage,) = plan("weight", "eu", sight(weighted)).stages
    assert [(order.weight, order.cordoned) for order in stage.orders] == [(None, True)]
    assert stage.text == "eu takes what the topology says"
    assert plan("weight", "eu", sight()).nothing


def test_a_plan_says_where_new_clients_go_and_refuses_to_fill_others_with_them() -> None:
    found = plan("weight", "eu", sight(), weight=25)
    assert found.notes == ["new clients near eu go to: us 0% → 75%, eu 100% → 25%"]
    assert found.against == []
    assert plan("weight", "eu", sight(Order(region="eu", at_ms=1, by="ops", weight=25))).notes == [
        "new clients near eu go to: us 75% → 0%, eu 25% → 100%"
    ]
    cordon = plan("cordon", "eu", sight())
    assert cordon.notes == ["new clients near eu go to: us 0% → 100%, eu 100% → 0%"]
    tight = sight(connections=210, room=250)
    assert plan("cordon", "eu", tight).against == [
        "us would get more of the new clients, and is 84% full: 80% is the most",
        "ap would get more of the new clients, and is 84% full: 80% is the most",
    ]


def test_a_plan_says_who_comes_home_and_how_fast() -> None:
    found = plan("return", "eu", sight(*EVACUATED, empty=("eu-1", "eu-2")), over_s=5)
    assert found.notes[-1] == (
        "clients whose home it is come back by themselves: some of the 400 that are elsewhere, "
        "7/s at most"
    )
    many = plan("uncordon", "eu", sight(*EVACUATED, connections=4_000, empty=("eu-1", "eu-2")))
    assert many.notes[-1].endswith(
        "some of the 16,000 that are elsewhere, 267/s at most, and 40/s are let in: the others "
        "wait, and try again"
    )

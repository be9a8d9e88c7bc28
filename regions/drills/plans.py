"""What each drill does, as steps. Values only; `catalogue` names them."""

from regions.drills.places import Choice
from regions.drills.step import (
    Break,
    Calm,
    Drop,
    Heal,
    Hold,
    Home,
    KillLeader,
    Operate,
    Plan,
    PresentCursors,
    Recover,
    Restart,
    Snapshot,
    Step,
    TakeCursors,
    Up,
)
from regions.errors import DrillError
from regions.faults.fault import (
    DownFault,
    FaultName,
    FillDiskFault,
    KillFault,
    LinkFault,
    PauseFault,
    RewindFault,
    WedgeFault,
)
from regions.faults.flow import Change, Pair

CALM_S = 6.0
HOME_S = 5.0
RAMP_S = 90.0  # in which clients come home one by one
SLOW_MS = 250.0
SLOW_JITTER_MS = 80.0
SLOW_LOSS = 0.03
SLOW_KBIT = 4_000.0


def edge_kill(choice: Choice, _hold_s: float) -> Plan:
    """SIGKILL one edge; the supervisor starts it again."""
    edge = choice.edge
    return _plan(Break("kill", KillFault([edge])), Up((edge,)), needs=("kill",))


def edge_hang(choice: Choice, hold_s: float) -> Plan:
    """SIGSTOP one edge; it goes on when it is healed, and has to find out that it was away."""
    edge = choice.edge
    return _plan(
        Break("hang", PauseFault([edge])), Hold(hold_s), Heal("hang", (edge,)), needs=("pause",)
    )


def edge_drain(choice: Choice, _hold_s: float) -> Plan:
    """Deploy one edge: SIGTERM, drain, start."""
    return _plan(Restart(choice.edge))


def edge_rolling(choice: Choice, _hold_s: float) -> Plan:
    """Deploy all edges, one after the other."""
    steps: list[Step] = []
    for edge in choice.shuffled(choice.places.edges):
        steps += [Restart(edge), Recover()]
    return _plan(*steps)


def nats_kill(choice: Choice, _hold_s: float) -> Plan:
    """SIGKILL a nats-server: a region's only one, and the leader where there are three."""
    steps: list[Step] = []
    threes = [region for region in choice.places.regions if len(region.servers) > 1]
    ones = [region for region in choice.places.regions if len(region.servers) == 1]
    if threes:
        region = choice.at if choice.at in threes else choice.dice.choice(threes)
        steps += [KillLeader(region.name), Up(region.servers), Recover(), Calm(CALM_S)]
    if ones:
        region = choice.at if choice.at in ones else choice.dice.choice(ones)
        steps += [Break("kill", KillFault(list(region.servers))), Up(region.servers)]
    if not steps:
        raise DrillError("no nats-server of this world is its own")
    return _plan(*steps, needs=("kill",))


def region_isolate(choice: Choice, hold_s: float) -> Plan:
    """Cut all links of a region; its clients stay."""
    choice.partner  # noqa: B018 (raises where there is none)
    name = choice.at.name
    pairs = [pair for other in choice.places.names if other != name for pair in _both(name, other)]
    return _cut(pairs, hold_s, "cut")


def pair_partition(choice: Choice, hold_s: float) -> Plan:
    """Cut two regions from each other; the third sees both."""
    return _cut(_both(choice.at.name, choice.partner.name), hold_s, "cut")


def one_way(choice: Choice, hold_s: float) -> Plan:
    """Cut one direction only."""
    return _cut([(choice.at.name, choice.partner.name)], hold_s, "one-way")


def wan_slow(choice: Choice, hold_s: float) -> Plan:
    """Make the links of a region slow, unsteady, narrow, and lossy where that can be."""
    choice.partner  # noqa: B018 (raises where there is none)
    name, can_lose = choice.at.name, choice.places.can("loss")
    pairs = [pair for other in choice.places.names if other != name for pair in _both(name, other)]
    change = Change(
        delay_ms=SLOW_MS,
        jitter_ms=SLOW_JITTER_MS,
        rate_kbit=SLOW_KBIT,
        loss=SLOW_LOSS if can_lose else None,
    )
    return _plan(
        Break("slow", LinkFault(pairs, change)), Hold(hold_s), Heal("slow"), needs=("delay", "rate")
    )


def region_loss(choice: Choice, hold_s: float) -> Plan:
    """SIGKILL everything in a region at once; it stays down, and returns later."""
    choice.partner  # noqa: B018 (raises where there is none)
    region = choice.at
    return _plan(
        Break("lost", DownFault(list(region.processes)), lost=region.name),
        Hold(hold_s),
        Heal("lost", region.processes),
        needs=("down",),
    )


def region_return(choice: Choice, hold_s: float) -> Plan:
    """Lose a region, let it return, and let its clients come home."""
    plan = region_loss(choice, hold_s)
    lost, held, healed, *rest = plan.steps[1:]
    steps = (Calm(CALM_S), lost, held, healed, Recover(), Home(), *rest)
    return Plan(steps, plan.needs, home_after_s=HOME_S)


def evacuate(choice: Choice, hold_s: float) -> Plan:
    """Evacuate a region as an operator does, and let it return."""
    choice.partner  # noqa: B018 (raises where there is none)
    name = choice.at.name
    return Plan(
        (
            Calm(CALM_S),
            Operate("evacuate", name),
            Recover(),
            Calm(hold_s),
            Operate("return", name, RAMP_S),
            Home(),
            Recover(),
            Calm(CALM_S),
        ),
        home_after_s=HOME_S,
    )


def mirror_wedge(choice: Choice, hold_s: float) -> Plan:
    """Stop what feeds a mirror, while NATS sees nothing wrong."""
    fault = WedgeFault(region=choice.at.name, origin=choice.partner.name)
    return _plan(Break("wedge", fault), Hold(hold_s), Heal("wedge"), needs=("wedge",))


def partition_wedged(choice: Choice, hold_s: float) -> Plan:
    """Cut two regions from each other, and leave a mirror wedged when they hear each other again.

    Whatever the mirror does, clients have to be current soon: what it lacks is read at its origin.
    """
    here, there = choice.at.name, choice.partner.name
    return _plan(
        Break("wedge", WedgeFault(region=here, origin=there)),
        Break("cut", LinkFault(_both(here, there), Change(cut=True))),
        Hold(hold_s),
        Heal("cut"),
        Hold(2 * CALM_S),
        Heal("wedge"),
        needs=("wedge", "cut"),
    )


def origin_rewind(choice: Choice, hold_s: float) -> Plan:
    """An origin loses its newest events: first where mirrors have them, then where none does."""
    choice.partner  # noqa: B018 (raises where there is none)
    region = choice.at
    return _plan(
        Snapshot(region.name),
        Calm(hold_s),
        Break("tail", RewindFault(region.name, witnesses=True, mirrors=True)),
        Recover(),
        Heal("tail"),
        Snapshot(region.name),
        Calm(hold_s),
        TakeCursors(),
        Break("epoch", RewindFault(region.name, witnesses=True, mirrors=False)),
        Hold(hold_s),
        Heal("epoch"),
        Recover(),
        PresentCursors(),
        needs=("rewind", "cut"),
    )


def disk_full(choice: Choice, hold_s: float) -> Plan:
    """Leave the nats-server of a region no room; freed, it has to be restarted."""
    server = choice.dice.choice(choice.at.servers)
    is_disk = choice.places.can("fill-disk")
    fault = FillDiskFault(server, "disk" if is_disk else "limit")
    return _plan(
        Break("full", fault),
        Hold(hold_s),
        Heal("full", (server,)),
        needs=("fill-disk" if is_disk else "store-limit",),
    )


def herd(choice: Choice, _hold_s: float) -> Plan:
    """Break the connections of all clients of a region at once."""
    return _plan(Drop(choice.at.name))


def _cut(pairs: list[Pair], hold_s: float, need: FaultName) -> Plan:
    fault = LinkFault(pairs, Change(cut=True))
    return _plan(Break("cut", fault), Hold(hold_s), Heal("cut"), needs=(need,))


def _plan(*steps: Step, needs: tuple[FaultName, ...] = ()) -> Plan:
    return Plan((Calm(CALM_S), *steps, Recover(), Calm(CALM_S)), needs)


def _both(one: str, other: str) -> list[Pair]:
    return [(one, other), (other, one)]

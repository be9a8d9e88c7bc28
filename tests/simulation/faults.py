"""The kinds of fault: each begins, and returns what heals it."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from relay.core import names
from relay.core.codes import Op
from relay.core.wire import Payload
from tests.simulation.edges import SimEdge
from tests.simulation.keeper import rebuild
from tests.simulation.links import Link
from tests.simulation.nats import System
from tests.simulation.plan import SKEW_S
from tests.simulation.world import World

Heal = Callable[[], None]


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    Args:
        begin: does it, and returns what heals it; None: there is nothing here to do it to.
        lasts_s: how long, at least and at most.
    """

    begin: "Callable[[World, random.Random], Heal | None]"
    lasts_s: tuple[float, float] = (0.5, 6.0)


# --- links ---------------------------------------------------------------------------------------


def _link(world: World, dice: random.Random) -> Link | None:
    return world.links[dice.choice(sorted(world.links))] if world.links else None


def link_cut(world: World, dice: random.Random) -> Heal | None:
    """Both ends know at once."""
    link = _link(world, dice)
    if link is None or link.cut:
        return None
    link.break_up()
    return link.heal


def link_blackhole(world: World, dice: random.Random) -> Heal | None:
    """Packets vanish both ways; nobody is told before the pings are missed."""
    link = _link(world, dice)
    if link is None or link.stalled or not link.open:
        return None
    link.stall(*link.ends)
    return link.heal


def link_one_way(world: World, dice: random.Random) -> Heal | None:
    """Packets vanish one way."""
    link = _link(world, dice)
    if link is None or link.stalled or not link.open:
        return None
    link.stall(dice.choice(link.ends))
    return link.heal


def link_flap(world: World, dice: random.Random) -> Heal | None:
    """It breaks again and again."""
    link = _link(world, dice)
    if link is None or link.cut:
        return None
    at_s = 0.0
    for _ in range(dice.randint(2, 5)):
        world.scheduler.after(at_s, link.reset)
        at_s += dice.uniform(0.1, 2.5)
    return _nothing


def link_slow(world: World, dice: random.Random) -> Heal | None:
    """Everything takes far longer."""
    link = _link(world, dice)
    if link is None:
        return None
    link.slowness = dice.uniform(3, 15)

    def heal() -> None:
        link.slowness = 1.0

    return heal


def link_loss(world: World, dice: random.Random) -> Heal | None:
    """Lost packets hold up what follows."""
    link = _link(world, dice)
    if link is None:
        return None
    link.loss = dice.uniform(0.05, 0.4)

    def heal() -> None:
        link.loss = 0.0

    return heal


def region_isolated(world: World, dice: random.Random) -> Heal | None:
    """A region loses all its links, and perhaps its clients."""
    region = dice.choice(sorted(world.systems))
    links = list(world.systems[region].links.values())
    if not links or any(link.cut for link in links):
        return None
    for link in links:
        if dice.random() < 0.5 or not link.open:
            link.break_up()
        else:
            link.stall(*link.ends)
    if dice.random() < 0.3:
        _cut_off(world, region)

    def heal() -> None:
        for link in links:
            link.heal()
        world.unreachable.discard(region)

    return heal


def _cut_off(world: World, region: str) -> None:
    world.unreachable.add(region)
    for client in world.clients:
        if client.at is not None and client.at.region == region:
            client.drop()


def region_unreachable(world: World, dice: random.Random) -> Heal | None:
    """Clients can't reach a region; nothing tells them."""
    region = dice.choice(sorted(world.systems))
    if world.unreachable:
        return None
    _cut_off(world, region)
    return lambda: world.unreachable.discard(region)


# --- mirrors -------------------------------------------------------------------------------------


def mirror_wedged(world: World, dice: random.Random) -> Heal | None:
    """A mirror stops, with lag 0."""
    pumps = [pump for pump in world.pumps if not pump.wedged]
    if not pumps:
        return None
    pump = dice.choice(pumps)
    pump.wedge()
    return pump.release


def mirror_skips(world: World, dice: random.Random) -> Heal | None:
    """A link breaks, and the mirrors lose events when they begin again."""
    link = _link(world, dice)
    if link is None or link.cut:
        return None
    pumps = [pump for pump in world.pumps if pump.link is link]
    for pump in pumps:
        pump.skips = 0.8
    link.reset()

    def heal() -> None:
        for pump in pumps:
            pump.skips = 0.0

    return heal


def mirror_late(world: World, dice: random.Random) -> Heal | None:
    """A link breaks, and the mirrors begin again much later."""
    link = _link(world, dice)
    if link is None or link.cut:
        return None
    pumps = [pump for pump in world.pumps if pump.link is link]
    for pump in pumps:
        pump.late = 0.8
    link.reset()

    def heal() -> None:
        for pump in pumps:
            pump.late = 0.0

    return heal


def mirror_rebuilt(world: World, dice: random.Random) -> Heal | None:
    """A mirror is deleted and filled anew."""
    pumps = [pump for pump in world.pumps if pump.running]
    if not pumps:
        return None
    rebuild(world, pumps[int(dice.random() * len(pumps))], dice.uniform(0.02, 0.4))
    return _nothing


# --- NATS ----------------------------------------------------------------------------------------


def _system(world: World, dice: random.Random, *, clustered: bool | None = None) -> System | None:
    found = [
        system
        for _, system in sorted(world.systems.items())
        if all(system.alive)
        and not system.no_leader
        and not system.frozen
        and (clustered is None or system.clustered == clustered)
    ]
    return dice.choice(found) if found else None


def _stop_all(system: System) -> Heal:
    for server in range(len(system.alive)):
        system.kill(server)

    def heal() -> None:
        for server in range(len(system.alive)):
            system.start(server)

    return heal


def nats_killed(world: World, dice: random.Random) -> Heal | None:
    """All nats-servers of a region are killed; what was stored is stored."""
    system = _system(world, dice)
    return None if system is None else _stop_all(system)


def nats_frozen(world: World, dice: random.Random) -> Heal | None:
    """A region's only nats-server stands still."""
    system = _system(world, dice, clustered=False)
    if system is None:
        return None
    system.frozen = True
    for link in system.links.values():
        if link.open:
            link.stall(*link.ends)

    def stale() -> None:
        if system.frozen:
            for edge in world.edges.values():
                for connection in system.connections_of(edge.name):
                    system.hang_up(connection, keep=False)

    world.scheduler.after(5.0, stale)

    def heal() -> None:
        system.thaw()
        for link in system.links.values():
            if not link.cut:
                link.heal()

    return heal


def tail_lost(world: World, dice: random.Random) -> Heal | None:
    """A region's NATS dies and comes back without its newest events.

    The edges that acknowledged them live: where they are lost as well, and no mirror has the
    events, nobody knows of them (docs/reliability.md).
    """
    system = _system(world, dice)
    if system is None or not _all_serve(world, system.region):
        return None
    heal = _stop_all(system)
    world.doubtful[system.region] = world.scheduler.now
    stream = system.streams[names.events_stream(system.region)]
    lost = min(dice.randint(1, 12), len(stream.seqs))
    if lost:
        stream.truncate(stream.seqs[-lost] - 1)
        world.truth.causes.add("tail lost")
        for _ in range(lost):
            world.effect("event lost by its origin's store")
    return heal


def _all_serve(world: World, region: str) -> bool:
    edges = [edge for edge in world.edges.values() if edge.region == region]
    return all(
        edge.running
        and edge.edge is not None
        and edge.edge.gate.is_open
        and not edge.edge.draining  # it ends in a moment
        for edge in edges
    )


def leader_killed(world: World, dice: random.Random) -> Heal | None:
    """The leader of three dies; the last events it acknowledged are never republished."""
    system = _system(world, dice, clustered=True)
    if system is None:
        return None
    system.muted = True

    def kill() -> None:
        if system.up and system.alive[system.leader]:
            system.no_leader = True
            system.muted = False
            system.kill(system.leader)
            system.restart_pumps()
            world.scheduler.after(dice.uniform(4.0, 6.0), system.elect)

    world.scheduler.after(dice.uniform(0.0, 0.15), kill)

    def heal() -> None:
        if system.no_leader:
            system.elect()
        system.muted = False
        for server in range(len(system.alive)):
            system.start(server)

    return heal


def follower_behind(world: World, dice: random.Random) -> Heal | None:
    """Direct gets are answered by followers that lag."""
    system = _system(world, dice, clustered=True)
    if system is None:
        return None
    system.lag_s = dice.uniform(0.02, 0.2)

    def heal() -> None:
        system.lag_s = 0.0

    return heal


def replica_behind(world: World, dice: random.Random) -> Heal | None:
    """One replica of three lags far behind, and answers direct gets like the others."""
    system = _system(world, dice, clustered=True)
    if system is None:
        return None
    system.stale_s = dice.uniform(0.3, 4.0)

    def heal() -> None:
        system.stale_s = 0.0

    return heal


def disk_lost(world: World, dice: random.Random) -> Heal | None:
    """A region's NATS comes back with nothing: its streams are made anew, and its mirrors filled.

    As with a tail that is lost, edges that acknowledged events live.
    """
    system = _system(world, dice)
    if system is None or not _all_serve(world, system.region):
        return None
    back = _stop_all(system)
    world.doubtful[system.region] = world.scheduler.now
    world.truth.causes |= {"tail lost", "expired"}
    world.effect("disk lost")
    world.home_streams(system.region)
    fed = [pump for pump in world.pumps if pump.dest is system]
    for pump in fed:
        world.mirror(system.region, pump.name)

    def heal() -> None:
        back()
        for pump in fed:
            pump.restart()

    return heal


def reads_slow(world: World, dice: random.Random) -> Heal | None:
    """Direct gets are answered slowly: what is read is old when it comes."""
    system = _system(world, dice)
    if system is None:
        return None
    system.reads_take_s = dice.uniform(0.05, 0.6)

    def heal() -> None:
        system.reads_take_s = 0.0

    return heal


def ack_lost(world: World, dice: random.Random) -> Heal | None:
    """Publishes are stored, and the answers lost."""
    system = _system(world, dice)
    if system is None:
        return None
    system.ack_loss = dice.uniform(0.2, 1.0)

    def heal() -> None:
        system.ack_loss = 0.0

    return heal


def ack_late(world: World, dice: random.Random) -> Heal | None:
    """Publishes are stored, and answered after the time-out."""
    system = _system(world, dice)
    if system is None:
        return None
    system.ack_late = dice.uniform(0.2, 1.0)

    def heal() -> None:
        system.ack_late = 0.0

    return heal


def disk_full(world: World, dice: random.Random) -> Heal | None:
    """Publishes time out without an error, until the server is restarted."""
    system = _system(world, dice, clustered=False)
    if system is None:
        return None
    system.disk_full = True

    def heal() -> None:
        if system.disk_full:
            system.kill(0)
            world.scheduler.after(0.4, system.start, 0)

    return heal


def stream_expired(world: World, dice: random.Random) -> Heal | None:
    """Every copy of a stream drops its oldest events."""
    origin = dice.choice(sorted(world.systems))
    name = names.events_stream(origin)
    home = world.systems[origin].streams.get(name)
    if home is None or len(home.seqs) < 4:
        return None
    upto = home.seqs[int(len(home.seqs) * dice.uniform(0.2, 0.9))]
    world.truth.causes.add("expired")
    for _, system in sorted(world.systems.items()):
        stream = system.streams.get(name)
        if stream is not None:
            stream.expire_upto(upto)
    return _nothing


# --- edges ---------------------------------------------------------------------------------------


def _edge(world: World, dice: random.Random) -> SimEdge | None:
    running = [
        edge
        for edge in world.edges.values()
        if edge.running and edge.edge is not None and not world.in_doubt(edge.region)
    ]
    return dice.choice(running) if running else None


def slow_consumer(world: World, dice: random.Random) -> Heal | None:
    """The server ends an edge's live connection."""
    edge = _edge(world, dice)
    if edge is None:
        return None
    system = world.systems[edge.region]
    for connection in system.connections_of(f"{edge.name}.live"):
        system.hang_up(connection, keep=dice.random() < 0.5)
    return _nothing


def work_lost(world: World, dice: random.Random) -> Heal | None:
    """The server ends an edge's other connections."""
    edge = _edge(world, dice)
    if edge is None:
        return None
    system = world.systems[edge.region]
    purpose = dice.choice(("work", "read", "replay", "watch"))
    for connection in system.connections_of(f"{edge.name}.{purpose}"):
        system.hang_up(connection, keep=dice.random() < 0.5)
    return _nothing


def edge_killed(world: World, dice: random.Random) -> Heal | None:
    """SIGKILL; started again under the same name."""
    edge = _edge(world, dice)
    if edge is None:
        return None
    edge.kill()
    return lambda: edge.start() if edge.loop is None else None


def edge_stopped(world: World, dice: random.Random) -> Heal | None:
    """SIGSTOP, later SIGCONT."""
    edge = _edge(world, dice)
    if edge is None:
        return None
    edge.stop()
    return edge.proceed


def edge_drained(world: World, dice: random.Random) -> Heal | None:
    """Clients are sent elsewhere, then the edge ends, as a deploy does it."""
    edge = _edge(world, dice)
    if edge is None or edge.edge is None or edge.loop is None:
        return None
    running, loop = edge.edge, edge.loop

    def drain() -> None:
        running.draining = True
        for connection in list(running.gateway.connections):
            connection.send(Payload(Op.RECONNECT))
        loop.call_later(0.5, running.gateway.close_all, 4021)

    loop.call_soon(drain)
    lives, healed = edge.lives, False

    def end() -> None:
        if edge.lives == lives:
            edge.kill()
            if healed:
                edge.start()

    def heal() -> None:
        nonlocal healed
        healed = True
        if edge.loop is None:
            edge.start()

    world.scheduler.after(0.8, end)
    return heal


def clock_steps(world: World, dice: random.Random) -> Heal | None:
    """An edge's wall clock steps."""
    edge = _edge(world, dice)
    if edge is None or edge.loop is None:
        return None
    edge.skew_s = dice.uniform(-SKEW_S, SKEW_S)
    edge.loop.skew_s = edge.skew_s
    return _nothing


# --- clients -------------------------------------------------------------------------------------


def client_cut(world: World, dice: random.Random) -> Heal | None:
    """A client's connection dies without a word."""
    dice.choice(world.clients).drop()
    return _nothing


def client_slow(world: World, dice: random.Random) -> Heal | None:
    """A client reads slowly: what it is sent takes seconds."""
    client = dice.choice(world.clients)
    client.slow_s = dice.uniform(0.05, 0.6)
    if client.wire is not None:
        client.wire.slow_s = client.slow_s

    def heal() -> None:
        client.slow_s = 0.0
        if client.wire is not None:
            client.wire.slow_s = 0.0

    return heal


def herd(world: World, dice: random.Random) -> Heal | None:
    """All clients leave their edges at once, and come back anywhere."""
    del dice
    for client in world.clients:
        client.reconnect()
    return _nothing


KINDS: dict[str, Kind] = {
    "link cut": Kind(link_cut, (0.3, 8.0)),
    "link blackhole": Kind(link_blackhole, (0.3, 14.0)),
    "link one-way": Kind(link_one_way, (0.3, 14.0)),
    "link flapping": Kind(link_flap),
    "link slow": Kind(link_slow),
    "link loses packets": Kind(link_loss),
    "region isolated": Kind(region_isolated, (0.5, 12.0)),
    "region unreachable for clients": Kind(region_unreachable),
    "mirror wedged": Kind(mirror_wedged, (2.0, 15.0)),
    "mirror skips": Kind(mirror_skips, (5.0, 8.0)),
    "mirror late": Kind(mirror_late, (5.0, 8.0)),
    "mirror rebuilt": Kind(mirror_rebuilt),
    "nats killed": Kind(nats_killed, (0.2, 4.0)),
    "nats stands still": Kind(nats_frozen, (0.5, 8.0)),
    "origin loses its tail": Kind(tail_lost, (0.2, 3.0)),
    "stream leader killed": Kind(leader_killed, (5.0, 8.0)),
    "follower behind": Kind(follower_behind, (1.0, 6.0)),
    "reads slow": Kind(reads_slow, (1.0, 8.0)),
    "publish acks lost": Kind(ack_lost),
    "publish acks late": Kind(ack_late),
    "disk full": Kind(disk_full, (0.5, 4.0)),
    "stream expired": Kind(stream_expired),
    "live connection lost": Kind(slow_consumer),
    "other connection lost": Kind(work_lost),
    "edge killed": Kind(edge_killed, (0.2, 4.0)),
    "edge stopped": Kind(edge_stopped, (0.5, 20.0)),
    "edge drained": Kind(edge_drained, (1.0, 3.0)),
    "clock steps": Kind(clock_steps),
    "client's network gone": Kind(client_cut),
    "herd": Kind(herd),
    "one replica far behind": Kind(replica_behind, (1.0, 8.0)),
    "disk lost": Kind(disk_lost, (0.2, 3.0)),
    "client reads slowly": Kind(client_slow, (1.0, 8.0)),
}

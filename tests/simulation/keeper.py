"""The keeper of a world: every 3 s it fills mirrors anew that skipped events, or parted."""

import msgspec

from relay.core.hole import Hole
from relay.core.names import events_stream, hole_subject, records_stream
from relay.core.runs import ranges
from tests.simulation.mirrors import Pump
from tests.simulation.streams import Stored, Stream
from tests.simulation.world import World

SKIPPED = "it skipped events"
EVERY_S = 3.0
AWAY_S = 0.05  # between the deletion of a mirror and the new one


def rebuild(world: World, pump: Pump, away_s: float) -> None:
    """Delete a mirror, and fill it anew in a while."""
    region, name = pump.dest.region, pump.name
    pump.dest.streams.pop(name, None)

    def again() -> None:
        if name not in pump.dest.streams:
            world.mirror(region, name)
            pump.fill()

    world.scheduler.after(away_s, again)


class Keeper:
    """What `regions.apply` does, on the model."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._started = False

    def start(self) -> None:
        """Begin, once."""
        if not self._started:
            self._started = True
            self._world.scheduler.after(EVERY_S, self._turn)

    def _turn(self) -> None:
        for pump in self._world.pumps:
            mirror, home = pump.dest.streams.get(pump.name), pump.origin.streams.get(pump.name)
            reachable = pump.origin.writes and pump.dest.writes and pump.link.works
            if mirror is None or home is None or not reachable:
                continue
            if why := _wrong(pump, mirror, home):
                self._world.effect(f"mirror filled anew by the keeper: {why}")
                if why == SKIPPED:
                    _record(pump, mirror, home)
                rebuild(self._world, pump, AWAY_S)
        self._world.scheduler.after(EVERY_S, self._turn)


def _wrong(pump: Pump, mirror: Stream, home: Stream) -> str:
    if _parted(mirror, home):
        return "parted from its origin"
    if pump.name == records_stream(pump.origin.region) and mirror.last > home.last:
        return "records ahead of their origin"
    if not home.seqs or home.first > mirror.first or home.last < mirror.last:
        return ""
    late = mirror.last > 0 and mirror.first > home.first
    if late or any(seq in home.messages for seq in mirror.deleted):
        return SKIPPED
    return ""


def _record(pump: Pump, mirror: Stream, home: Stream) -> None:
    """As `regions.apply`: what the mirror had skipped is said before it is filled anew."""
    origin, region = pump.origin.region, pump.dest.region
    if home.name != events_stream(origin):
        return
    for first, last in ranges(sorted(seq for seq in mirror.deleted if seq in home.messages)):
        hole = Hole(region, origin, first, last, skipped=True)
        pump.dest.record(hole_subject(region), msgspec.json.encode(hole))


def _parted(mirror: Stream, home: Stream) -> bool:
    if home.name != events_stream(home.name.partition("_")[2]):
        return False
    above = int(home.metadata.get("epoch_above", "0"))
    for text in home.metadata.get("epoch_forks", "").split(","):
        first = int(text or above + 1)
        held = mirror.messages.keys() & home.messages.keys()
        seq = min((seq for seq in held if first <= seq <= above), default=0)
        if seq and _told(mirror.messages[seq]) != _told(home.messages[seq]):
            return True
    return False


def _told(message: Stored) -> tuple[str, str | None, str | None, bytes]:
    headers = message.headers
    return message.subject, headers.get("Jr-User"), headers.get("Jr-Id"), message.data

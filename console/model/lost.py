"""If a region were lost now: how full the others would be together."""

from collections.abc import Sequence

from console.model.view import RegionView

FULL = 0.95  # of their room: `relay.core.steering` sends nobody to a region that is fuller


def if_lost(region: RegionView, regions: Sequence[RegionView]) -> float | None:
    """How full the others would be with the clients of `region`: 1.0 is all of their room.

    None where that is not known, or where there is no other region with an edge that is ready.
    """
    others = [each for each in regions if each.name != region.name and each.room]
    room = sum(each.room or 0 for each in others)
    if region.connections is None or not room:
        return None
    return (region.connections + sum(each.connections or 0 for each in others)) / room

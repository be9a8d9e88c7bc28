"""How steering sees a fleet, as news. Pure."""

from collections.abc import Mapping

from regions.news import EdgeNews, FlightNews, RegionNews, SteeringNews
from regions.steering.fleet import Outlook
from regions.steering.health import EdgeKey, Try
from relay.core.steering import State


def steering_news(
    outlook: Outlook, tries: Mapping[EdgeKey, Try], now_s: float, at_ms: int, by: str = ""
) -> SteeringNews:
    """The news of one moment.

    Args:
        outlook: how the fleet stands.
        tries: of the edges' doors, the newest ones.
        now_s: the moment, monotonic.
        at_ms: the same, Unix ms.
        by: the region whose keeper sees it.
    """
    flights = outlook.flights
    return SteeringNews(
        at_ms=at_ms,
        by=by,
        tried=len(tries),
        regions=[
            RegionNews(
                name=each.name,
                state=each.verdict.state.value,
                reason=each.verdict.reason,
                admits=each.verdict.admits,
                lat=each.place.lat,
                lon=each.place.lon,
                connections=each.connections,
                room=each.room,
                weight=each.weight,
                cordoned=each.cordoned,
                ramp=each.ramp,
            )
            for each in outlook.regions
        ],
        edges=[
            EdgeNews(
                region=key.region,
                name=key.edge,
                state=verdict.state.value,
                reason=verdict.reason,
                admits=verdict.admits,
                door=None if key not in tries else tries[key].failed,
                door_ms=0.0 if key not in tries else tries[key].took_ms,
            )
            for key, verdict in outlook.edges.items()
            # The others are as they should be: 300 edges would be more than a message holds.
            if verdict.state is not State.OK or (key in tries and tries[key].failed)
        ],
        flights=[
            FlightNews(
                origin=one,
                region=other,
                took_ms=None if (one, other) not in flights.arrived
                else flights.arrived[one, other].took_ms,
                age_ms=int(age_s * 1000),
            )
            for (one, other), age_s in flights.ages(now_s).items()
        ],
    )  # fmt: skip

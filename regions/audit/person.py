"""One user's times online: when, how long, where, and over which devices."""

from collections.abc import Iterable

import msgspec

from regions.audit.rebuild import Stretch


class Online(msgspec.Struct, frozen=True):
    """A session of a user at an edge. Times in Unix ms; `end_ms` null: still open."""

    start_ms: int
    end_ms: int | None
    seconds: float
    region: str
    edge: str
    country: str
    transport: str
    device: str
    session: str
    how: str
    ended: str  # the rule by which the end is known
    code: int


class Person(msgspec.Struct, frozen=True):
    """What the log says of a user in a time."""

    tenant: str
    user: str
    since_ms: int
    until_ms: int
    online_s: float  # with one session at least
    sessions: int
    reconnects: int
    first_ms: int | None
    last_ms: int | None
    devices: list[str]
    countries: list[str]
    times: list[Online]


def person(
    stretches: Iterable[Stretch], tenant: str, user: str, since_ms: int, until_ms: int
) -> Person:
    """The times of a user, in their order."""
    mine = [one for one in stretches if (one.tenant, one.user) == (tenant, user)]
    times = [
        Online(
            one.start_ms,
            one.end_ms,
            _seconds(one, since_ms, until_ms),
            one.region,
            one.edge,
            one.country,
            one.transport,
            one.device,
            one.key.hex(),
            one.how,
            str(one.ended),
            one.code,
        )
        for one in mine
    ]
    return Person(
        tenant,
        user,
        since_ms,
        until_ms,
        online_s=_union_s(mine, since_ms, until_ms),
        sessions=len({one.key for one in mine}),
        reconnects=sum(one.how == "resume" and one.start_ms >= since_ms for one in mine),
        first_ms=min((one.start_ms for one in mine), default=None),
        last_ms=max((until_ms if one.end_ms is None else one.end_ms for one in mine), default=None),
        devices=sorted({one.device for one in mine if one.device}),
        countries=sorted({one.country for one in mine}),
        times=times,
    )


def _span(one: Stretch, since_ms: int, until_ms: int) -> tuple[int, int]:
    end_ms = until_ms if one.end_ms is None else one.end_ms
    return max(one.start_ms, since_ms), min(end_ms, until_ms)


def _seconds(one: Stretch, since_ms: int, until_ms: int) -> float:
    begin, end = _span(one, since_ms, until_ms)
    return max(0, end - begin) / 1000


def _union_s(each: list[Stretch], since_ms: int, until_ms: int) -> float:
    total_ms, upto = 0, since_ms
    for begin, end in sorted(_span(one, since_ms, until_ms) for one in each):
        total_ms += max(0, end - max(begin, upto))
        upto = max(upto, end)
    return total_ms / 1000

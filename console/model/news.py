"""The news of keepers and drills, folded: the newest of each region, and the stages of drills."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from console.model.bounds import MAX_NAME, MAX_NUMBER
from console.model.timeline import Happening, Weight
from regions.news import (
    AckNews,
    AlertChange,
    AlertNews,
    AlertsNews,
    CertificatesNews,
    DrillNews,
    FoundNews,
    News,
    SteeringNews,
    StreamsNews,
)

MAX_DRILLS = 20
MAX_STAGES = 400  # of one drill
MAX_BOUNDS = 64  # that one drill is held against
MAX_ALERTS = 500  # that one keeper says stand
MAX_STREAMS = 400  # of one region
MAX_TEXT = 2_000  # characters of a text
PASSED = "pass"

N = TypeVar("N", StreamsNews, SteeringNews, AlertsNews, CertificatesNews)


@dataclass(frozen=True, slots=True)
class Told:
    """What was told last of each region, and when it came (our steady clock)."""

    streams: Mapping[str, tuple[int, StreamsNews]] = field(default_factory=dict)
    steering: Mapping[str, tuple[int, SteeringNews]] = field(default_factory=dict)
    alerts: Mapping[str, tuple[int, AlertsNews]] = field(default_factory=dict)
    certificates: Mapping[str, tuple[int, CertificatesNews]] = field(default_factory=dict)
    drills: Mapping[str, tuple[DrillNews, ...]] = field(default_factory=dict)  # by run


def tell(told: Told, region: str, news: News, received_ms: int) -> tuple[Told, list[Happening]]:
    """What is known after news of a region came, and what happened by them."""
    match news:
        case StreamsNews():
            return replace(told, streams=_newer(told.streams, region, news, received_ms)), []
        case SteeringNews():
            return replace(told, steering=_newer(told.steering, region, news, received_ms)), []
        case AlertsNews():
            return replace(told, alerts=_newer(told.alerts, region, news, received_ms)), []
        case CertificatesNews():
            known = _newer(told.certificates, region, news, received_ms)
            return replace(told, certificates=known), []
        case AlertChange():
            return told, [of_alert(news)]
        case AckNews(at_ms=at_ms, name=name, on=on, by=by, why=why):
            text = f"{by} looks after {name}{f': {why}' if why else ''}"
            return told, [Happening(at_ms, "alert", on, text)]
        case DrillNews():
            return _drill(told, news)


def is_sound(news: News) -> bool:
    """Whether it is small, and its names and numbers are in range."""
    match news:
        case StreamsNews(at_ms=at_ms, streams=streams):
            return (
                _number(at_ms, news.stored_bytes, news.store_bytes)
                and _short(news.by)
                and len(streams) <= MAX_STREAMS
                and all(_short(each.name, each.origin, each.leader) for each in streams)
                and all(
                    _number(each.first, each.last, each.messages, each.bytes, each.max_bytes)
                    and _number(each.deleted, each.last_ms, each.consumers, each.lag or 0)
                    and _number(each.active_ms or 0, each.epoch or 0)
                    and len(each.peers) <= 16
                    and all(_short(peer.name) for peer in each.peers)
                    for each in streams
                )
            )
        case SteeringNews(at_ms=at_ms, regions=regions, edges=edges, flights=flights):
            return (
                _number(at_ms)
                and _short(news.by)
                and max(len(regions), len(edges), len(flights)) <= 4_096
                and all(
                    _short(each.name)
                    and _text(each.reason, each.cordoned, each.state)
                    and _number(each.connections, each.room, each.weight)
                    and -90 <= each.lat <= 90
                    and -180 <= each.lon <= 180
                    and 0 <= each.ramp <= 1
                    for each in regions
                )
                and all(
                    _short(each.region, each.name)
                    and _text(each.reason, each.state, each.door or "")
                    and _number(each.door_ms)
                    for each in edges
                )
                and all(
                    _short(each.origin, each.region) and _number(each.took_ms or 0, each.age_ms)
                    for each in flights
                )
            )
        case AlertsNews(at_ms=at_ms, alerts=alerts, by=by):
            return (
                _short(by)
                and _number(at_ms)
                and len(alerts) <= MAX_ALERTS
                and all(map(_alert, alerts))
            )
        case AlertChange(at_ms=at_ms, alert=alert):
            return _number(at_ms) and _alert(alert)
        case AckNews(at_ms=at_ms, name=name, on=on, by=by, why=why):
            return _number(at_ms) and _short(name) and len(on) <= 2 * MAX_NAME and _text(by, why)
        case CertificatesNews(at_ms=at_ms, ends=ends):
            return (
                _number(at_ms, *ends.values())
                and len(ends) <= MAX_STREAMS
                and all(len(name) <= 4 * MAX_NAME for name in ends)
            )
        case DrillNews():
            return (
                _number(news.at_ms, news.number, news.at_s, news.took_s or 0)
                and 0 < len(news.run) <= 200
                and _text(news.drill, news.by, news.stage, news.text, news.word, news.report)
                and _text(news.why)
                and (news.found is None or _found(news.found))
            )


def of_alert(change: AlertChange) -> Happening:
    """An alert that began, or is over."""
    alert = change.alert
    weight: Weight = "good"
    if alert.state == "firing":
        weight = "bad" if alert.severity == "page" else "warn"
    text = f"{alert.name}: {alert.text}"
    if alert.state == "resolved":
        text = f"{alert.name} is over"
    told = told_of(change)
    return Happening(change.at_ms, "alert", alert.on, text, weight, told)


def told_of(change: AlertChange) -> str:
    """What names a change, whichever keeper tells it."""
    return f"{change.alert.name} {change.alert.on} {change.alert.state}"


def _drill(told: Told, news: DrillNews) -> tuple[Told, list[Happening]]:
    known = told.drills.get(news.run, ())
    if any(each.number == news.number for each in known):
        return told, []
    stages = tuple(sorted((*known, news), key=lambda each: each.number))
    if len(stages) > MAX_STAGES:  # how it began stays, and what came last
        stages = (stages[0], *stages[2:])
    drills = {**told.drills, news.run: stages}
    while len(drills) > MAX_DRILLS:
        del drills[min(drills, key=lambda run: drills[run][0].at_ms)]
    happened: list[Happening] = []
    if news.word:
        weight: Weight = "good" if news.word == PASSED else "bad"
        text = f"drill {news.drill}: {news.word}"
        happened = [Happening(news.at_ms, "drill", news.run, text, weight)]
    elif news.number == 1:
        text = f"{news.by} began the drill {news.drill}{f': {news.why}' if news.why else ''}"
        happened = [Happening(news.at_ms, "drill", news.run, text)]
    return replace(told, drills=drills), happened


def _newer(
    known: Mapping[str, tuple[int, N]], region: str, news: N, received_ms: int
) -> Mapping[str, tuple[int, N]]:
    before = known.get(region)
    if before is not None and before[1].at_ms > news.at_ms and received_ms - before[0] < 10_000:
        return known  # late
    return {**known, region: (received_ms, news)}


def _alert(alert: AlertNews) -> bool:
    return (
        0 < len(alert.name) <= MAX_NAME
        and len(alert.on) <= 2 * MAX_NAME
        and _text(alert.text, alert.runbook, alert.acked_by, alert.acked_why)
        and _number(alert.since_ms)
    )


def _found(found: FoundNews) -> bool:
    times = (found.detect_s, found.decide_s, found.reconnect_p99_s, found.current_s)
    return (
        _number(found.clients, found.lost, found.repeated, *(each or 0 for each in times))
        and len(found.bounds) <= MAX_BOUNDS
        and all(_text(each.text, each.said, each.bound) for each in found.bounds)
    )


def _number(*numbers: float) -> bool:
    return all(0 <= number < MAX_NUMBER for number in numbers)


def _short(*names: str) -> bool:
    return all(len(name) <= MAX_NAME for name in names)


def _text(*texts: str) -> bool:
    return all(len(text) <= MAX_TEXT for text in texts)

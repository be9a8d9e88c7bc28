"""The alerts that stand, put together from what every keeper says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from regions.news import AlertNews, AlertsNews

GONE_MS = 15_000  # a keeper says every 2 s what stands

_ORDER = {"page": 0, "ticket": 1}


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert as it stands now."""

    name: str
    on: str
    severity: str
    state: str  # pending | firing
    since_ms: int  # Unix ms
    text: str
    runbook: str
    said_by: tuple[str, ...]  # regions whose keepers see it
    age_ms: int  # since the last one said so
    lasted_ms: int  # since it began, by clocks that nobody compares: the keeper's own, and ours
    acked_by: str = ""  # who looks after it
    acked_why: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What names it."""
        return self.name, self.on


class _Said(NamedTuple):
    keeper: str  # its region
    alert: AlertNews
    lasted_ms: int


def standing(
    told: Mapping[str, tuple[int, AlertsNews]], now_ms: int
) -> tuple[tuple[AlertView, ...], Mapping[str, int]]:
    """The alerts that stand, the worst and newest first; and the age of what each keeper says.

    One that any keeper sees firing fires. What a keeper said long ago counts no more. One keeper
    may be heard in several regions: the newest of what it said counts.

    Args:
        told: by region in which it was heard: when it came (`now_ms`'s clock), and what.
        now_ms: now.
    """
    newest: dict[str, tuple[int, AlertsNews]] = {}
    for region, (at_ms, news) in told.items():
        keeper = news.by or region
        if keeper not in newest or newest[keeper][0] < at_ms:
            newest[keeper] = at_ms, news
    ages = {keeper: max(0, now_ms - at_ms) for keeper, (at_ms, _) in newest.items()}
    found: dict[tuple[str, str], list[_Said]] = {}
    for keeper, (_, news) in newest.items():
        if ages[keeper] <= GONE_MS:
            for alert in news.alerts:
                lasted_ms = max(0, news.at_ms - alert.since_ms) + ages[keeper]
                said = _Said(keeper, alert, lasted_ms)
                found.setdefault((alert.name, alert.on), []).append(said)
    views = [_joined(said, ages) for said in found.values()]
    views.sort(key=lambda view: (view.state != "firing", _ORDER[view.severity], view.lasted_ms))
    return tuple(views), ages


def _joined(said: list[_Said], ages: Mapping[str, int]) -> AlertView:
    firing = [each for each in said if each.alert.state == "firing"]
    acked = next((each.alert for each in said if each.alert.acked_by), None)
    first = max(firing or said, key=lambda each: each.lasted_ms)
    alert = first.alert
    return AlertView(
        name=alert.name,
        on=alert.on,
        severity=alert.severity,
        state=alert.state,
        since_ms=alert.since_ms,
        text=alert.text,
        runbook=alert.runbook,
        said_by=tuple(sorted(each.keeper for each in said)),
        age_ms=min(ages[each.keeper] for each in said),
        lasted_ms=first.lasted_ms,
        acked_by="" if acked is None else acked.acked_by,
        acked_why="" if acked is None else acked.acked_why,
    )


def alert_named(alerts: Sequence[AlertView], name: str, on: str = "") -> AlertView:
    """The alert that somebody means.

    Args:
        alerts: those that stand.
        name: the alert's.
        on: what it is about; empty: there is but one of that name.

    Raises:
        LookupError: it does not stand, or several of the name do; the text says which do.
    """
    found = [each for each in alerts if each.name == name and on in ("", each.on)]
    if len(found) == 1:
        return found[0]
    if found:
        raise LookupError(f"{name} stands on {', '.join(each.on for each in found)}: say on which")
    standing = ", ".join(sorted({" ".join(each.key).rstrip() for each in alerts})) or "none does"
    raise LookupError(f"{f'{name} {on}'.rstrip()!r} does not stand: {standing}")

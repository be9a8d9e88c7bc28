"""The alerts that stand, put together from what every keeper says."""

from collections.abc import Mapping
from dataclasses import dataclass

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
    acked_by: str = ""  # who looks after it
    acked_why: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What names it."""
        return self.name, self.on


def standing(
    told: Mapping[str, tuple[int, AlertsNews]], now_ms: int
) -> tuple[tuple[AlertView, ...], Mapping[str, int]]:
    """The alerts that stand, the worst and newest first; and the age of what each keeper says.

    One that any keeper sees firing fires. What a keeper said long ago counts no more.
    """
    ages = {region: max(0, now_ms - at_ms) for region, (at_ms, _) in told.items()}
    found: dict[tuple[str, str], list[tuple[str, AlertNews]]] = {}
    for region, (_, news) in told.items():
        if ages[region] <= GONE_MS:
            for alert in news.alerts:
                found.setdefault((alert.name, alert.on), []).append((region, alert))
    views = [_joined(said, ages) for said in found.values()]
    views.sort(key=lambda view: (view.state != "firing", _ORDER[view.severity], -view.since_ms))
    return tuple(views), ages


def _joined(said: list[tuple[str, AlertNews]], ages: Mapping[str, int]) -> AlertView:
    firing = [alert for _, alert in said if alert.state == "firing"]
    acked = next((alert for _, alert in said if alert.acked_by), None)
    first = min(firing or [alert for _, alert in said], key=lambda alert: alert.since_ms)
    return AlertView(
        name=first.name,
        on=first.on,
        severity=first.severity,
        state=first.state,
        since_ms=first.since_ms,
        text=first.text,
        runbook=first.runbook,
        said_by=tuple(sorted(region for region, _ in said)),
        age_ms=min(ages[region] for region, _ in said),
        acked_by="" if acked is None else acked.acked_by,
        acked_why="" if acked is None else acked.acked_why,
    )

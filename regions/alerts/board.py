"""How alerts stand: pending until their condition lasted for long enough, then firing. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from regions.alerts.rules import Rule
from regions.news import AlertChange, AlertNews

MAX_STANDING = 400  # at once; more are counted
KEEP_MS = 5_000  # an alert is over when its condition was not met for so long: it does not flap

Key = tuple[str, str]  # rule, and what it is about


@dataclass(frozen=True, slots=True)
class _Standing:
    alert: AlertNews
    met_ms: int  # when its condition was met last


class Board:
    """The alerts of one keeper.

    Args:
        rules: what to look for.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self.left_out = 0  # things that meet a condition, beyond `MAX_STANDING`, at the last look
        self._standing: dict[Key, _Standing] = {}

    @property
    def standing(self) -> list[AlertNews]:
        """The alerts that are pending or firing."""
        return [each.alert for each in self._standing.values()]

    def acknowledge(self, name: str, on: str, by: str, why: str) -> None:
        """Somebody looks after an alert, until it is over; nothing, where it does not stand.

        Args:
            name: the alert's.
            on: what it is about.
            by: who.
            why: what is to be known of that.
        """
        known = self._standing.get((name, on))
        if known is not None:
            alert = msgspec.structs.replace(known.alert, acked_by=by, acked_why=why)
            self._standing[name, on] = _Standing(alert, known.met_ms)

    def adopt(self, alerts: Sequence[AlertNews]) -> None:
        """Whom other keepers know to look after alerts."""
        for alert in alerts:
            known = self._standing.get((alert.name, alert.on))
            if alert.acked_by and known is not None and not known.alert.acked_by:
                self.acknowledge(alert.name, alert.on, alert.acked_by, alert.acked_why)

    def look(
        self, rows: Mapping[str, Sequence[Any]], now_ms: int, *, deaf: bool = False
    ) -> list[AlertChange]:
        """Look at everything; what began to fire, and what is over.

        Args:
            rows: by kind, everything that has figures.
            now_ms: Unix ms.
            deaf: the keeper does not hear, or not for long enough again to know who is silent:
                nothing is over by that.
        """
        met: dict[Key, AlertNews] = {}
        self.left_out = 0
        for rule in self.rules:
            for thing in rows.get(rule.each, ()):
                if not rule.query.matches(thing) or _said(rule, thing, met):
                    continue
                key = rule.name, rule.about(thing)
                if key not in self._standing and len(self._standing) + len(met) >= MAX_STANDING:
                    self.left_out += 1
                    continue
                met[key] = self._met(rule, key, thing, now_ms)
        changes = [
            AlertChange(at_ms=now_ms, alert=alert)
            for key, alert in met.items()
            if alert.state == "firing" and not self._fires(key)
        ]
        if not deaf:
            changes += self._resolve(met, now_ms)
        for key, alert in met.items():
            self._standing[key] = _Standing(alert, now_ms)
        return changes

    def _met(self, rule: Rule, key: Key, thing: Any, now_ms: int) -> AlertNews:
        known = self._standing.get(key)
        since_ms = now_ms if known is None else min(known.alert.since_ms, now_ms)
        lasts = self._fires(key) or now_ms - since_ms >= rule.for_s * 1000
        return AlertNews(
            name=rule.name,
            on=key[1],
            severity=rule.severity,
            state="firing" if lasts else "pending",
            since_ms=since_ms,
            text=rule.said(thing),
            runbook=rule.runbook,
            acked_by="" if known is None else known.alert.acked_by,
            acked_why="" if known is None else known.alert.acked_why,
        )

    def _fires(self, key: Key) -> bool:
        known = self._standing.get(key)
        return known is not None and known.alert.state == "firing"

    def _resolve(self, met: Mapping[Key, AlertNews], now_ms: int) -> list[AlertChange]:
        changes = []
        for key in [key for key in self._standing if key not in met]:
            standing = self._standing[key]
            fires = standing.alert.state == "firing"
            if fires and 0 <= now_ms - standing.met_ms < KEEP_MS:
                continue
            del self._standing[key]
            if fires:
                over = msgspec.structs.replace(
                    standing.alert, state="resolved", since_ms=standing.met_ms
                )
                changes.append(AlertChange(at_ms=now_ms, alert=over))
        return changes


def _said(rule: Rule, thing: Any, met: Mapping[Key, AlertNews]) -> bool:
    """Whether another rule says it already of the same place."""
    return bool(rule.unless) and any(
        (name, place) in met for name in rule.unless for place in rule.places(thing)
    )

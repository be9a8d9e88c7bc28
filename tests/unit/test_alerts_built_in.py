"""Each built-in rule is met by what it is about, and not by what is just as it should be."""

from typing import Any

import pytest

from console.model.fields import FIELDS
from regions.alerts.rules import Rule, read_rules
from relay.core.query import Field

Thing = dict[str, Any]
DAY_MS = 86_400_000

# Rule -> things that it is about, and things that it is not about, as figures by their names.
EXPECTED: dict[str, tuple[list[Thing], list[Thing]]] = {
    "RegionDark": (
        [{"state": "dark"}, {"state": "down"}],
        [{"state": "cut_off"}, {"state": "ok"}, {}],
    ),
    "RegionCutOff": ([{"state": "cut_off"}], [{"state": "dark"}, {"state": "degraded"}]),
    "RegionDegraded": (
        [{"state": "degraded", "reason": "eu-1 is starting"}],
        [
            {"state": "degraded", "reason": "eu-1 is cordoned"},
            {"state": "degraded", "reason": "eu-1 is draining"},
            {"state": "ok", "reason": ""},
        ],
    ),
    "NoRegionOpen": ([{"open": 0}], [{"open": 1}, {}]),
    "EdgeSilent": ([{"state": "dark"}], [{"state": "ready"}, {"state": "ended"}]),
    "EdgeCutOff": ([{"state": "cut_off"}], [{"state": "ready"}, {"state": "dark"}]),
    "EdgeAlarm": ([{"alarms": 1}], [{"alarms": 0}, {}]),
    "LoopLate": ([{"loop": 251}], [{"loop": 250}, {}]),
    "EdgeBusy": ([{"cpu": 0.91}], [{"cpu": 0.9}, {}]),
    "EdgeNearlyFull": ([{"taken": 0.91}], [{"taken": 0.9}, {}]),
    "EdgeRefuses": (
        [{"refused": 1.5, "state": "ready"}, {"refused": 2, "state": "full"}],
        [
            {"refused": 1, "state": "ready"},
            {"refused": 9, "state": "cordoned"},
            {"refused": 9, "state": "draining"},
            {"refused": 9, "state": "drained"},
        ],
    ),
    "SlowReaders": ([{"slow": 1.2}], [{"slow": 1}, {}]),
    "PublishesFail": ([{"failed": 0.6}], [{"failed": 0.5}, {}]),
    "NoRoomIfLost": ([{"lost": 1.01}], [{"lost": 1}, {}]),
    "MirrorLate": (
        [{"lag": 3_001, "mirror": "current"}, {"lag": 4_000, "mirror": "behind"}],
        [
            {"lag": 3_000, "mirror": "current"},
            {"lag": 9_000, "mirror": "wedged"},
            {"lag": 9_000, "mirror": "diverged"},
            {"mirror": "current"},
        ],
    ),
    "MirrorWedged": ([{"mirror": "wedged"}], [{"mirror": "behind"}, {"mirror": "current"}]),
    "MirrorDiverged": ([{"mirror": "diverged"}], [{"mirror": "wedged"}, {"mirror": "current"}]),
    "CanaryLost": ([{"age": 12_001}], [{"age": 12_000}, {}]),
    "DoorShut": (
        [{"failed": 1, "reason": "its door fails from us: connect: refused"}],
        [
            {"failed": 0, "reason": "ready"},
            {"failed": 1, "reason": "it is cordoned"},
            {"failed": 1, "reason": "it is draining"},
            {"failed": 1, "reason": "it is full"},
            {"reason": "never tried"},
        ],
    ),
    "StreamBehind": ([{"behind": 1}], [{"behind": 0}, {}]),
    "StreamFull": (
        [{"full": 0.96, "name": name} for name in ("OPS_eu", "LOG_eu", "MIN_eu")],
        [{"full": 0.95, "name": "OPS_eu"}, {"full": 0.99, "name": "EVENTS_eu"}, {"name": "LOG_eu"}],
    ),
    "DiskNearlyFull": ([{"full": 0.91}], [{"full": 0.9}, {}]),
    "CertificateEnds": ([{"left": 14 * DAY_MS - 1}, {"left": -5}], [{"left": 14 * DAY_MS}, {}]),
}  # fmt: skip


def _rules() -> dict[str, Rule]:
    """The built-in rules, over things that are tables of their figures."""

    def of_table(field: Field[Any]) -> Field[Any]:
        return Field(field.name, field.unit, lambda thing: thing.get(field.name), field.meaning)

    fields = {kind: [of_table(each) for each in mine] for kind, mine in FIELDS.items()}
    return {rule.name: rule for rule in read_rules(None, fields)}


RULES = _rules()


def test_every_built_in_rule_is_here() -> None:
    assert EXPECTED.keys() == RULES.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_met_by_what_it_is_about_alone(name: str) -> None:
    met, not_met = EXPECTED[name]
    rule = RULES[name]
    assert {*met[0]} <= {*rule.fields}, "a figure has another name"
    for thing in met:
        assert rule.query.matches(thing), thing
    for thing in not_met:
        assert not rule.query.matches(thing), thing
    assert "{" not in rule.said(met[0] | {"name": "eu-1"})

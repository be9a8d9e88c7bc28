"""What Prometheus scrapes of a deployment, and the rules by which it alerts. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import yaml

from regions.compose.alerts import ALERTS, Alert

Job = Literal["edge", "dns", "keeper", "haproxy", "prometheus"]

JOBS: tuple[Job, ...] = ("edge", "dns", "keeper", "haproxy", "prometheus")
OWN_LABELS: frozenset[Job] = frozenset(
    {"edge", "dns", "keeper"}
)  # what they say of a region counts
SCRAPE_S = 5
TIMEOUT_S = 4
RULES_PATH = "/etc/jetrelay/prometheus/rules.yaml"


@dataclass(frozen=True, slots=True)
class Target:
    """Something that serves `/metrics`."""

    job: Job
    instance: str  # as people call it: `us-1`
    address: str  # host:port
    region: str


def prometheus_config(targets: Sequence[Target]) -> str:
    """The configuration of one Prometheus, as YAML, for Prometheus 2.42 and later, and 3.

    Args:
        targets: all that it scrapes. The first one of the job `prometheus` is itself, and says in
            which region it stands.
    """
    external = {"monitor": "jetrelay"}
    own = next((each for each in targets if each.job == "prometheus"), None)
    if own is not None:
        external["region"] = own.region
    config = {
        "global": {
            "scrape_interval": f"{SCRAPE_S}s",
            "scrape_timeout": f"{TIMEOUT_S}s",
            "evaluation_interval": f"{SCRAPE_S}s",
            "external_labels": external,
        },
        "rule_files": [RULES_PATH],
        "scrape_configs": list(_scrapes(targets)),
    }
    return yaml.safe_dump(config, sort_keys=False, width=100)


def _scrapes(targets: Sequence[Target]) -> Iterator[dict[str, object]]:
    for job in JOBS:
        found = [each for each in targets if each.job == job]
        if found:
            yield {
                "job_name": job,
                "honor_labels": job in OWN_LABELS,
                "static_configs": [
                    {
                        "targets": [each.address],
                        "labels": {"region": each.region, "instance": each.instance},
                    }
                    for each in found
                ],
            }


def alert_rules() -> str:
    """The groups of alerts, as YAML."""
    groups = [
        {"name": f"jetrelay-{name}", "rules": [_rule(each) for each in alerts]}
        for name, alerts in ALERTS.items()
    ]
    return yaml.safe_dump({"groups": groups}, sort_keys=False, width=100)


def _rule(alert: Alert) -> dict[str, object]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": f"{alert.for_s}s",
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook": alert.runbook},
    }

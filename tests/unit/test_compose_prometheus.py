"""What Prometheus is told, and which alerts fire when."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from regions.compose.alerts import ALERTS
from regions.compose.prometheus import RULES_PATH, Target, alert_rules, prometheus_config
from tests.exposed import TARGET, exposed
from tests.promql import (
    grouped_in,
    matched_in,
    metrics_of,
    needs_promtool,
    promtool,
    shown_in,
)
from tests.unit.test_docs import ROOT, slugs

TARGETS = [
    Target("edge", "us-1", "us-1:9180", "us"),
    Target("edge", "us-2", "us-2:9181", "us"),
    Target("dns", "us-dns", "us-dns:9153", "us"),
    Target("keeper", "us-keeper", "us-keeper:9154", "us"),
    Target("haproxy", "us-balancer", "us-balancer:8404", "us"),
    Target("prometheus", "us-prometheus", "127.0.0.1:9090", "us"),
]
ALL = [alert for group in ALERTS.values() for alert in group]


def test_every_target_is_scraped_under_its_name_and_region() -> None:
    config = yaml.safe_load(prometheus_config(TARGETS))
    found = {
        (scrape["job_name"], static["labels"]["instance"], *static["targets"])
        for scrape in config["scrape_configs"]
        for static in scrape["static_configs"]
    }
    assert found == {(each.job, each.instance, each.address) for each in TARGETS}
    assert config["global"]["external_labels"] == {"monitor": "jetrelay", "region": "us"}
    assert config["rule_files"] == [RULES_PATH]


def test_what_a_keeper_says_of_another_region_is_not_put_down_to_its_own() -> None:
    config = yaml.safe_load(prometheus_config(TARGETS))
    honoured = {each["job_name"]: each["honor_labels"] for each in config["scrape_configs"]}
    assert honoured == {
        "edge": True, "dns": True, "keeper": True, "haproxy": False, "prometheus": False,
    }  # fmt: skip


def test_a_job_without_targets_is_left_out() -> None:
    config = yaml.safe_load(prometheus_config(TARGETS[:1]))
    assert [each["job_name"] for each in config["scrape_configs"]] == ["edge"]
    assert config["global"]["external_labels"] == {"monitor": "jetrelay"}


def test_alerts_have_all_that_somebody_who_is_woken_needs() -> None:
    names = []
    for group in yaml.safe_load(alert_rules())["groups"]:
        for rule in group["rules"]:
            names.append(rule["alert"])
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["annotations"]["summary"].endswith((".", "`."))
            assert re.fullmatch(r"[1-9][0-9]*s", rule["for"])
    assert len(names) == len(set(names)) == len(ALL)


@pytest.mark.parametrize("alert", ALL, ids=lambda alert: alert.name)
def test_a_runbook_leads_to_a_heading(alert: Any) -> None:
    page, _, anchor = alert.runbook.partition("#")
    assert anchor in slugs(ROOT / page)


async def test_alerts_are_about_metrics_and_labels_that_exist() -> None:
    known = exposed()
    for alert in ALL:
        named = metrics_of(alert.expr)
        assert named, alert.name
        assert named <= known.keys(), alert.name
        labels = TARGET.union(*(known[name] for name in named))
        for metric, label in matched_in(alert.expr):
            assert label in known[metric] | TARGET, alert.name
        assert grouped_in(alert.expr) <= labels, alert.name
        kept = re.match(r"\w+ by (\([^)]*\))", alert.expr)
        left = grouped_in(f"by {kept[1]}") if kept else labels
        assert shown_in(alert.summary) <= left, alert.name


def test_a_misspelt_metric_is_found() -> None:
    expr = 'sum by (le) (rate(jetrelay_x_total{why!="no \\"query"}[5m])) / on (a) y > 1e3 or up'
    assert metrics_of(expr) == {"jetrelay_x_total", "y", "up"}
    assert list(matched_in(expr)) == [("jetrelay_x_total", "why")]
    assert grouped_in(expr) == {"le", "a"}
    assert shown_in("{{ $labels.region }} is {{ $value | humanize }}, {{code}}") == {
        "region", "code",
    }  # fmt: skip


@needs_promtool
def test_promtool_takes_configuration_and_rules(tmp_path: Path) -> None:
    rules, config = tmp_path / "rules.yaml", tmp_path / "prometheus.yaml"
    rules.write_text(alert_rules())
    config.write_text(prometheus_config(TARGETS).replace(RULES_PATH, str(rules)))
    assert f"{len(ALL)} rules found" in promtool("check", "rules", str(rules))
    assert "SUCCESS" in promtool("check", "config", str(config))


# --- which fire, and which do not: values come every 5 s, from 0 on ------------------------------

OK = {
    'jetrelay_steering_admits{region="us", state="ok", instance="us-dns"}': "1x60",
    'jetrelay_steering_admits{region="eu", state="ok", instance="us-dns"}': "1x60",
}


def expect(tmp_path: Path, series: dict[str, str], firing: dict[int, set[str]]) -> None:
    """Exactly these alerts fire after so many seconds."""
    rules, test = tmp_path / "rules.yaml", tmp_path / "test.yaml"
    rules.write_text(alert_rules())
    asked = [
        {
            "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{at_s}s",
            "exp_samples": [
                {"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)
            ],
        }
        for at_s, names in firing.items()
    ]
    story = {
        "interval": "5s",
        "input_series": [{"series": name, "values": text} for name, text in series.items()],
        "promql_expr_test": asked,
    }
    whole = {"rule_files": [str(rules)], "evaluation_interval": "5s", "tests": [story]}
    test.write_text(yaml.safe_dump(whole))
    promtool("test", "rules", str(test))


@needs_promtool
def test_of_what_is_not_measured_only_the_outlook_is_missed(tmp_path: Path) -> None:
    expect(tmp_path, {}, {50: set(), 90: {"SteeringUnseen"}})
    expect(tmp_path, OK, {90: set()})


@needs_promtool
def test_a_mirror_that_stands_still_is_late_first(tmp_path: Path) -> None:
    series = OK | {
        'jetrelay_lag_ms{origin="us", region="us", instance="us-1"}': "40x60",
        'jetrelay_lag_ms{origin="eu", region="us", instance="us-1"}': "40x11 5000+5000x48",
        'jetrelay_lag_ms{origin="eu", region="us", instance="us-2"}': "40x11 5000+5000x48",
    }
    late, still = {"MirrorLate"}, {"MirrorLate", "MirrorStandsStill"}
    expect(tmp_path, series, {80: set(), 100: late, 120: late, 150: still})


@needs_promtool
def test_a_mirror_that_is_late_and_moves_does_not_stand_still(tmp_path: Path) -> None:
    lag = 'jetrelay_lag_ms{origin="eu", region="us", instance="us-1"}'
    expect(tmp_path, OK | {lag: "90000x60"}, {200: {"MirrorLate"}})


@needs_promtool
def test_of_a_regions_edges_the_best_figure_counts(tmp_path: Path) -> None:
    series = OK | {
        'jetrelay_lag_ms{origin="eu", region="us", instance="us-1"}': "40x60",
        'jetrelay_lag_ms{origin="eu", region="us", instance="us-2"}': "5000+5000x60",
    }
    expect(tmp_path, series, {200: set()})


@needs_promtool
def test_mirrors_of_a_region_that_is_down_are_not_told_of_besides(tmp_path: Path) -> None:
    admits = 'jetrelay_steering_admits{region="eu", state='
    series = {
        'jetrelay_steering_admits{region="us", state="ok", instance="us-dns"}': "1x60",
        f'{admits}"ok", instance="us-dns"}}': "1x11 stale",
        f'{admits}"down", instance="us-dns"}}': "_x11 0x60",
        'jetrelay_lag_ms{origin="eu", region="us", instance="us-1"}': "40x11 5000+5000x48",
    }
    expect(tmp_path, series, {50: set(), 90: {"RegionDown"}, 200: {"RegionDown"}})


@needs_promtool
def test_a_region_is_dark_when_nobody_sees_it_otherwise(tmp_path: Path) -> None:
    admits = 'jetrelay_steering_admits{region="eu", state='
    series = {
        'jetrelay_steering_admits{region="us", state="ok", instance="us-dns"}': "1x60",
        f'{admits}"dark", instance="us-dns"}}': "0x60",
        f'{admits}"ok", instance="us-keeper"}}': "1x23 stale",
        f'{admits}"dark", instance="us-keeper"}}': "_x23 0x36",
    }
    expect(tmp_path, series, {110: set(), 160: {"RegionDark"}})


@needs_promtool
def test_a_region_that_does_not_hear_itself_is_its_own_alarm(tmp_path: Path) -> None:
    series = OK | {
        'jetrelay_lag_ms{origin="us", region="us", instance="us-1"}': "40x11 5000+5000x48",
        'jetrelay_lag_ms{origin="eu", region="us", instance="us-1"}': "40x60",
    }
    expect(tmp_path, series, {60: set(), 120: {"HomeStreamSilent"}})


@needs_promtool
def test_publishes_are_unavailable_from_one_in_a_hundred_on(tmp_path: Path) -> None:
    stored, failed = (
        f'jetrelay_publishes{name}_total{{region="%s", edge="%s-1"}}' for name in ("", "_failed")
    )
    series = OK | {
        stored % ("us", "us"): "0+1000x60",
        failed % ("us", "us"): "0x11 0+20x48",
        stored % ("eu", "eu"): "0+1000x60",
        failed % ("eu", "eu"): "0x11 0+2x48",
        stored % ("ap", "ap"): "7x60",
        failed % ("ap", "ap"): "0x60",
    }
    expect(tmp_path, series, {55: set(), 200: {"PublishesUnavailable"}})
    only_us = {name: text for name, text in series.items() if '"us"' in name or "admits" in name}
    expect(tmp_path, only_us, {200: {"PublishesUnavailable"}})
    without = {name: text for name, text in series.items() if '"us"' not in name} | OK
    expect(tmp_path, without, {200: set()})


@needs_promtool
def test_a_new_epoch_shows_as_refused_resumes(tmp_path: Path) -> None:
    resumes, refused = (
        f'jetrelay_resumes{name}_total{{region="us", edge="us-1"}}' for name in ("", "_refused")
    )
    expect(tmp_path, OK | {resumes: "0+10x60", refused: "0x60"}, {250: set()})
    expect(tmp_path, OK | {resumes: "0+10x60", refused: "0+2x60"}, {250: {"ResumesRefused"}})


@needs_promtool
def test_an_edge_is_nearly_full_by_its_own_limit(tmp_path: Path) -> None:
    labels = '{region="us", edge="us-1", instance="us-1"}'
    series = OK | {f"jetrelay_connections{labels}": "901x60", f"jetrelay_room{labels}": "1000x60"}
    expect(tmp_path, series, {30: set(), 120: {"EdgeNearlyFull"}})
    series[f"jetrelay_connections{labels}"] = "899x60"
    expect(tmp_path, series, {120: set()})


@needs_promtool
def test_a_new_epoch_and_a_mirror_that_parted_are_said_at_once(tmp_path: Path) -> None:
    labels = 'region="eu", edge="eu-1", instance="eu-1", origin="us"'
    series = OK | {
        f"jetrelay_epoch{{{labels}}}": "1x5 2x60",
        f'jetrelay_mirror{{{labels}, state="current"}}': "1x5 _x60",
        f'jetrelay_mirror{{{labels}, state="diverged"}}': "_x5 1x60",
    }
    expect(tmp_path, series, {20: set(), 60: {"EpochBegan", "MirrorUnlikeOrigin"}})

"""`jetrelay check` of a fleet: a word, why, and an exit code, in four formats."""

import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli.check_fleet import nagios, prometheus
from console.feed import LinkChanged, NewsHeard, apply
from console.judgement import Level, judge, summary
from console.model import Fleet, FleetView, LinkState, observe
from regions.news import AlertNews, AlertsNews, Severity
from tests.console.command import run
from tests.console.nats_process import PASSWORD, nats_processes
from tests.console.scenario import quiet, troubled
from tests.console.test_live import fake_edges
from tests.console.test_page import alerted, fleet_of


def with_alert(fleet: Fleet, severity: Severity, text: str = "x") -> FleetView:
    alert = AlertNews(
        name="Slow", on="eu-1", severity=severity, state="firing", since_ms=1, text=text
    )
    news = AlertsNews(at_ms=1, alerts=[alert], rules=1)
    return observe(apply(fleet, NewsHeard("us", news), 79_000), 79_600)


def test_all_is_well() -> None:
    view = observe(alerted(fleet_of(quiet(80))), 79_600)
    assert judge(view).level is Level.OK
    assert summary(view) == "3 regions ok, 6 of 6 edges ready"
    said = nagios(view, judge(view))
    assert said.startswith(f"JETRELAY OK - {summary(view)} | edges_ready=6;;;0;6 ")
    assert said.endswith("ms;1000;3000;0")


def test_where_nobody_looks_for_alerts_all_is_not_well() -> None:
    unkept = fleet_of(quiet(80))
    assert judge(observe(unkept, 2_000)).level is Level.OK, "one may speak yet"
    judgement = judge(observe(unkept, 79_600))
    why = "no keeper is heard: which alerts there are is not known"
    assert (judgement.level, judgement.reasons) == (Level.WARNING, (why,))
    judgement = judge(observe(alerted(unkept), 99_000 + 600))
    assert any("no keeper is heard for 20 s" in reason for reason in judgement.reasons)


def test_where_no_edge_is_heard_at_all_nothing_is_known() -> None:
    connected = apply(Fleet(), LinkChanged(LinkState.CONNECTED, "us", ""), 0)
    judgement = judge(observe(connected, 3_000))
    assert (judgement.level, judgement.reasons[-1]) == (
        Level.UNKNOWN, "no edge of any region is heard",
    )  # fmt: skip


def test_what_is_wrong_is_named_the_worst_first() -> None:
    view = observe(fleet_of(troubled(80)), 79_600)
    judgement = judge(view)
    assert judgement.level is Level.WARNING
    assert judgement.text.startswith("us degraded: us-1 dark; eu degraded: ")
    assert judge(observe(fleet_of(quiet(80)), 95_000)).level is Level.CRITICAL


@pytest.mark.parametrize(
    ("severity", "level"), [("page", Level.CRITICAL), ("ticket", Level.WARNING)]
)
def test_alerts_count(severity: Severity, level: Level) -> None:
    judgement = judge(with_alert(fleet_of(quiet(80)), severity))
    assert (judgement.level, judgement.reasons) == (level, ("Slow eu-1: x",))


def test_who_hears_nothing_knows_nothing() -> None:
    lost = apply(fleet_of(quiet(80)), LinkChanged(LinkState.LOST, "us", "refused"), 79_700)
    assert judge(observe(lost, 80_000)).level is Level.UNKNOWN


def test_nothing_said_can_be_taken_for_figures_or_escape() -> None:
    view = with_alert(fleet_of(quiet(80)), "page", "x | edges_ready=0 \x1b[31m\n")
    said = nagios(view, judge(view))
    assert said.count("|") == 1
    assert said.isprintable()


def test_prometheus_reads_it() -> None:
    view = observe(fleet_of(troubled(80)), 79_600)
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(prometheus(view, judge(view)) + "\n")
        for sample in family.samples
    }
    assert found["jetrelay_check_status",] == 1
    assert found["jetrelay_check_region_state", "us", "degraded"] == 1
    assert found["jetrelay_check_region_state", "us", "ok"] == 0
    assert found["jetrelay_check_lag_milliseconds", "us", "ap"] > 3_000
    assert found["jetrelay_check_alerts", "page"] == 0


async def test_the_command_says_it_and_exits_so(tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.touch(mode=0o600)
    login.write_text(f"console:{PASSWORD}")
    with nats_processes(tmp_path, 1) as (server,):
        await server.start()
        options = ("--nats", server.url, "--creds", str(login))
        async with fake_edges(server):
            code, out, err = await run("check", *options, "--json")
            assert (code, err) == (1, "")
            assert json.loads(out) == {
                "status": "warning",
                "reasons": ["no keeper is heard: which alerts there are is not known"],
                "summary": "3 regions ok, 6 of 6 edges ready, no keeper is heard",
            }  # fmt: skip
            code, out, _ = await run("check", *options, "--format", "nagios")
            assert (code, out[:19]) == (1, "JETRELAY WARNING - ")
    code, out, _ = await run("check", *options, "--format", "nagios")
    assert (code, out.rstrip()) == (
        3, "JETRELAY UNKNOWN - no NATS answers: connection refused",
    )  # fmt: skip
    code, out, err = await run("check", str(tmp_path), "--format", "nagios")
    assert (code, out) == (2, "")
    assert "which has no other options" in err

"""The fleet as a web page: what it says, that it is old when it is, and hostile text."""

import json
import re
import shutil
import subprocess
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from console.feed import FrameHeard, LinkChanged, NewsHeard, apply
from console.model import Fleet, FleetView, LinkState, expect, observe
from console.page import POLICY, page, part, verdict
from regions.news import AlertNews, AlertsNews
from tests.console.scenario import EDGES, frame, quiet, troubled
from tests.console.test_hostile import EVIL

NOW_MS = 1_795_000_080_000


def fleet_of(arrivals: object, link: LinkState = LinkState.CONNECTED) -> Fleet:
    fleet = apply(Fleet(), LinkChanged(link, "us", "connection refused"), 0)
    for region, edges in EDGES.items():
        fleet = expect(fleet, region, edges)
    for arrival in arrivals:  # type: ignore[attr-defined]
        fleet = apply(fleet, FrameHeard(arrival.frame), arrival.at_ms)
    return fleet


def alerted(fleet: Fleet, *alerts: AlertNews) -> Fleet:
    news = AlertsNews(at_ms=NOW_MS, alerts=list(alerts), rules=3)
    return apply(fleet, NewsHeard("us", news), 79_000)


def text_of(html: str) -> str:
    found: list[str] = []

    class Texts(HTMLParser):
        def handle_data(self, data: str) -> None:
            found.append(data)

    Texts().feed(html)
    return " ".join(" ".join(found).split())


def shown(view: FleetView) -> str:
    return text_of("".join(part(view, "relay.test", NOW_MS)))


PAGE = AlertNews(
    name="RegionDark", on="ap", severity="page", state="firing", since_ms=NOW_MS - 61_000,
    text="nothing is heard of ap", runbook="docs/steering.md#health",
)  # fmt: skip


def test_a_quiet_fleet_is_well() -> None:
    view = observe(alerted(fleet_of(quiet(80))), 79_600)
    assert verdict(view) == ("all is well", "pass")
    said = shown(view)
    for text in ("all is well", "relay.test", "● link us", "6 of 6", "None stands.", "● ready"):
        assert text in said, text


def test_trouble_is_named_with_what_to_do() -> None:
    view = observe(alerted(fleet_of(troubled(80)), PAGE), 79_600)
    assert verdict(view)[1] == "fail"
    said = shown(view)
    for text in (
        "page RegionDark ap nothing is heard of ap docs/steering.md#health 61s",
        "○ dark", "◑ draining", "edge eu-2 ready → draining",
    ):  # fmt: skip
        assert text in said, (text, said)


def test_what_is_not_known_is_not_green() -> None:
    assert verdict(observe(fleet_of([], LinkState.CONNECTING), 1_000))[1] == "fail"
    lost = apply(fleet_of(quiet(80)), LinkChanged(LinkState.LOST, "us", "refused"), 79_700)
    assert verdict(observe(lost, 80_000)) == ("unknown: no link: refused", "fail")
    silent = observe(fleet_of(quiet(80)), 95_000)
    assert verdict(silent)[1] == "fail"
    assert verdict(silent)[0].startswith("trouble: us dark: nothing heard; eu dark: nothing heard")
    assert "No keeper says how alerts stand." in shown(silent)


def test_a_ticket_alone_is_neither_well_nor_trouble() -> None:
    ticket = AlertNews(
        name="Slow", on="", severity="ticket", state="firing", since_ms=NOW_MS, text="x"
    )
    assert verdict(observe(alerted(fleet_of(quiet(80)), ticket), 79_600))[1] == "missed"


@pytest.mark.parametrize("evil", EVIL)
def test_text_from_outside_stays_text(evil: str) -> None:
    evil = f"<img src=x onerror=alert(1)>\"'{evil}"
    fleet = apply(Fleet(), LinkChanged(LinkState.CONNECTED, evil[:60], evil), 0)
    for second in (1, 2):
        heard = frame(evil[:60], evil[:60], second, state=evil, lag_ms={evil[:60]: 5_000.0})
        fleet = apply(fleet, FrameHeard(heard), second * 1_000)
    alert = AlertNews(
        name=evil[:60], on=evil, severity="page", state="firing", since_ms=1, text=evil,
        runbook=evil,
    )  # fmt: skip
    fleet = apply(fleet, NewsHeard(evil[:60], AlertsNews(at_ms=1, alerts=[alert], rules=1)), 2_000)
    html = page(observe(fleet, 2_500), evil, NOW_MS)
    html.encode()
    assert "<img" not in html
    assert "\x1b" not in html
    assert html.count("<script>") == 1


def test_the_pages_policy_lets_its_own_script_run_and_no_other() -> None:
    html = page(observe(Fleet(), 0), "x", NOW_MS)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in POLICY
    assert '<noscript><meta http-equiv="refresh"' in html


def test_the_script_says_when_what_is_seen_is_old(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    html = page(observe(Fleet(), 0), "x", NOW_MS)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    play = tmp_path / "play.js"
    play.write_text(
        """
        let now = 0, tick, next, fate = 'well';
        const shown = {innerHTML: ''}, old = {hidden: true, textContent: ''};
        const Date = {now: () => now};
        const setInterval = f => { tick = f; }, setTimeout = f => { next = f; };
        const document = {querySelector: what => what === 'main' ? shown : old};
        const AbortSignal = {timeout: ms => ({ms})};
        const fetch = async (_, {signal}) => {
          if (fate === 'fails') throw new Error('gone');
          if (fate === 'hangs') await new Promise((_, no) => { signal.end = no; hung = signal; });
          return {ok: true, text: async () => 'heard at ' + now};
        };
        let hung;
        """
        + script
        + """
        (async () => {
          const seen = [];
          const see = () => { tick(); seen.push([shown.innerHTML, old.hidden]); };
          for (fate of ['well', 'fails', 'fails', 'fails', 'well']) {
            now += 2000; await next(); see();
          }
          fate = 'hangs'; now += 2000; next();
          now += 8000; see();  // while it is waited for
          next = undefined; hung.end(new Error('timed out after ' + hung.ms));
          await new Promise(done => setImmediate(done));
          fate = 'well'; now += 2000; await next(); see();
          console.log(JSON.stringify(seen));
        })();
        """
    )
    done = subprocess.run([node, play], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout) == [
        ["heard at 2000", True], ["heard at 2000", True], ["heard at 2000", True],
        ["heard at 2000", False], ["heard at 10000", True], ["heard at 10000", False],
        ["heard at 22000", True],
    ]  # fmt: skip

"""The page of a drill's report: whole, self-contained, and safe whatever stands in a verdict."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from regions.drills.history import read_history
from regions.drills.judge import Result, results
from regions.drills.lags import PairLag, Seen
from regions.drills.page import page, write_page
from regions.drills.timeline import Outage, Stage
from regions.drills.verdict import (
    Run,
    Verdict,
    partial,
    read_verdict,
    verdict_of,
    write_verdict,
)
from regions.errors import LedgerError
from regions.ledger.checker import check
from regions.machine import describe
from regions.objectives import Objectives
from tests.unit.drills_history import START, Story, at

HOSTILE = "<script>alert('x')</script>\"&<img src=//evil onerror=x>"
VOID = {"meta", "img", "br", "link", "input"}


class Reader(HTMLParser):
    """Sees that every element is closed, and collects what could load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def run_of(text: str) -> Run:
    return Run(
        drill="edge-kill", seed=1, started="2026-01-01T00:00:00+00:00", began_s=START / 1e9 - 3,
        took_s=30, stages=[Stage("fault", 8.0, text), Stage("detect", 8.4, text, 0.4)],
        spec=None, world=None, machine=describe(1.0),
    )  # fmt: skip


@pytest.fixture
def verdict(tmp_path: Path) -> Verdict:
    story = Story(tmp_path)
    story.mark(1, "before")
    for number in range(2, 12):
        story.publish(number, number + 0.1)
    story.lose(5.4, 5.0, 7.9)
    report = story.end(15)
    outages = [Outage(HOSTILE, at(5), at(9))]
    findings, history = check(report), read_history(report, outages)
    objectives = results("killed", Objectives(), findings, history, outages)
    objectives.append(Result(HOSTILE, HOSTILE, 1, None, met=False))
    lags = [PairLag("us", HOSTILE, 5, 1, 90, 3, ((1.0, 5.0), (2.0, 90.0), (9.0, 4.0)))]
    seen = [Seen(1.0, HOSTILE)]
    return verdict_of(run_of(HOSTILE), findings, history, objectives, lags, seen, {})


def test_the_page_is_whole_and_loads_and_runs_nothing(verdict: Verdict) -> None:
    text = page(verdict)
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not {name for name in reader.attributes if name.startswith("on")}
    assert not reader.attributes & {"src", "href", "srcset", "xlink:href"}
    assert "url(" not in text
    assert "@import" not in text
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text


def test_each_chart_is_a_picture_that_has_a_name(verdict: Verdict) -> None:
    charts = re.findall(r"<svg viewBox[^>]*role=\"img\".*?</svg>", page(verdict))
    names = [ET.fromstring(chart).get("aria-label") for chart in charts]
    assert names == [
        "Timeline of faults and stages",
        "Latency over time",
        "Distribution of the clients' gaps",
        "Lag of each ordered pair of regions",
        "Acknowledged publishes a second",
    ]
    for chart in charts:
        assert "nan" not in chart.lower()
        for number in re.findall(r'[xy][12]?="(-?[\d.]+)"', chart):
            assert -1 <= float(number) <= 1000


def test_an_old_cursor_that_is_taken_for_good_is_a_broken_promise(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.publish(2, 2.1)
    report = story.end(5)
    findings, history = check(report), read_history(report, [])
    for answers, word in (
        ({}, "pass"),
        ({"epoch": 9}, "pass"),
        ({"epoch": 8, "resumed": 1}, "violated"),
    ):
        verdict = verdict_of(run_of("rewind us"), findings, history, [], [], [], answers)
        assert verdict.verdict == word
    assert verdict.why == [
        "cursors of an older epoch that were not refused with `epoch`: 8 epoch, 1 resumed"
    ]


def test_what_proves_nothing_is_no_pass_and_no_miss(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.publish(2, 2.1)
    report = story.end(5)
    findings, history = check(report), read_history(report, [])
    late = Result("current_s", "every client current", 5, 7.0, met=False)
    shortcomings = ["nothing was broken"]
    verdict = verdict_of(run_of(""), findings, history, [late], [], [], {}, shortcomings)
    assert verdict.verdict == "failed"
    assert verdict.why == [
        "nothing was broken",
        "every client current: 7 s, at most 5 s (current_s)",
    ]
    assert "It could not be judged" in page(verdict)
    # What was broken is broken, however little happened.
    taken = {"resumed": 1}
    verdict = verdict_of(run_of(""), findings, history, [], [], [], taken, shortcomings)
    assert verdict.verdict == "violated"


def test_a_verdict_is_what_was_written(verdict: Verdict, tmp_path: Path) -> None:
    write_verdict(tmp_path, verdict)
    again = read_verdict(tmp_path)
    assert again == verdict
    assert page(again) == write_page(tmp_path, verdict).read_text()
    assert verdict.verdict == "missed"  # for the objective that could not be measured
    assert verdict.phases is not None
    assert verdict.phases.reconnect_s == 2.9
    (tmp_path / "verdict.json").write_text("{")
    with pytest.raises(LedgerError, match=r"verdict\.json"):
        read_verdict(tmp_path)


def test_a_drill_that_was_interrupted_has_a_page_too() -> None:
    text = page(partial(run_of("kill us-1"), "interrupted", "Ctrl-C & healed"))
    Reader().feed(text)
    assert "Ctrl-C &amp; healed" in text
    assert "kill us-1" in text

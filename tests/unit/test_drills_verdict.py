"""What a drill reads out of a ledger, and how it holds that against objectives."""

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from regions.drills.catalogue import Kind
from regions.drills.evidence import shortcomings
from regions.drills.history import History, healed, read_history
from regions.drills.judge import missed, results, violations
from regions.drills.lags import PairLag, Seen, first_signs, pair_lags
from regions.drills.telemetry import Heard
from regions.drills.timeline import Outage, Wait
from regions.ledger.checker import check
from regions.ledger.findings import Findings
from regions.ledger.record import GapSaid, LostSaid, Ready
from regions.objectives import Objectives
from tests.unit.drills_history import Story, at
from tests.unit.test_console_fold import frame

OBJECTIVES = Objectives()


def test_a_client_that_lost_its_edge_is_timed_step_by_step(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.mark(1, "before")
    story.publish(2, 2.1)
    story.mark(5, "fault")
    story.publish(6, 8.0)  # `b` is away, and gets it when it is back
    story.lose(5.4, 5.0, 7.9)
    story.mark(9, "healed")
    story.publish(10, 10.1)
    story.mark(12, "after")
    story.publish(13, 13.2)
    report = story.end(15)
    outages = [Outage("kill eu-1", at(5), at(9))]

    history = read_history(report, outages)
    [fault] = history.faults
    assert (fault.at_s, fault.healed_s, fault.hit) == (5.0, 9.0, 1)
    assert (fault.detect.max, fault.decide.max, fault.reconnect.max) == (400.0, 400.0, 2900.0)
    assert fault.current_s == 0.0  # nothing that was acknowledged before 9 came after it
    assert fault.converge_s == 0.0
    assert history.gap_ms.max == 1990.0
    assert history.moved == 1
    assert (history.resume_tries, history.resumed, history.refused) == (1, 1, 0)
    assert history.periods["before"].count == 2
    assert history.periods["after"].max == 200.0
    during, stayed = history.periods["during"], history.periods["stayed"]
    assert 0 < stayed.count < during.count, "of `b`, which went elsewhere, nothing is in it"
    assert stayed.max <= during.max
    assert sum(one.acked for one in history.bins) == 4

    findings = check(report)
    assert violations(findings) == {}
    gap, current, *others = results("killed", OBJECTIVES, findings, history, outages)
    assert [other.key for other in others if other.met] == [
        "resume_success_min", "sessions_lost_max", "declared_events_max", "lost_by_epoch_max",
    ]  # fmt: skip
    assert (gap.measured, gap.met) == (1.99, True)
    assert (current.key, current.met) == ("current_s", True)
    gap = results("planned", OBJECTIVES, findings, history, outages)[0]
    assert not gap.met
    assert missed([gap], {}) == [
        "gap of a client, p99: planned: 1.99 s, at most 1 s (planned_gap_p99_s)"
    ]


@pytest.mark.parametrize(("late_s", "is_met"), [(4.9, True), (5.1, False)])
def test_after_a_partition_everybody_has_to_be_current_in_time(
    tmp_path: Path, late_s: float, is_met: bool
) -> None:
    story = Story(tmp_path)
    story.mark(1, "before")
    story.publish(2, 2.1)
    story.mark(5, "fault")
    story.publish(6, 20 + late_s)
    story.mark(20, "healed")
    story.publish(30, 30.1)
    report = story.end(35)
    outages = [Outage("cut us->eu", at(5), at(20))]
    history = read_history(report, outages)
    assert history.faults[0].current_s == late_s
    assert history.faults[0].converge_s == late_s
    current = results("other", OBJECTIVES, check(report), history, outages)[0]
    assert current.met is is_met
    relaxed = replace(OBJECTIVES, current_s=6)
    assert results("other", relaxed, check(report), history, outages)[0].met


def test_what_only_a_lost_region_had_is_counted_apart(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.mark(1, "before")
    story.mark(5, "fault")
    story.publish(4.95, 41)  # acknowledged, in no mirror yet, and there when the region is back
    story.publish(4.96, 7)  # a mirror had it
    report = story.end(50)
    outages = [Outage("down us-n1", at(5), at(40.5), lost="us", heal_ns=at(39))]
    history = read_history(report, outages)
    assert history.faults[0].stranded == 1
    assert history.gap_ms.max == 2030.0
    findings = check(report)
    assert findings.gap_ms.max == 36040.0
    p99, longest, current = results("lost", OBJECTIVES, findings, history, outages)[:3]
    assert (p99.met, longest.met, current.met) == (True, True, True)


def test_a_broken_promise_is_said_first(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.publish(2, 2.1)
    report = story.end(5)
    path = report / "ledger" / "crowd-0.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if '"k":"event"' not in line or '"c":"b"' not in line]
    path.write_text("".join(kept))
    found = violations(check(report))
    assert found == {"missing": 1, "undeclared_gaps": 1}
    assert missed([], found)[0].startswith("missing: 1 (events that a client was owed")


@pytest.mark.parametrize(
    "kind", ["planned", "killed", "hung", "lost", "wedge", "rewind", "cut", "other"]
)
def test_every_kind_is_held_against_something(tmp_path: Path, kind: Kind) -> None:
    story = Story(tmp_path)
    story.publish(2, 2.1)
    report = story.end(5)
    outages = [Outage("something", at(1), at(3), served_ns=at(2))]
    history = read_history(report, outages)
    found = results(kind, OBJECTIVES, check(report), history, outages)
    assert found
    # Nobody was told of a new epoch, nobody published in the cut: not measured is missed.
    assert all(result.met for result in found) is (kind not in {"rewind", "cut"})


@pytest.mark.parametrize(("ack_ms", "is_met"), [(10, True), (2_100, False)])
def test_a_region_that_is_cut_off_has_to_take_publishes(
    tmp_path: Path, ack_ms: int, is_met: bool
) -> None:
    story = Story(tmp_path)
    story.mark(1, "before")
    story.publish(2, 2.1)
    story.mark(5, "fault")
    story.publish(6, 16, ack_ms=ack_ms)
    story.mark(15, "healed")
    report = story.end(20)
    outages = [Outage("cut us->eu", at(5), at(15))]
    findings, history = check(report), read_history(report, outages)
    assert violations(findings) == {}
    acked, current = results("cut", OBJECTIVES, findings, history, outages)[:2]
    assert (acked.key, acked.met) == ("cut_ack_p99_s", is_met)
    assert acked.measured == pytest.approx(ack_ms / 1000, rel=0.02)
    assert current.met


def test_two_faults_at_once_are_over_together() -> None:
    outages = [Outage("a", 10, 20), Outage("b", 15, 30), Outage("c", 40, 50), Outage("d", 60)]
    assert healed(outages) == [30, 30, 50, None]


def test_a_wedged_mirror_excuses_nobody_from_being_current() -> None:
    outages = [Outage("wedge", 10, 40, excuses=False), Outage("cut", 15, 30)]
    assert healed(outages) == [40, 30]


def test_the_lag_of_each_pair_and_the_first_sign_of_a_fault() -> None:
    def heard(at_s: float, number: int, lag_ms: float, **changes: object) -> Heard:
        values: dict[str, object] = {
            "region": "us", "edge": "us-1", "state": "ready", "nats_connected": True,
            "lag_ms": {"us": 1.0, "eu": lag_ms}, "lag_events": {"eu": number},
            "mirrors": {"eu": "current"}, "alarms": [],
        }  # fmt: skip
        return Heard(at(at_s), frame(number, **(values | changes)))

    frames = [
        heard(1, 1, 60.0),
        heard(2, 2, 70.0),
        heard(3, 3, 250.0),
        heard(4, 4, 2900.0, mirrors={"eu": "cut"}),
        heard(5, 5, 80.0),
    ]
    [lag] = pair_lags(frames, at(0), at(2.5))
    assert (lag.source, lag.target, lag.lag_ms, lag.lag_events) == ("eu", "us", 70.0, 2)
    assert (lag.peak_ms, lag.peak_events) == (2900.0, 5)
    assert lag.points == ((1.0, 60.0), (2.0, 70.0), (3.0, 250.0), (4.0, 2900.0), (5.0, 80.0))
    [seen] = first_signs(frames, [Outage("cut", at(2.5), at(4.5))])
    assert (seen.after_s, seen.sign) == (1.5, "the mirror of eu in us is cut")
    silent = [heard(1, 1, 60.0), heard(2, 2, 60.0), heard(9, 3, 60.0)]
    [seen] = first_signs(silent, [Outage("kill", at(2.5), at(3))])
    assert seen.sign == "nothing is heard of us-1"
    assert seen.after_s is not None
    assert 2.0 < seen.after_s < 2.4


def missed_keys(
    report: Path, outages: list[Outage], kind: Kind = "other", waits: tuple[Wait, ...] = ()
) -> set[str]:
    """The objectives that a run missed, of a ledger that keeps every promise."""
    findings = check(report)
    assert violations(findings) == {}
    history = read_history(report, outages)
    found = results(kind, OBJECTIVES, findings, history, outages, waits)
    return {result.key for result in found if not result.met}


@pytest.mark.parametrize("reason", ["late", "epoch"])
@pytest.mark.parametrize("rewound", [True, False])
def test_what_is_declared_instead_of_delivered_is_no_pass(
    tmp_path: Path, reason: str, *, rewound: bool
) -> None:
    story = Story(tmp_path)
    story.mark(5, "fault")
    for number in range(20):
        seq = story.publish(6 + number / 10, None)
        story.add(GapSaid(at(8), "b", "us", 1, seq, seq, reason, "r"))
    report = story.end(10)
    served_ns = at(5) if rewound else None
    outages = [Outage("rewind us", at(5), at(5), served_ns=served_ns, repairable=False)]
    assert check(report).declared_events == 20
    # An origin that lost its newest events for good has to be told of with a reason of its own.
    excused = rewound and reason == "epoch"
    assert missed_keys(report, outages) == (set() if excused else {"declared_events_max"})


@pytest.mark.parametrize("reason", ["session", "epoch"])
@pytest.mark.parametrize("rewound", [True, False])
def test_sessions_that_can_not_go_on_are_no_pass(
    tmp_path: Path, reason: str, *, rewound: bool
) -> None:
    story = Story(tmp_path)
    story.mark(5, "fault")
    story.add(LostSaid(at(7), "b", reason))
    story.add(Ready(at(7), "b", "s-new", "eu", "eu-1", ("r",), {}))
    report = story.end(10)
    served_ns = at(6) if rewound else None
    outages = [Outage("kill eu-1", at(5), at(6), served_ns=served_ns, repairable=False)]
    excused = rewound and reason == "epoch"
    wanted = set() if excused else {"resume_success_min", "sessions_lost_max"}
    assert missed_keys(report, outages) == wanted


REWIND = Outage("rewind us", at(5), at(7), served_ns=at(6))


@pytest.mark.parametrize(
    ("outages", "excused"),
    [
        ([REWIND], False),  # its mirrors had what it lost
        ([changed(REWIND, repairable=False)], True),
        ([REWIND, Outage("cut us-eu", at(4), at(8))], True),
        ([REWIND, Outage("cut us-eu", at(9), at(10))], True),  # before all was given back
        ([REWIND, Outage("cut us-eu", at(1), at(3))], False),
        ([REWIND, changed(REWIND, from_ns=at(30), served_ns=at(31), repairable=False)], False),
    ],
)
def test_an_epoch_that_began_though_the_mirrors_had_all_is_no_pass(
    tmp_path: Path, outages: list[Outage], *, excused: bool
) -> None:
    story = Story(tmp_path)
    story.mark(5, "fault")
    story.add(LostSaid(at(7), "b", "epoch"))
    story.add(Ready(at(7), "b", "s-new", "eu", "eu-1", ("r",), {}))
    seq = story.publish(7, None)
    story.add(GapSaid(at(8), "b", "us", 1, seq, seq, "epoch", "r"))
    report = story.end(10)
    found = missed_keys(report, outages)
    assert found == (
        set() if excused else {"resume_success_min", "sessions_lost_max", "declared_events_max"}
    )


def test_a_world_that_is_not_as_before_is_no_pass(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.publish(2, 2.1)
    report = story.end(5)
    good = (Wait("recovered_s", 2.5), Wait("home_s", 12.0))
    assert missed_keys(report, [], waits=good) == set()
    why = "the mirror of eu in us is wedged"
    bad = (*good, Wait("recovered_s", None, why))
    assert missed_keys(report, [], waits=bad) == {"recovered_s"}
    assert missed_keys(report, [], waits=(Wait("home_s", 91.0),)) == {"home_s"}
    findings, history = check(report), read_history(report, [])
    [text] = missed(results("other", OBJECTIVES, findings, history, [], bad), {})
    assert text.endswith(f"not in time: {why}, at most 60 s (recovered_s)")


def run(directory: Path, *, publishes: int = 20, hit: bool = True) -> tuple[Findings, History]:
    """Ten seconds in which 2 events/s were asked for, a fault at 5, healed at 9."""
    story = Story(directory)
    story.mark(0, "before")
    for number in range(publishes):
        story.publish(number / 2, number / 2 + 0.1)
    story.mark(5, "fault")
    if hit:
        story.lose(5.4, 5.0, 5.9)
    story.mark(10, "after")
    report = story.end(12)
    return check(report), read_history(report, [Outage("cut us->eu", at(5), at(9))])


SEEN, UNSEEN = Seen(1.5, "the mirror of eu in us is cut"), Seen(None, "")
ROSE, FLAT = PairLag("us", "eu", 50, 0, 3_900, 9), PairLag("us", "eu", 50, 0, 120, 0)


def test_a_run_with_load_and_a_fault_that_showed_itself_proves_something(tmp_path: Path) -> None:
    _, history = run(tmp_path)
    assert (history.load.acked, history.load.seconds) == (20, 10.0)
    assert (history.load_before.acked, history.load_before.seconds) == (10, 5.0)
    for kind in ("killed", "cut", "other"):
        assert shortcomings(kind, 2, history, [SEEN], [ROSE]) == []
    # A herd is nothing that telemetry shows: its clients do.
    assert shortcomings("killed", 2, history, [UNSEEN], []) == []


@pytest.mark.parametrize(
    ("kind", "rate", "publishes", "hit", "seen", "lag", "why"),
    [
        ("killed", 200, 20, True, SEEN, ROSE, "20 events were acknowledged in all, of 2000"),
        ("other", 200, 20, True, SEEN, ROSE, "10 events were acknowledged before anything was"),
        ("killed", 2, 0, True, SEEN, ROSE, "nothing was acknowledged"),
        ("killed", 0, 0, True, SEEN, ROSE, "nothing was acknowledged"),
        ("killed", 2, 20, False, SEEN, ROSE, "no client lost a connection: cut us->eu"),
        ("planned", 2, 20, False, SEEN, ROSE, "no client lost a connection"),
        ("hung", 2, 20, False, SEEN, ROSE, "no client lost a connection"),
        ("lost", 2, 20, False, SEEN, ROSE, "no client lost a connection"),
        ("other", 2, 20, False, UNSEEN, ROSE, "neither telemetry nor a client showed anything"),
        ("wedge", 2, 20, False, UNSEEN, ROSE, "neither telemetry nor a client showed anything"),
        ("cut", 2, 20, False, SEEN, FLAT, "cut for 4 s, and no lag rose above 0.12 s"),
    ],
)
def test_a_run_in_which_nothing_happened_proves_nothing(
    tmp_path: Path,
    kind: Kind,
    rate: float,
    publishes: int,
    hit: bool,
    seen: Seen,
    lag: PairLag,
    why: str,
) -> None:
    _, history = run(tmp_path, publishes=publishes, hit=hit)
    assert why in "; ".join(shortcomings(kind, rate, history, [seen], [lag]))


def test_a_run_in_which_nothing_was_broken_proves_nothing(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.publish(2, 2.1)
    history = read_history(story.end(5), [])
    assert shortcomings("other", 0.2, history, [], []) == ["nothing was broken"]


def test_most_faults_of_a_campaign_have_to_show_themselves(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.publish(2, 2.1)
    outages = [Outage(f"fault {number}", at(2 + number), at(2.5 + number)) for number in range(4)]
    history = read_history(story.end(9), outages)
    assert shortcomings("other", 0.2, history, [SEEN, UNSEEN, SEEN, UNSEEN], []) == []
    [why] = shortcomings("other", 0.2, history, [SEEN, UNSEEN, UNSEEN, UNSEEN], [])
    assert "fault 1, fault 2, fault 3" in why

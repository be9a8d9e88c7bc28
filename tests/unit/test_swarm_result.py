"""What a run found: put together, judged, told, and shown."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from click import unstyle

from cli.swarm_text import live, plan, step, summary
from regions.errors import SwarmError
from regions.machine import describe, host, own, use_of
from regions.swarm.figures import ACK, BACK, CONNECT, DELIVERY, LAG, MISSING, Moment
from regions.swarm.limit import Limit, Seen, Step
from regions.swarm.page import FILE, page, write_page
from regions.swarm.result import Ending, Result, Used, doubts, point, result, write_result
from regions.swarm.run import MEASURED, Said
from regions.swarm.spec import SwarmSpec
from regions.swarm.watch import Sight

HOSTILE = "<script>alert(1)</script>"


def moment(number: int, **counts: int) -> Moment:
    return Moment(
        number=number, wanted=10, here=9, waiting=0,
        counts={"published": 5, "acknowledged": 5, "delivered": 50, "bytes": 9_000, **counts},
        times={f"{DELIVERY} us>us": {100: 9}, f"{DELIVERY} us>eu": {110: 1}, ACK: {90: 5},
               CONNECT: {120: 1}, LAG: {5: 50}},
        cpus=(0.25, 0.5), rss_bytes=100,
    )  # fmt: skip


def found(
    counts: dict[str, int] | None = None, *, short: int = 0, limit: Limit | None = None
) -> Result:
    spec = SwarmSpec(run="x", clients=10, rooms=2, rate=5.0, processes=2)
    whole = [moment(number) for number in range(3)] + [moment(3, **(counts or {}))]
    timeline = [point(one, MEASURED, 0.5, 0.25) for one in whole]
    fleet = {"us-1": Used(0.5, 1024**2, 9), HOSTILE: Used(0.1, 5, 0)}
    return result(
        spec, "2026-01-01T00:00:00Z", describe(0.5), whole, whole[1:], Ending(short), fleet,
        timeline, limit,
    )  # fmt: skip


STEP = Step(
    seen=Seen(load=200, due=200, acked=150, delivered=1, p50_ms=5, p99_ms=900, ack_p99_ms=9),
    why=("delivered within 900 ms (p99), at most 100", HOSTILE),
    full=("all 2 cores of this machine",),
)
CARRIED = msgspec.structs.replace(STEP, why=(), full=())
LIMIT = Limit(what="rate", carried=100.0, broke_at=200.0, full=STEP.full, steps=(CARRIED, STEP))


def test_what_is_measured_is_of_the_seconds_that_count() -> None:
    one = found({"close 4020": 2})
    assert (one.measured_s, one.acked_per_s, one.delivered_per_s) == (3, 5.0, 50.0)
    assert one.counts["acknowledged"] == 20
    assert one.measured["acknowledged"] == 15
    assert [used.cpu for used in one.swarm] == [0.25, 0.5]
    assert one.times[DELIVERY].count == 30
    assert one.times[f"{DELIVERY} in the region"].count == 27
    assert one.times[f"{DELIVERY} across regions"].count == 3
    assert one.times[CONNECT].count == 4, "those who came before are told of too"
    assert BACK not in one.times
    assert one.lost_nothing


def test_what_is_missing_in_the_run_or_at_its_end_is_missing() -> None:
    assert found({MISSING: 2}, short=3).missing == 5
    assert not found(short=1).lost_nothing
    assert not found({"repeated": 1}).lost_nothing


def test_doubts_say_where_the_swarm_itself_was_the_limit() -> None:
    times = msgspec.convert({LAG: {"p99": 30.0}}, dict[str, type(found().times[ACK])])  # type: ignore[misc]
    assert doubts(times, [0.95], 7) == (
        "the swarm was late by 30 ms itself (p99): its cores are taken",
        "a process of the swarm used 95% of a core: give it more",
        "7 events were not published: too many had no answer",
    )
    assert doubts({}, [0.5], 0) == ()


def test_it_is_kept_as_it_is(tmp_path: Path) -> None:
    one = found(limit=LIMIT)
    path = write_result(tmp_path / "new", one)
    assert msgspec.json.decode(path.read_bytes(), type=Result) == one
    (tmp_path / "file").write_text("")
    with pytest.raises(SwarmError):
        write_result(tmp_path / "file", one)
    with pytest.raises(SwarmError):
        write_page(tmp_path / "file", one)


def test_the_page_is_whole_and_runs_nothing(tmp_path: Path) -> None:
    one = found({HOSTILE: 3}, limit=LIMIT)
    text = write_page(tmp_path, one).read_text(encoding="utf-8")
    assert (tmp_path / FILE).exists()
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    assert "Carried: <b>100</b>" in text
    charts = re.findall(r"<svg viewBox[^>]*role=\"img\".*?</svg>", text)
    assert [ET.fromstring(chart).get("aria-label") for chart in charts] == [
        "Clients over time",
        "Published and acknowledged events a second",
        "Deliveries a second",
        "Latency over time",
        "Cores used",
    ]


def test_a_run_of_which_nothing_came_has_a_page_too() -> None:
    spec = SwarmSpec(run="x")
    one = result(spec, "", describe(0.0), [], [], Ending(), {}, [])
    assert "Nothing was delivered" in page(one)
    assert summary(one)


def test_the_terminal_says_what_people_ask_first() -> None:
    text = "\n".join(summary(found({"close 4020": 2, MISSING: 1}, limit=LIMIT)))
    assert "MISSING" in text
    assert "9 of 10 clients at the end" in text
    assert "2  close 4020" in text
    assert "Carried: 100 events/s; 200 were too much" in text
    assert "full: all 2 cores" in text
    assert "due to delivered across regions" in text
    nothing = msgspec.structs.replace(LIMIT, carried=None)
    assert "Not even 200 events/s" in "\n".join(summary(found(limit=nothing)))
    endless = msgspec.structs.replace(LIMIT, broke_at=None)
    assert "nothing that was tried was too much" in "\n".join(summary(found(limit=endless)))


def test_each_second_and_step_is_a_line() -> None:
    one = moment(1)
    sight = Sight(edges={"us-1": 0.5}, nats={"us-n1": 0.25})
    line = live(Said(MEASURED, one, sight, point(one, MEASURED, 0.5, 0.25)), 10, 5)
    assert line.count("█") == 10
    assert "9/10 here" in line
    assert "edges 50%, nats 25%" in line
    assert "edges" not in live(Said("warm-up", one, Sight(), point(one, "warm-up", 0, 0)), 10, 0)
    assert "too much: delivered within 900 ms" in unstyle(step(STEP, "events/s"))
    assert unstyle(step(CARRIED, "events/s")).endswith("carried")
    assert plan("steady", 6, 1_000.0) == "steady, over 6 edges: about 1,000 deliveries/s"


def test_the_machine_says_what_it_has_and_what_processes_use() -> None:
    here = host()
    assert 0 < here.free_bytes < here.memory_bytes
    assert here.busy_s < here.all_s
    assert own().rss_bytes > 10**6
    assert own().fds > 2
    assert use_of(2**22 + 1) is None

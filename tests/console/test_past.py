"""The past out of a recording: as it looked live, gaps as gaps, damage named."""

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from console.errors import RecordingError
from console.feed import BooksRead, FrameHeard, LinkChanged, apply
from console.model import Fleet, LinkState, expect, observe
from console.model.fleet import NOT_KEPT
from console.past.file import VERSION, FilePast, Header, Recorder
from console.past.replay import DEAF_MS, Replay
from console.report import report
from regions.news import AlertChange, AlertNews, encode_news
from regions.operations.holder import Holder
from relay.core.names import telemetry_subject
from relay.core.orders import Order
from relay.core.telemetry import encode_frame
from tests.console.scenario import EDGES, START_MS, Arrival, quiet, troubled

KNOWN = {region: list(edges) for region, edges in EDGES.items()}


def recorder(path: Path) -> Recorder:
    return Recorder(path, Header("recording", VERSION, "relay.test", START_MS, KNOWN))


def write(path: Path, arrivals: list[Arrival]) -> Path:
    made = recorder(path)
    for arrival in arrivals:
        frame = arrival.frame
        subject = telemetry_subject(frame.region, frame.edge)
        made.message(START_MS + arrival.at_ms, subject, encode_frame(frame))
    made.close()
    return path


def replay_of(path: Path) -> Replay:
    past = FilePast(path)
    return Replay(past, past.header.known, "recording")


def live(arrivals: list[Arrival], at_ms: int) -> Fleet:
    """The fleet as a console had it then, that listened for long."""
    fleet = apply(Fleet(), LinkChanged(LinkState.CONNECTED, "recording"), START_MS - 200_000)
    for region, edges in EDGES.items():
        fleet = expect(fleet, region, edges)
    for arrival in arrivals:
        if arrival.at_ms < at_ms:
            fleet = apply(fleet, FrameHeard(arrival.frame), START_MS + arrival.at_ms)
    return fleet


@pytest.mark.parametrize("at_s", [3, 61, 119, 179])
async def test_it_looks_as_it_did(tmp_path: Path, at_s: int) -> None:
    arrivals = list(troubled(180))
    replay = replay_of(write(tmp_path / "r.gz", arrivals))
    await replay.seek(START_MS + at_s * 1000)
    then = observe(live(arrivals, at_s * 1000), replay.at_ms)
    assert report(replay.view, 0) == report(then, 0)
    for had, has in zip(then.edges, replay.view.edges, strict=True):
        second = replay.at_ms // 1000
        for figure in ("events_out", "loop_lag"):
            if figure in had.history:
                window = had.history[figure].window(second, 60)
                assert has.history[figure].window(second, 60) == window


async def test_step_by_step_it_comes_to_the_same_as_in_one_go(tmp_path: Path) -> None:
    path = write(tmp_path / "r.gz", list(troubled(150)))
    walked, sought = replay_of(path), replay_of(path)
    await walked.seek(START_MS + 20_000)
    for second in (21, 30, 65, 70, 145, 100):  # ahead, far ahead, back
        await walked.advance(START_MS + second * 1000)
        await sought.seek(START_MS + second * 1000)
        assert report(walked.view, 0) == report(sought.view, 0)


async def test_a_gap_is_a_gap(tmp_path: Path) -> None:
    arrivals = [each for each in quiet(120) if not 50_000 <= each.at_ms < 80_000]
    replay = replay_of(write(tmp_path / "r.gz", arrivals))
    await replay.seek(START_MS + 70_000)
    # Nothing at all was kept: who wrote it down was deaf, and of the edges nothing is known.
    assert {edge.state for edge in replay.view.edges} == {"unknown"}
    assert (replay.view.link.state, replay.view.link.reason) == (LinkState.LOST, NOT_KEPT)
    last_ms = max(each.at_ms for each in arrivals if each.at_ms < 50_000)
    assert replay.view.link.since_ms == START_MS + last_ms + DEAF_MS
    await replay.advance(START_MS + 84_000)
    assert replay.view.link.state is LinkState.CONNECTED
    assert {edge.state for edge in replay.view.edges} == {"ready"}
    await replay.seek(START_MS + 119_000)
    series = replay.view.regions[0].history.window(replay.at_ms // 1000, 60)
    assert None in series
    assert series[-1] is not None


async def test_who_was_silent_while_others_spoke_is_dark(tmp_path: Path) -> None:
    arrivals = [each for each in quiet(120) if each.frame.region == "us" or each.at_ms < 50_000]
    replay = replay_of(write(tmp_path / "r.gz", arrivals))
    await replay.seek(START_MS + 70_000)
    assert replay.view.link.state is LinkState.CONNECTED
    assert {edge.state for edge in replay.view.edges if edge.region != "us"} == {"dark"}


async def test_alerts_and_books_are_found(tmp_path: Path) -> None:
    made = recorder(tmp_path / "r.gz")
    alert = AlertNews(name="Slow", on="eu-1", severity="page", state="firing", since_ms=1, text="x")
    for at_s in (10, 70, 130):
        change = AlertChange(at_ms=START_MS + at_s * 1000, alert=alert)
        made.message(START_MS + at_s * 1000, "news.us.alert", encode_news(change))
    books = BooksRead((), (Order(region="eu", at_ms=5, by="ops"),), {"eu": Holder("r", "ops", 5)})
    for at_s in (60, 61):
        made.books(START_MS + at_s * 1000, books)
    made.books(START_MS + 90_000, BooksRead((), (), {}))
    made.close()
    assert made.lines == 5, "books that stay are written once"
    replay = replay_of(tmp_path / "r.gz")
    await replay.seek(START_MS + 71_000)
    assert await replay.next_alert() == START_MS + 130_000
    assert await replay.last_alert() == START_MS + 70_000
    assert replay.view.books.holders == {"eu": Holder("r", "ops", 5)}
    assert [each.text for each in replay.view.timeline] == ["Slow: x", "Slow: x"]
    await replay.advance(START_MS + 131_000)
    assert replay.view.books.orders == ()
    assert await replay.next_alert() is None


@pytest.mark.parametrize("back_s", [3, 40, 150, 1_000])
async def test_a_clock_that_is_set_back_hides_nothing_and_time_goes_on(
    tmp_path: Path, back_s: int
) -> None:
    made = recorder(tmp_path / "r.gz")
    times = [START_MS + s * 1000 for s in (*range(200), *range(200 - back_s, 400 - back_s))]
    for number, at_ms in enumerate(times):
        made.message(at_ms, "tele.us.us-1", b"%d" % number)
        if number == 230:
            made.books(at_ms, BooksRead((), (), {"eu": Holder("r", "ops", 5)}))
    made.close()
    past = FilePast(tmp_path / "r.gz")
    assert await past.extent() == (min(times), max(times))
    since, until = min(times), max(times) + 1
    read = [moment async for moment in past.read(since, until)]
    assert [moment.at_ms for moment in read] == sorted(times)
    assert {int(moment.data) for moment in read} == set(range(400))
    for moment in read:
        found = [each async for each in past.read(moment.at_ms, moment.at_ms + 1)]
        assert found == [each for each in read if each.at_ms == moment.at_ms]
    books = await past.books(times[230])
    assert books is not None
    assert books.holders


async def test_what_was_written_before_a_crash_can_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "r.gz", list(quiet(180)))
    whole = await FilePast(path).extent()
    path.write_bytes(path.read_bytes()[:-20])
    extent = await FilePast(path).extent()
    assert extent.first_ms == whole.first_ms
    assert START_MS + 100_000 < extent.last_ms < whole.last_ms


def test_it_is_gzip_and_lines_of_json(tmp_path: Path) -> None:
    path = write(tmp_path / "r.gz", list(quiet(130)))
    head, *lines = gzip.decompress(path.read_bytes()).splitlines()
    assert json.loads(head)["jetrelay"] == "recording"
    at_ms, subject, message = json.loads(lines[0])
    assert (at_ms, subject, message["edge"]) == (START_MS, "tele.us.us-1", "us-1")


def test_what_is_no_json_is_left_out(tmp_path: Path) -> None:
    made = recorder(tmp_path / "r.gz")
    for data in (b"{", b"\xff", b"\x1b]52;", b'{"a":\n1}'):
        made.message(START_MS, "tele.us.us-1", data)
    made.close()
    assert made.lines == 1
    assert FilePast(tmp_path / "r.gz").header.world == "relay.test"


OTHER = b'{"jetrelay":"recording","version":9,"world":"x","began_ms":1}\n'
DAMAGED = msgspec.json.encode(Header("recording", VERSION, "x", 1)) + b"\n[1, 2\n"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"", "no recording", id="empty"),
        pytest.param(b"text", "no recording", id="no gzip"),
        pytest.param(gzip.compress(b"text\n"), "no recording", id="no header"),
        pytest.param(gzip.compress(OTHER), "version 9", id="another version"),
        pytest.param(gzip.compress(DAMAGED), "a line is damaged", id="damaged"),
    ],
)
def test_what_is_no_recording_is_named(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "r.gz"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=why):
        FilePast(path)


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "r.gz"
    path.write_bytes(b"mine")
    with pytest.raises(RecordingError, match="is there already"):
        recorder(path)
    with pytest.raises(RecordingError, match="No such file"):
        recorder(tmp_path / "no" / "r.gz")
    assert path.read_bytes() == b"mine"

"""Minutes of frames, and the series of minutes."""

import zlib
from itertools import chain

import msgspec
import pytest

from regions.stats.influx import ExportError, check_url, lines_of
from regions.stats.now import count, count_minute
from regions.stats.series import TOTAL, Row, Series, Silent, spread
from relay.core.minute import Heard, Minute, decode_minute, encode_minute, joined, minute_of
from relay.core.telemetry import Census, EdgeFrame

M = 30_000_000  # a minute
AT_MS = M * 60_000


def frame(
    edge: str = "us-1",
    number: int = 1,
    sessions: int = 0,
    epoch: int = 1,
    opened: int = 0,
    closed: int = 0,
    country: str = "DE",
    census: Census | None = None,
) -> EdgeFrame:
    """A frame with what is counted."""
    return EdgeFrame(
        region=edge[:2], edge=edge, epoch=epoch, frame=number, at_ms=0, url="", version="",
        state="ready", nats_connected=True, connections=sessions + 1, sessions=sessions, rooms=0,
        users=sessions, changes=opened + closed, opened={"identify": opened},
        closed={"1000": closed}, countries={country: (sessions, opened, closed)},
        transports={"websocket": (sessions, opened, closed)}, census=census,
    )  # fmt: skip


def heard(second: float, of: EdgeFrame) -> Heard:
    """It was stored so many seconds after the minute's begin."""
    return Heard(AT_MS + int(second * 1000), of)


def test_a_minute_has_a_value_for_each_second_with_a_frame() -> None:
    frames = [
        heard(-0.5, frame(number=4, sessions=9, opened=9)),
        heard(0.01, frame(number=5, sessions=10, opened=11, closed=1)),
        heard(2.02, frame(number=7, sessions=12, opened=14, closed=2)),
        heard(2.03, frame("eu-1", sessions=99)),
        heard(60.0, frame(number=70, sessions=50, opened=90)),
    ]
    made = minute_of("us", M, frames[:-1])
    assert [decode_minute(part) for part in encode_minute(made)] == [made]
    (edge,) = made.edges
    assert (edge.edge, edge.sessions[:4], edge.sessions[59]) == ("us-1", [10, None, 12, None], None)
    assert edge.connections[:3] == [11, None, 13]
    assert edge.changes[:3] == [12, None, 16]
    assert (made.opened, made.closed) == ({"identify": 5}, {"1000": 2})
    assert made.countries == {"DE": (0, 5, 2)}, "at its end it was silent"
    assert made.users == [None] * 60


def test_an_edge_that_starts_again_grows_from_nothing_and_one_found_late_from_what_it_said() -> (
    None
):
    frames = [
        heard(1, frame(number=1, epoch=1, opened=3, sessions=3)),
        heard(2, frame(number=2, epoch=1, opened=5, sessions=5)),
        heard(58, frame(number=1, epoch=2, opened=2, sessions=2)),
        heard(59, frame("us-2", number=400, opened=1000, sessions=1)),
    ]
    made = minute_of("us", M, frames)
    assert made.opened == {"identify": 7}
    assert [(life.edge, life.epoch) for life in made.edges] == [
        ("us-1", 1), ("us-1", 2), ("us-2", 1)
    ]  # fmt: skip
    assert made.countries == {"DE": (3, 7, 0)}


def test_what_happened_while_an_edge_was_silent_is_in_the_minute_in_which_it_is_heard_again() -> (
    None
):
    frames = [
        heard(-50, frame(number=7, opened=10, closed=1, sessions=9)),
        heard(20, frame(number=77, opened=14, closed=3, sessions=11)),
    ]
    made = minute_of("us", M, frames)
    assert (made.opened, made.closed) == ({"identify": 4}, {"1000": 2})
    again = [frames[0], heard(30, frame(number=3, epoch=2, opened=2, sessions=2))]
    assert minute_of("us", M, again).opened == {"identify": 2}, "it began meanwhile"


def test_users_that_are_being_counted_anew_are_in_no_minute() -> None:
    census = [Census(3, {"us": 2}, exact=False), Census(5, {"us": 4}, exact=False, error=0.008)]
    frames = [heard(n, frame(number=n + 1, census=one)) for n, one in enumerate(census)]
    made = minute_of("us", M, frames)
    assert (made.users[:3], made.all_users[:3]) == ([None, 4, None], [None, 5, None])


@pytest.mark.parametrize("edges", [1, 32, 33, 200])
def test_a_minute_of_many_edges_is_stored_in_parts(edges: int) -> None:
    wide = [
        heard(second, frame(f"us-{n}", second + 1, 2**31 + n + second))
        for second in range(60)
        for n in range(edges)
    ]
    made = minute_of("us", M, wide)
    packed = encode_minute(made)
    assert len(packed) == -(-edges // 32)
    assert all(len(each) < 65_536 for each in packed)
    assert joined([decode_minute(each) for each in packed]) == made


@pytest.mark.parametrize("data", [b"", b"x", zlib.compress(b"x"), zlib.compress(b"x" * 2**22)])
def test_what_is_no_minute_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_minute(data)


def columns(edge: str, values: dict[int, int], epoch: int = 1) -> list[Heard]:
    """Frames with so many sessions at these seconds."""
    return [
        heard(second + 0.01, frame(edge, second + 2, sessions, epoch, opened=sessions))
        for second, sessions in values.items()
    ]


def minute(*frames: list[Heard], region: str = "us", number: int = M) -> Minute:
    """A minute of these frames, moved to `number`."""
    made = minute_of(region, M, sorted(chain(*frames), key=lambda one: one.at_ms))
    return Minute(**{**{f: getattr(made, f) for f in made.__struct_fields__}, "minute": number})


def totals(rows: list[Row], scope: str = TOTAL) -> list[tuple[int, int | None, int]]:
    """(second after the first row, sessions at most, edges) of a scope."""
    of = [row for row in rows if row.scope == scope]
    return [
        (row.at_s - of[0].at_s, None if row.sessions is None else row.sessions.max, row.edges)
        for row in of
    ]


def test_seconds_are_summed_over_edges_and_regions() -> None:
    every = range(60)
    series = Series(1, ["us", "eu"])
    us = minute(columns("us-1", dict.fromkeys(every, 3)), columns("us-2", {n: n for n in every}))
    eu = minute(columns("eu-1", dict.fromkeys(every, 100)), region="eu")
    rows = [*series.add(M, {"us": us, "eu": eu}), *series.end()]
    assert totals(rows)[:2] == [(0, 103, 3), (1, 104, 3)]
    assert totals(rows)[-1] == (59, 162, 3)
    assert totals(rows, "eu")[7] == (7, 100, 1)
    assert {row.opened for row in rows} == {None}, "they are known for minutes"


def test_an_edge_counts_two_seconds_more_and_then_is_silent() -> None:
    series = Series(1, ["us"])
    first = minute(columns("us-1", dict.fromkeys(range(60), 5)), columns("us-2", {59: 7}))
    second = minute(columns("us-1", dict.fromkeys(range(60), 5)), number=M + 1)
    rows = [*series.add(M, {"us": first}), *series.add(M + 1, {"us": second}), *series.end()]
    assert totals(rows)[58:64] == [
        (58, 5, 1), (59, 12, 2), (60, 12, 2), (61, 12, 2), (62, 5, 1), (63, 5, 1)
    ]  # fmt: skip


def test_a_life_that_was_heard_later_counts_also_where_the_clock_was_set_back() -> None:
    series = Series(1, ["us"])
    made = minute(columns("us-1", {0: 9, 1: 9}, epoch=2), columns("us-1", {2: 1, 3: 2}, epoch=1))
    rows = [*series.add(M, {"us": made}), *series.end()]
    assert totals(rows)[:4] == [(0, 9, 1), (1, 9, 1), (2, 1, 1), (3, 2, 1)]
    frames = [heard(0, frame(number=90, epoch=2, sessions=9)), heard(1, frame(epoch=1, sessions=1))]
    assert count(frames, AT_MS + 1_500, "us").total.sessions == 1


def test_who_went_silent_stands_apart_for_as_long_as_a_visit_may_be_without_a_word() -> None:
    series = Series(1, ["us", "eu"])
    first = minute(columns("us-1", dict.fromkeys(range(60), 5)), columns("us-2", {59: 7}))
    eu = minute(columns("eu-1", dict.fromkeys(range(60), 1)), region="eu")
    rows = list(series.add(M, {"us": first, "eu": eu}))
    for later in (1, 2):  # nothing more comes from us
        moved = msgspec.structs.replace(eu, minute=M + later)
        rows += series.add(M + later, {"eu": moved})
    rows += series.end()
    for scope in (TOTAL, "us"):
        silent = [row.silent for row in rows if row.scope == scope]
        begin, end = 60 + 2, 60 + 90
        assert silent[begin - 1] == Silent()
        assert silent[begin] == silent[end - 1] == Silent(2, 12, 0)
        assert silent[end] == Silent()
    assert totals(rows, "us")[begin] == (begin, None, 0)


def test_a_moment_of_which_only_the_minute_is_kept() -> None:
    us = minute(columns("us-1", {10: 5, 11: 6}), columns("us-2", {2: 7}, epoch=1))
    now = count_minute({"us": us}, {}, AT_MS + 12_500, "eu")
    assert [(one.edge, one.sessions, one.age_ms) for one in now.edges] == [("us-1", 6, 1_000)]
    assert (now.total.sessions, now.total.connections, now.total.users) == (6, 7, None)
    assert (now.regions["us"].edges, now.seen_from) == (1, "eu")
    late = minute(columns("us-1", {5: 9}), number=M + 1)
    before = minute(columns("us-1", {59: 8}))
    now = count_minute({"us": late}, {"us": before}, AT_MS + 61_000, "eu")
    assert [(one.sessions, one.age_ms) for one in now.edges] == [(8, 2_000)]
    assert count_minute({"us": late}, {"us": before}, AT_MS + 64_900, "eu").edges == []


@pytest.mark.parametrize("step_s", [1, 60])
def test_what_has_not_happened_yet_is_no_silence(step_s: int) -> None:
    series = Series(step_s, ["us"], end_s=M * 60 + 22.5)
    made = minute(columns("us-1", dict.fromkeys(range(21), 10)))
    rows = [*series.add(M, {"us": made}), *series.end()]
    assert {row.silent for row in rows} == {Silent()}
    assert rows[-2].edges == 1
    (line,) = lines_of(rows[0])
    assert "silent_edges=0i,silent_sessions=0i,silent_visits=0i" in line


def test_an_edge_that_ended_in_order_is_not_silent() -> None:
    last = msgspec.structs.replace(frame(sessions=0), state="ended")
    now = count([heard(0, last), heard(0, frame("us-2", sessions=3))], AT_MS + 60_000, "us")
    assert [one.edge for one in now.silent] == ["us-2"]


def test_an_edge_that_died_stands_apart_until_nothing_of_it_can_stand_any_more() -> None:
    died = [heard(0, frame("us-1", sessions=3)), heard(0, frame("us-2", sessions=0))]
    assert len(count(died, AT_MS + 90_000, "us").silent) == 2
    assert count(died, AT_MS + 90_001, "us").silent == []


def test_a_new_life_of_an_edge_replaces_the_old_at_once() -> None:
    series = Series(1, ["us"])
    made = minute(columns("us-1", {0: 9, 1: 9}, epoch=1), columns("us-1", {2: 1, 3: 2}, epoch=2))
    rows = [*series.add(M, {"us": made}), *series.end()]
    assert totals(rows)[:6] == [(0, 9, 1), (1, 9, 1), (2, 1, 1), (3, 2, 1), (4, 2, 1), (5, 2, 1)]
    assert totals(rows)[6] == (6, None, 0)


def test_steps_have_the_maximum_the_95th_percentile_and_the_mean() -> None:
    series = Series(60, ["us"])
    made = minute(columns("us-1", {n: n + 1 for n in range(60)}))
    rows = [*series.add(M, {"us": made}), *series.end()]
    (total,) = [row for row in rows if row.scope == TOTAL]
    assert total.sessions == spread(range(1, 61))
    assert total.sessions is not None
    assert (total.sessions.max, total.sessions.p95, total.sessions.mean) == (60, 57, 30.5)
    assert (total.opened, total.closed) == (59, 0), "the first frame may be of one long here"
    hours = Series(3600, ["us"])
    rows = [row for n in range(60) for row in hours.add(M + n, {"us": made})]
    rows += hours.end()
    assert [row.opened for row in rows if row.scope == TOTAL] == [59 * 60]


def test_a_region_that_was_not_heard_has_no_values_and_a_gap_ends_what_is_carried() -> None:
    series = Series(60, ["us", "eu"])
    made = minute(columns("us-1", dict.fromkeys(range(60), 4)))
    late = minute(columns("us-1", {30: 4}), number=M + 9)
    rows = [*series.add(M, {"us": made}), *series.add(M + 9, {"us": late}), *series.end()]
    assert totals(rows, "eu") == [(0, None, 0), (540, None, 0)]
    ((_, last),) = [
        (r.at_s, r.sessions) for r in rows if r.at_s == (M + 9) * 60 and r.scope == "us"
    ]
    assert last is not None
    assert (last.max, last.mean) == (4, 4.0), "three seconds of it had a value"


def test_an_hour_with_a_gap_is_one_row() -> None:
    series = Series(3600, ["us"])
    hour = M - M % 60
    many = minute(columns("us-1", dict.fromkeys(range(60), 900)), number=hour + 1)
    few = minute(columns("us-1", dict.fromkeys(range(60), 5)), number=hour + 40)
    rows = [*series.add(hour + 1, {"us": many}), *series.add(hour + 40, {"us": few}), *series.end()]
    assert totals(rows) == [(0, 900, 1)]


@pytest.mark.parametrize("step_s", [0, -60, 7, 90])
def test_a_step_must_fit_into_minutes(step_s: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Series(step_s, ["us"])


# --- one moment --------------------------------------------------------------------------------


def test_a_moment_is_the_sum_of_who_was_heard_and_who_is_silent_stands_apart() -> None:
    census = Census(users=6, regions={"us": 4, "eu": 5}, exact=True)
    now = count(
        [
            heard(9.9, frame("us-1", sessions=4, opened=10, country="US")),
            heard(9.5, frame("eu-1", sessions=5, country="US", census=census)),
            heard(9.0, frame("eu-1", number=0, sessions=50)),
            heard(6.9, frame("ap-1", sessions=100)),
        ],
        AT_MS + 10_000,
        "us",
    )
    assert (now.total.sessions, now.total.connections, now.total.users) == (9, 11, 6)
    assert (now.regions["us"].users, now.regions["eu"].users, now.regions["ap"].users) == (4, 5, 0)
    assert [(one.edge, one.sessions, one.age_ms) for one in now.silent] == [("ap-1", 100, 3_100)]
    assert now.countries == {"US": 9}
    assert (now.users.counted_by, now.users.exact) == ("eu-1", True)


# --- line protocol -----------------------------------------------------------------------------


def test_a_row_is_a_line_and_nothing_counted_is_none() -> None:
    series = Series(60, ["us", "eu"])
    made = minute(columns("us-1", dict.fromkeys(range(60), 4)))
    rows = [*series.add(M, {"us": made}), *series.end()]
    lines = [line for row in rows for line in lines_of(row)]
    assert lines[1] == (
        f"jetrelay,scope=us edges=1i,connections=5.000,connections_max=5i,connections_p95=5i,"
        f"sessions=4.000,sessions_max=4i,sessions_p95=4i,visits=0.000,visits_max=0i,"
        f"visits_p95=0i,opened=0i,closed=0i,silent_edges=0i,silent_sessions=0i,"
        f"silent_visits=0i {M * 60}"
    )
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("url", "made"),
    [
        ("http://h:8086/api/v2/write?org=o&bucket=b", "&precision=s"),
        ("https://h/write", "?precision=s"),
        ("https://h/write?precision=s", ""),
    ],
)
def test_the_receiver_is_told_that_times_are_seconds(url: str, made: str) -> None:
    assert check_url(url) == url + made


@pytest.mark.parametrize(
    "url", ["influx:8086", "ftp://h/write", "http:///x", "http://h?precision=ns"]
)
def test_an_address_that_can_not_be_one_is_refused(url: str) -> None:
    with pytest.raises(ExportError):
        check_url(url)

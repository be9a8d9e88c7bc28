"""The audit's rules: what the log lacks is put in, and by how much that may be off."""

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, cast

import pytest

from regions.audit.material import Material, gather
from regions.audit.person import person
from regions.audit.rebuild import Life, Rebuild, Rule, Stretch, join_moves
from regions.audit.report import report
from regions.audit.visits import VisitRebuild
from regions.errors import AuditError
from regions.stats.reading import LogBegin, LogState
from relay.core.log import Batch, Came, Snapshot, Went, encode_entry, pack_keys
from relay.core.visits import VisitBatch, VisitCheckpoint, VisitEnded, VisitOpened
from tests.audits import NOT_COMPARED

A, B, C, D = b"aaaaaaaa", b"bbbbbbbb", b"cccccccc", b"dddddddd"


class Edge:
    """An edge that logs."""

    def __init__(self, name: str = "us-1", epoch: int = 1) -> None:
        self.region, self.name, self.epoch = name[:2], name, epoch
        self.number = self.changes = self.sessions = 0

    def came(self, key: bytes, user: str = "ana", how: str = "identify", ago_ms: int = 0) -> Came:
        """A session comes."""
        return Came(ago_ms, key, how, "_", user, "websocket", "DE", "phone")

    def batch(self, *records: Came | Went, final: bool = False, lost: int = 0) -> Batch:
        """The next batch."""
        self.number += 1
        self.changes += len(records)
        self.sessions += sum(1 if isinstance(one, Came) else -1 for one in records)
        return Batch(
            1, self.region, self.name, self.epoch, self.number, self.changes, self.sessions,
            lost, final, list(records),
        )  # fmt: skip

    def snapshot(self, *keys: bytes) -> Snapshot:
        """The open ones."""
        return Snapshot(1, self.region, self.name, self.epoch, self.changes, 0, 1, pack_keys(keys))


def rebuilt(*entries: tuple[int, Batch | Snapshot], upto_ms: int) -> list[Stretch]:
    """The stretches of entries with the ms at which they were stored."""
    rebuild = Rebuild("us")
    for at_ms, entry in entries:
        rebuild.add(at_ms, entry)
    found = rebuild.end(upto_ms)
    join_moves(found)
    return found


def told(stretches: list[Stretch]) -> list[tuple[bytes, int, int | None, str, int]]:
    """(key, start, end, rule of the end, its error) each."""
    return [(s.key, s.start_ms, s.end_ms, str(s.ended), s.error_ms) for s in stretches]


def test_comings_and_goings_are_put_at_their_own_time() -> None:
    edge = Edge()
    found = rebuilt(
        (1_000, edge.batch(edge.came(A, ago_ms=10))),
        (2_000, edge.batch(Went(300, A, 1000), edge.came(B, "bo", ago_ms=200))),
        upto_ms=3_000,
    )
    assert told(found) == [(A, 990, 1_700, "logged", 0), (B, 1_800, None, "open", 0)]
    assert (found[0].user, found[0].code, found[0].country) == ("ana", 1000, "DE")


def test_an_edge_whose_log_ends_took_its_sessions_with_it() -> None:
    edge = Edge()
    found = rebuilt((1_000, edge.batch(edge.came(A))), (2_000, edge.batch()), upto_ms=2_000 + 6_001)
    assert told(found) == [(A, 1_000, 2_000, "edge_died", 1_000)]
    edge, again = Edge(), Edge(epoch=2)
    found = rebuilt(
        (1_000, edge.batch(edge.came(A))), (2_000, again.batch(again.came(B))), upto_ms=2_500
    )
    assert told(found) == [(A, 1_000, 1_000, "edge_died", 1_000), (B, 2_000, None, "open", 0)]


def test_who_resumes_elsewhere_had_gone_by_then() -> None:
    us, eu = Edge("us-1"), Edge("us-2")
    found = rebuilt(
        (1_000, us.batch(us.came(A))),
        (2_000, us.batch()),
        (2_400, eu.batch(eu.came(A, how="resume"))),
        (9_000, eu.batch(Went(0, A, 1000))),
        upto_ms=9_500,
    )
    assert told(found) == [(A, 1_000, 2_000, "edge_died", 400), (A, 2_400, 9_000, "logged", 0)]
    # An old connection that is closed a little later has an overlap, which is no second session.
    us, eu = Edge("us-1"), Edge("us-2")
    found = rebuilt(
        (1_000, us.batch(us.came(A))),
        (2_000, eu.batch(eu.came(A, how="resume"))),
        (2_100, us.batch(Went(0, A, 4022))),
        upto_ms=2_500,
    )
    assert told(found) == [(A, 1_000, 2_000, "logged", 0), (A, 2_000, None, "open", 0)]


def test_an_edge_that_stood_still_ended_its_sessions_when_the_silence_began() -> None:
    edge = Edge()
    found = rebuilt(
        (1_000, edge.batch(edge.came(A), edge.came(B, "bo"))),
        (2_000, edge.batch()),
        (62_000, edge.batch(Went(5, A, 4000), Went(5, B, 4000))),
        upto_ms=63_000,
    )
    assert told(found) == [
        (A, 1_000, 2_000, "stood_still", 59_995),
        (B, 1_000, 2_000, "stood_still", 59_995),
    ]


def test_an_edge_that_only_could_not_store_kept_its_sessions() -> None:
    edge = Edge()
    found = rebuilt(
        (1_000, edge.batch(edge.came(A), edge.came(B, "bo"))),
        (2_000, edge.batch()),
        (10_000, edge.batch(Went(4_000, A, 1000))),
        upto_ms=11_000,
    )
    assert told(found) == [(A, 1_000, 6_000, "logged", 0), (B, 1_000, None, "open", 0)]


def test_a_snapshot_finds_closes_and_openings_that_were_lost() -> None:
    edge = Edge()
    first = edge.batch(edge.came(A), edge.came(B, "bo"))
    edge.batch(Went(0, A, 1006), edge.came(C, "cy"))  # did not get into the log
    lost = edge.batch()
    found = rebuilt(
        (1_000, first),
        (20_000, lost),
        (60_000, edge.snapshot(B, C)),
        upto_ms=61_000,
    )
    assert told(found) == [
        (A, 1_000, 1_000, "lost_close", 59_000),
        (B, 1_000, None, "open", 0),
        (C, 1_000, None, "open", 0),
    ]
    assert found[2].began is Rule.LOST_OPEN


def test_what_was_open_before_the_log_was_read_is_known_from_the_snapshot() -> None:
    edge = Edge()
    edge.batch(edge.came(A), edge.came(B, "bo"))
    found = rebuilt((5_000, edge.batch(Went(0, A, 1000))), (6_000, edge.snapshot(B)), upto_ms=7_000)
    assert told(found) == [(A, 5_000, 5_000, "logged", 0), (B, 5_000, None, "open", 0)]
    assert {one.began for one in found} == {Rule.BEFORE}


def test_a_batch_that_stands_twice_counts_once_and_one_that_lacks_is_counted() -> None:
    edge, rebuild = Edge(), Rebuild("us")
    first = edge.batch(edge.came(A))
    rebuild.add(1_000, first)
    rebuild.add(1_500, first)
    edge.batch(edge.came(B, "bo"))
    rebuild.add(2_000, edge.batch(edge.came(C, "cy"), lost=3))
    (life,) = rebuild.lives.values()
    assert (life.repeated_batches, life.missing_batches, life.lost_records) == (1, 1, 3)
    assert (life.missing_records, life.whole) == (1, False)
    assert life.counts == {0: 0, 1: 1}, "what is not known is compared with nothing"


def test_a_session_is_counted_once_in_a_record_that_says_what_was_put_in() -> None:
    edge, other, rebuild = Edge("us-1"), Edge("us-2"), Rebuild("us")
    for at_ms, entry in (
        (1_000, edge.batch(edge.came(A), edge.came(B, "bo"))),
        (11_000, edge.batch(Went(0, B, 1000))),
        (12_000, edge.batch()),
        (13_000, other.batch(other.came(A, how="resume"))),
        (21_000, other.batch(Went(0, A, 1001))),
        (21_500, other.batch(final=True)),
    ):
        rebuild.add(at_ms, entry)
    stretches = rebuild.end(31_000)
    join_moves(stretches)
    material = Material(1_000, 31_000, ["us"], stretches, list(rebuild.lives.values()))
    audit = report(material).audit
    assert (audit.verdict, audit.why) == ("FAIL", [NOT_COMPARED]), "half a minute"
    assert (audit.sessions, audit.users, audit.reconnects, audit.open_at_end) == (2, 2, 1, 0)
    assert (audit.concurrency.peak, audit.concurrency.peak_at_ms) == (2, 1_000)
    assert audit.concurrency.mean == round((11 + 10 + 8) / 30, 3)
    assert audit.repaired.by_rule == {"edge_died": 1}
    assert audit.repaired.error_ms == 1_000
    assert (audit.lengths.count, audit.lengths.max) == (2, 20.0)
    assert audit.closed == {"0": 1, "1000": 1, "1001": 1}
    found = person(stretches, "_", "ana", 1_000, 31_000)
    assert (found.online_s, found.sessions, found.reconnects) == (19.0, 1, 1)
    assert (found.devices, found.first_ms, found.last_ms) == (["phone"], 1_000, 21_000)


def test_live_figures_are_compared_at_the_same_coming_or_going() -> None:
    edge, rebuild = Edge("us-1"), Rebuild("us")
    rebuild.add(60_500, edge.batch(edge.came(A), edge.came(B, "bo")))
    for second in range(61, 119):
        rebuild.add(second * 1_000 + 500, edge.batch())
    stretches, lives = rebuild.end(120_000), list(rebuild.lives.values())
    live = [(second, 2) for second in range(61, 119)]
    frames = [("us", "us-1", 1, second, 2, 2) for second in range(61, 119)]
    material = Material(0, 120_000, ["us"], stretches, lives, frames=frames, live=live)
    audit = report(material).audit
    assert (audit.verdict, audit.live.edges.largest, audit.live.sum.largest) == ("PASS", 0, 0)
    assert audit.live.sum.seconds == 58
    material.live[30] = (91, 9)
    material.frames[40] = ("us", "us-1", 1, 101, 5, 2)
    audit = report(material).audit
    assert audit.verdict == "FAIL"
    assert (audit.live.edges.largest, audit.live.edges.largest_at_s) == (3, 101)
    assert (audit.live.sum_calm.largest, audit.live.sum_calm.largest_at_s) == (7, 91)
    assert len(audit.why) == 2


def test_a_time_that_is_all_near_faults_is_not_passed() -> None:
    edge, rebuild = Edge("us-1"), Rebuild("us")
    rebuild.add(60_500, edge.batch(edge.came(A)))
    for second in range(64, 120, 4):  # it stalls, again and again
        rebuild.add(second * 1_000, edge.batch())
    stretches, lives = rebuild.end(120_000), list(rebuild.lives.values())
    live = [(second, 500) for second in range(61, 119)]
    frames = [("us", "us-1", 1, second, 500, 7) for second in range(61, 119)]
    material = Material(0, 120_000, ["us"], stretches, lives, frames=frames, live=live)
    audit = report(material).audit
    assert (audit.live.sum.seconds, audit.live.sum_calm.seconds) == (58, 0)
    assert (audit.verdict, len(audit.why)) == ("FAIL", 1)
    frames = [("us", "us-1", 1, second, 1, 7) for second in range(61, 119)]
    calm = Material(0, 3_600_000, ["us"], stretches, lives, frames=frames, live=[(3_000, 0)])
    assert report(calm).audit.why == ["no edge's own figure could be compared with its log"]


def test_a_frame_that_counts_what_a_killed_edge_could_not_log_is_compared_with_nothing() -> None:
    edge, rebuild = Edge("us-1"), Rebuild("us")
    rebuild.add(60_500, edge.batch(edge.came(A)))
    frames = [("us", "us-1", 1, 61, 1, 1), ("us", "us-1", 1, 62, 2, 2)]
    stretches, lives = rebuild.end(70_000), list(rebuild.lives.values())
    audit = report(Material(0, 120_000, ["us"], stretches, lives, frames=frames)).audit
    assert (audit.live.edges.largest, audit.live.edges.seconds) == (0, 1)
    assert audit.log.counted_not_logged == 1


# --- visits ------------------------------------------------------------------------------------


def visit_batch(
    epoch: int, number: int, open_: int, *records: VisitOpened | VisitEnded
) -> VisitBatch:
    """A batch of one edge's visits."""
    return VisitBatch(1, "us", "us-1", epoch, number, open_, 90.0, list(records))


def lived(last_ms: int, end_ms: int | None = None, epoch: int = 1) -> Life:
    """A life of that edge."""
    return Life(("us", "us-1", epoch), 0, last_ms, end_ms=end_ms)


def test_visits_go_on_through_a_crash_of_their_edge() -> None:
    rebuild = VisitRebuild("us")
    rebuild.add(1_000, visit_batch(1, 1, 2, VisitOpened(10, A, "DE"), VisitOpened(0, B, "FR")))
    rebuild.add(1_100, visit_batch(1, 1, 2, VisitOpened(10, A, "DE"), VisitOpened(0, B, "FR")))
    rebuild.add(9_000, visit_batch(2, 1, 1, VisitEnded(500, A, "closed")))
    rebuild.add(99_000, visit_batch(2, 2, 0, VisitEnded(90_000, B, "timed_out")))
    ends = rebuild.end([lived(2_000, 2_000), lived(99_000, epoch=2)], 100_000)
    found = [(one.key, one.start_ms, one.end_ms, one.ended) for one in ends]
    assert found == [(A, 990, 8_500, "closed"), (B, 1_000, 9_000, "timed_out")]
    assert (rebuild.compared, rebuild.off, rebuild.whole) == (2, 0, True)


def test_visits_of_an_edge_that_does_not_come_back_end_with_it() -> None:
    for until_ms, end_ms, ended in ((92_000, None, "open"), (92_001, 2_000, "edge_gone")):
        rebuild = VisitRebuild("us")
        rebuild.add(1_000, visit_batch(1, 1, 1, VisitOpened(0, A, "DE")))
        (visit,) = rebuild.end([lived(2_000, 2_000)], until_ms)
        assert (visit.end_ms, visit.ended) == (end_ms, ended)


def test_a_checkpoint_says_which_visits_were_open_before() -> None:
    rebuild = VisitRebuild("us")
    rebuild.add(1_000, VisitCheckpoint(1, "us", "us-1", 1, 7, 0, 2, [A]))
    rebuild.add(1_001, VisitCheckpoint(1, "us", "us-1", 1, 7, 1, 2, [B]))
    rebuild.add(2_000, visit_batch(1, 8, 2, VisitEnded(0, A, "closed"), VisitOpened(0, C, "DE")))
    rebuild.add(3_000, visit_batch(1, 11, 2))
    found = [(one.key, one.start_ms, one.end_ms) for one in rebuild.end([lived(3_000)], 4_000)]
    assert found == [(A, None, 2_000), (B, None, None), (C, 2_000, None)]
    assert rebuild.missing_batches == 2


def test_a_visit_whose_end_is_stored_behind_the_time_was_over_before_it() -> None:
    rebuild = VisitRebuild("us")
    rebuild.add(1_000, visit_batch(1, 1, 2, VisitOpened(0, A, "DE"), VisitOpened(0, B, "DE")))
    late = VisitEnded(3_000, A, "edge_gone"), VisitEnded(0, B, "closed"), VisitOpened(0, C, "DE")
    rebuild.add(10_005, visit_batch(1, 2, 1, *late))
    found = [(one.key, one.end_ms, one.ended) for one in rebuild.end([lived(10_005)], 10_000)]
    assert found == [(A, 7_005, "edge_gone"), (B, None, "open")]


def test_no_visit_ends_before_it_opened() -> None:
    rebuild = VisitRebuild("us")
    rebuild.add(1_900, visit_batch(1, 1, 1, VisitOpened(0, A, "DE")))
    rebuild.add(99_000, visit_batch(2, 1, 0, VisitEnded(98_000, A, "edge_gone")))
    (visit,) = rebuild.end([lived(1_000, 1_000), lived(99_000, epoch=2)], 100_000)
    assert (visit.start_ms, visit.end_ms) == (1_900, 1_900)


def test_half_a_checkpoint_says_nothing() -> None:
    rebuild = VisitRebuild("us")
    rebuild.add(1_000, VisitCheckpoint(1, "us", "us-1", 1, 7, 0, 2, [A]))
    assert rebuild.end([lived(1_000)], 2_000) == []
    assert not rebuild.whole


def test_visits_that_differ_from_what_the_edge_says_are_seen() -> None:
    rebuild = VisitRebuild("us")
    rebuild.add(1_000, visit_batch(1, 1, 1, VisitOpened(0, A, "DE")))
    rebuild.add(2_000, visit_batch(1, 2, 3, VisitOpened(0, B, "DE")))
    assert (rebuild.compared, rebuild.off) == (1, 1)


def test_sessions_that_differ_from_what_the_edge_says_are_seen() -> None:
    edge, rebuild = Edge(), Rebuild("us")
    rebuild.add(1_000, edge.batch(edge.came(A), edge.came(B, "bo")))
    edge.sessions += 1  # it says one more than came
    rebuild.add(2_000, edge.batch(edge.came(C, "cy")))
    (life,) = rebuild.lives.values()
    assert (life.compared, life.off) == (2, 1)
    stretches = rebuild.end(3_000)
    audit = report(Material(1_000, 3_000, ["us"], stretches, [life])).audit
    assert (audit.verdict, audit.repaired.off) == ("FAIL", 1)
    off = "the rebuilt sessions of an edge were off by 1, and should by 0"
    assert audit.why == [off, NOT_COMPARED]


def test_a_snapshot_that_lacks_one_of_whom_no_batch_says_that_he_went_is_seen() -> None:
    edge, rebuild = Edge(), Rebuild("us")
    rebuild.add(1_000, edge.batch(edge.came(A), edge.came(B, "bo")))
    rebuild.add(2_000, edge.snapshot(A))
    (life,) = rebuild.lives.values()
    assert (life.compared, life.off) == (2, 1)


def test_all_that_a_stopped_edge_closes_when_it_goes_on_ended_when_it_stopped() -> None:
    edge = Edge()
    found = rebuilt(
        (1_000, edge.batch(edge.came(A), edge.came(B, "bo"), edge.came(C, "cy"))),
        (2_000, edge.batch()),
        (62_000, edge.batch(Went(0, A, 4000))),
        (62_100, edge.batch(Went(0, B, 4000))),
        (65_000, edge.batch(Went(0, C, 4000))),
        upto_ms=66_000,
    )
    ends = [(one.end_ms, str(one.ended)) for one in found]
    assert ends == [(2_000, "stood_still"), (2_000, "stood_still"), (65_000, "logged")]


@pytest.mark.parametrize("keys", [b"", b"xx"])
def test_a_snapshot_that_can_not_be_read_changes_nothing(keys: bytes) -> None:
    edge, rebuild = Edge(), Rebuild("us")
    rebuild.add(1_000, edge.batch(edge.came(A)))
    rebuild.add(2_000, Snapshot(1, "us", "us-1", 1, 1, 0, 1, keys))
    assert rebuild.unreadable == 1
    assert [one.key for one in rebuild.end(3_000)] == [A]


HOUR_MS = 3_600_000


class _Long:
    """Streams of us and eu, in which somebody has been for hours."""

    region = "us"

    def __init__(self) -> None:
        self.read: list[tuple[str, int, int]] = []
        us, eu = Edge(), Edge("eu-1")
        self.logs: dict[str, list[tuple[int, Batch | Snapshot]]] = {
            "us": [
                (100_000, us.batch(us.came(A, "bob"))),
                (2 * HOUR_MS, us.batch(us.came(B, "eve"), us.came(C, "kim"))),
                (3 * HOUR_MS, us.batch(Went(0, C, 1000))),
                (3 * HOUR_MS + 1, us.batch(us.came(C, "kim", "resume"))),
                (9 * HOUR_MS - 60_000, us.snapshot(A, B, C)),
                (9 * HOUR_MS + 1, us.batch(Went(0, B, 1000))),
            ],
            "eu": [
                (5 * HOUR_MS, eu.batch(eu.came(D, "ana"), Went(0, D, 1000))),
                (9 * HOUR_MS - 60_000, eu.snapshot()),
            ],
        }

    async def origins(self) -> list[str]:
        return ["eu", "us"]

    async def now_ms(self) -> int:
        return 10 * HOUR_MS

    async def log_state(self, _origin: str) -> LogState:
        return LogState(10 * HOUR_MS, current=True)

    async def newest_frames(self) -> list[object]:
        return []

    async def log_begins(self, origin: str) -> LogBegin:
        return LogBegin(self.logs[origin][0][0], whole=True)

    async def log(
        self, origin: str, kind: str, since_ms: int, until_ms: int
    ) -> AsyncIterator[tuple[int, bytes]]:
        if kind == "att":
            self.read.append((origin, since_ms, until_ms))
            for at_ms, entry in self.logs[origin]:
                if since_ms <= at_ms < until_ms:
                    yield at_ms, encode_entry(entry)

    async def minutes(self, *_: object) -> AsyncIterator[Any]:
        return
        yield

    stored = minutes


async def test_who_was_here_for_hours_is_looked_for_further_back_and_no_part_read_twice() -> None:
    past = _Long()
    since_ms = 9 * HOUR_MS
    material = await gather(cast("Any", past), since_ms, since_ms + 120_000, come_s=0)
    assert [(one.user, one.how, one.start_ms, one.began) for one in material.stretches] == [
        ("bob", "identify", 100_000, Rule.LOGGED),
        ("eve", "identify", 2 * HOUR_MS, Rule.LOGGED),
        ("kim", "resume", 3 * HOUR_MS + 1, Rule.LOGGED),
    ]
    assert [life.times[0][0] > since_ms - 65_000 for life in material.lives] == [True, True]
    parts = sorted((begin, end) for region, begin, end in past.read if region == "us")
    assert parts[0][0] <= 100_000
    assert all(end == begin for (_, end), (begin, _) in pairwise(parts[:-1])), "each part once"


class _Brief(_Long):
    """Streams of us, whose only edge began within a minute of which nothing is stored yet."""

    def __init__(self, now_ms: int) -> None:
        super().__init__()
        self._now_ms, us = now_ms, Edge()
        times = range(9 * HOUR_MS + 10_000, 9 * HOUR_MS + 80_000, 5_000)
        self.logs = {"us": [(at_ms, us.snapshot()) for at_ms in times]}

    async def origins(self) -> list[str]:
        return ["us"]

    async def now_ms(self) -> int:
        return self._now_ms


async def test_a_part_of_a_minute_that_may_be_stored_yet_is_waited_for() -> None:
    """Else who asks a little later, or in another region, is told more."""
    begin_ms, minute_ms = 9 * HOUR_MS, 60_000
    for now_ms, missing in ((begin_ms + 2 * minute_ms, 1), (begin_ms + 10 * minute_ms, 0)):
        past = cast("Any", _Brief(now_ms))
        material = await gather(past, begin_ms, begin_ms + minute_ms, come_s=0)
        assert material.missing_minutes == missing


class _Dropping:
    """Streams of us and eu, of whose logs limits have dropped the begin of one."""

    region = "us"

    async def origins(self) -> list[str]:
        return ["eu", "us"]

    async def now_ms(self) -> int:
        return 1_000_000

    async def log_state(self, _origin: str) -> LogState:
        return LogState(1_000_000, current=True)

    async def newest_frames(self) -> list[object]:
        return []

    async def log_begins(self, origin: str) -> LogBegin:
        return LogBegin(150_000, whole=origin == "us")

    async def log(self, *_: object) -> AsyncIterator[tuple[int, bytes]]:
        return
        yield

    minutes = stored = log


async def test_what_limits_have_dropped_is_no_time_in_which_nobody_was_here() -> None:
    past = cast("Any", _Dropping())
    with pytest.raises(AuditError, match="eu's from 1970-01-01T00:02:30Z on"):
        await gather(past, 100_000, 400_000, come_s=0)
    assert (await gather(past, 150_000, 400_000, come_s=0)).dropped_ms == {}
    made = report(await gather(past, 100_000, 400_000, partial=True, come_s=0)).audit
    assert made.dropped_ms == {"eu": 150_000}
    assert (made.verdict, made.why[0]) == ("FAIL", "limits have dropped the begin of the log of eu")

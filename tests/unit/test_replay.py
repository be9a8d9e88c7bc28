"""Ranges of streams: whole, whichever replica answered, and read once for all who ask at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.bus.connection import Headers
from relay.bus.copies import Standing
from relay.bus.reader import Page, Reader
from relay.bus.replay import Pages, Source, StreamRanges, events_of
from relay.bus.sharing import Ask, SharedReader
from relay.core.event import Event, RoomKey
from relay.core.names import event_subject
from relay.errors import DroppedError, UnavailableError
from tests.unit.streams_model import key

A, B, C = key("a"), key("b"), key("c")


@dataclass
class _Cluster:
    """A stream of three replicas: one that lacks the newest `lag` answers."""

    rooms: Sequence[RoomKey]  # of the events 1, 2, 3 and so on
    lags: list[int] = field(default_factory=list)  # of the replicas that answer, one after another
    stored: int | None = None  # what the leader holds; None: all
    reads: int = 0
    first: int = 1  # limits have dropped what came before
    epoch: int = 1
    mirror: bool = False
    created: str = "monday"

    async def whole(self, _origin: str, _after: int, _upto: int) -> bool:
        assert self.mirror, "the home stream is not asked for as a mirror is"
        return True

    def made(self, _origin: str) -> str:
        return self.created

    async def stands_at(self, origin: str, api: str) -> Standing:
        assert (origin, api) == ("us", "$JS.API")
        return Standing(self.first, self.head, self.epoch)

    async def epoch_at(self, origin: str, api: str, claimed: int) -> int:
        assert (origin, api) == ("us", "$JS.API")
        return 3

    def _matching(self, first: int, upto: int, subject: str | None) -> list[int]:
        return [
            seq
            for seq, room in enumerate(self.rooms[:upto], 1)
            if seq >= max(first, self.first) and subject in (None, _subject(room))
        ]

    @property
    def head(self) -> int:
        return len(self.rooms) if self.stored is None else self.stored

    async def page(
        self, stream: str, seq: int, *, batch: int, max_bytes: int, subject: str | None, api: str
    ) -> Page:
        assert (stream, api) == ("EV_us", "$JS.API")
        assert max_bytes > 0
        self.reads += 1
        held = self.head - (self.lags.pop(0) if self.lags else 0)
        await asyncio.sleep(0)
        found = self._matching(seq, held, subject)
        messages = tuple((_headers(seq, self.rooms[seq - 1]), b"1") for seq in found[:batch])
        return Page(messages, len(found) - len(messages))

    async def next_seq(self, stream: str, seq: int, subject: str, *, api: str) -> int | None:
        assert stream == "EV_us"
        every = subject == "ev.us.>"
        found = self._matching(seq, self.head, None if every else subject)
        return found[0] if found else None


def _subject(room: RoomKey) -> str:
    return event_subject("us", room[0], "0", room[1])


def _headers(seq: int, room: RoomKey) -> Headers:
    return {"Nats-Subject": _subject(room), "Nats-Sequence": str(seq)}


def ranges(cluster: _Cluster, batch: int = 256, *, clustered: bool = True) -> StreamRanges:
    shared = SharedReader(cast("Reader", cluster))
    return StreamRanges(shared, Pages(batch, 1_000), {"us"} if clustered else (), "us", cluster)


async def read(of: StreamRanges, rooms: set[RoomKey], after: int, upto: int) -> list[int]:
    parts = of.read(Source("us", 1), rooms, after, upto)
    return [event.seq for part in parts_of([p async for p in parts]) for event in part]


def parts_of(parts: list[Sequence[Event]]) -> list[Sequence[Event]]:
    assert all(parts), "no part is empty"
    return parts


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.bus.replay.REPLICA_WAIT_S", 0)


async def test_a_mirror_of_a_later_epoch_shows_nothing_of_the_one_before() -> None:
    cluster = _Cluster([A, B, A, A], mirror=True)
    mirror = StreamRanges(SharedReader(cast("Reader", cluster)), Pages(9, 99), (), "eu", cluster)
    source = Source("us", 1, strict=True)
    assert len((await mirror.chunk(source, 1, 4, None)).events) == 4
    cluster.epoch = 2
    with pytest.raises(UnavailableError, match="has not heard of epoch 2 of us yet"):
        await mirror.chunk(source, 1, 4, None)


async def test_a_mirror_that_was_made_anew_while_it_was_read_is_read_once_more() -> None:
    """What was read may have had a hole, though the other one has none."""
    cluster = _Cluster([A, B, A, A], mirror=True)
    mirror = StreamRanges(SharedReader(cast("Reader", cluster)), Pages(9, 99), (), "eu", cluster)
    reading = asyncio.ensure_future(mirror.chunk(Source("us", 1), 1, 4, None))  # noqa: TID251
    await asyncio.sleep(0)
    cluster.created = "tuesday"
    with pytest.raises(UnavailableError, match="changed while it was read"):
        await reading
    assert len((await mirror.chunk(Source("us", 1), 1, 4, None)).events) == 4


async def test_what_a_replica_lacks_is_waited_for() -> None:
    cluster = _Cluster([A, B, A, A], lags=[2, 1, 1])
    assert await read(ranges(cluster), {A}, 0, 4) == [1, 3, 4]


async def test_without_a_cluster_nobody_is_asked_again() -> None:
    cluster = _Cluster([A, B, A, B])
    assert await read(ranges(cluster, clustered=False), {A}, 0, 4) == [1, 3]
    assert cluster.reads == 1


async def test_a_replica_that_never_gets_it_ends_the_read() -> None:
    cluster = _Cluster([A, A], lags=[1] * 100)
    with pytest.raises(UnavailableError, match="no replica has what the leader has"):
        await read(ranges(cluster), {A}, 0, 2)


@settings(max_examples=300, deadline=None)
@given(
    rooms=st.lists(st.sampled_from((A, B, C)), max_size=30),
    lags=st.lists(st.integers(0, 12), max_size=20),
    batch=st.integers(1, 5),
    wanted=st.sets(st.sampled_from((A, B, C)), min_size=1),
    after=st.integers(0, 30),
    more=st.integers(0, 6),
)
async def test_whichever_replicas_answer_the_range_is_whole(
    rooms: list[RoomKey],
    lags: list[int],
    batch: int,
    wanted: set[RoomKey],
    after: int,
    more: int,
) -> None:
    """The leader holds `more` beyond the range; replicas may lack any part of its end."""
    upto = max(len(rooms) - more, 0)
    cluster = _Cluster(rooms, lags=[min(lag, len(rooms)) for lag in lags])
    got = await read(ranges(cluster, batch), wanted, after, upto)
    assert got == [
        seq for seq, room in enumerate(rooms, 1) if after < seq <= upto and room in wanted
    ]


async def test_who_asks_at_once_shares_a_page_but_not_an_end_that_is_too_early() -> None:
    """What was stored after the first had asked, the second has to be sent."""
    cluster = _Cluster([A, A, A], stored=2)
    one = ranges(cluster, clustered=False)
    first = asyncio.ensure_future(one.chunk(Source("us", 1), 1, 2, None))  # noqa: TID251
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert cluster.reads == 1
    cluster.stored = 3
    second = await one.chunk(Source("us", 1), 1, 3, None)
    assert [event.seq for event in (await first).events] == [1, 2]
    assert [event.seq for event in second.events] == [1, 2]
    assert (second.done, second.next_seq) == (False, 3)
    last = await one.chunk(Source("us", 1), second.next_seq, 3, None)
    assert ([event.seq for event in last.events], last.done) == ([3], True)
    assert cluster.reads == 2


async def test_a_page_that_fails_fails_for_all_who_wait() -> None:
    class Broken:
        async def page(self, *_: object, **__: object) -> Page:
            await asyncio.sleep(0)
            raise UnavailableError("no answer")

    shared = SharedReader(cast("Reader", Broken()))
    ask = Ask("EV_us", 1, 1, 1)
    ends = await asyncio.gather(shared.page(ask), shared.page(ask), return_exceptions=True)
    assert [str(end) for end in ends] == ["no answer"] * 2
    assert shared.shared == 1


async def test_what_limits_drop_while_a_range_is_read_is_an_error_and_no_gap_in_silence() -> None:
    cluster = _Cluster([A] * 10)
    of, source = ranges(cluster, batch=3), Source("us", 1, strict=True)
    parts = of.read(source, {A}, 0, 10)
    assert [event.seq for event in await anext(parts)] == [1, 2, 3]
    cluster.first = 6
    with pytest.raises(DroppedError):
        await anext(parts)
    again = of.read(source, {A}, 5, 10)
    assert [event.seq async for part in again for event in part] == [6, 7, 8, 9, 10]
    loose = of.read(Source("us", 1), {A}, 0, 10)  # a page of history shows what there is
    assert [event.seq async for part in loose for event in part] == [6, 7, 8, 9, 10]


async def test_an_epoch_begins_with_what_an_edge_wrote_whatever_a_backend_claims() -> None:
    subjects = [("_", "0", "a"), ("-", "0", "void"), ("_", "0", "a"), ("_", "0", "a")]
    epochs = ["999", "3", "2", None]
    asked: list[int] = []

    async def newest(claimed: int) -> int:
        asked.append(claimed)
        return 3

    messages = []
    for seq, ((tenant, shard, room), epoch) in enumerate(zip(subjects, epochs, strict=True), 1):
        headers = {
            "Nats-Subject": event_subject("us", tenant, shard, room), "Nats-Sequence": str(seq),
        }  # fmt: skip
        messages.append((headers | ({"Jr-Epoch": epoch} if epoch else {}), b"1"))
    found = await events_of(Page(tuple(messages), 0), 2, newest)
    assert [event.epoch for event in found] == [3, 3, 2, 2]
    found = await events_of(Page(tuple(messages[2:]), 0), 2, newest)
    assert [event.epoch for event in found] == [2, 2]
    assert asked == [2], "only where a later one is claimed than is known"


async def test_a_stream_that_was_cut_short_or_began_anew_is_not_taken_for_an_empty_one() -> None:
    cluster = _Cluster([A] * 10, stored=6)
    of = ranges(cluster, clustered=False)
    with pytest.raises(UnavailableError, match="less than was delivered"):
        _ = [part async for part in of.read(Source("us", 1, strict=True), {B}, 2, 10)]
    cluster.stored, cluster.epoch = None, 2
    with pytest.raises(UnavailableError, match="epoch 2"):
        _ = [part async for part in of.read(Source("us", 1, strict=True), {B}, 2, 10)]
    found = [part async for part in of.read(Source("us", 2, strict=True), {B}, 2, 10)]
    assert found == []

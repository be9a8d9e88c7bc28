"""The edge's log: the same number has the same records, however often it is sent."""

import asyncio
import math
import time
from typing import Any, cast

import msgspec
import pytest

from regions.audit.rebuild import Rebuild
from relay.core.headcount import Headcount, How, Who
from relay.core.log import Batch, Entry, Snapshot, decode_entry, encode_entry
from relay.core.session_id import SessionIds
from relay.edge import logbook
from relay.edge.logbook import BATCH_RECORDS, Logbook, epoch_after
from relay.errors import UnavailableError

IDS = SessionIds(b"k" * 32)


class Stream:
    """Stores what it is sent; of some it says nothing, though it has stored them."""

    def __init__(self, silent: int = 0, refuses: int = 0) -> None:
        self.refuses = refuses  # messages that are not stored
        self.may_look = True
        self.entries: list[Entry] = []
        self.sizes: list[int] = []
        self.stored_ms: list[int] = []
        self._silent = silent
        self._ids: set[str] = set()

    async def request(
        self, _subject: str, data: bytes, _timeout_s: float, headers: dict[str, str]
    ) -> tuple[dict[str, str], bytes]:
        """Store it, unless it is a duplicate."""
        if self.refuses:
            self.refuses -= 1
            raise UnavailableError("no answer")
        if headers["Nats-Msg-Id"] not in self._ids:
            self._ids.add(headers["Nats-Msg-Id"])
            self.entries.append(decode_entry(data))
            self.sizes.append(len(data))
            self.stored_ms.append(round(time.time() * 1000))
        if self._silent:
            self._silent -= 1
            raise UnavailableError("no answer")
        return {}, msgspec.json.encode({"stream": "LOG_us", "seq": len(self.entries)})

    async def last_stored_ms(self, stream: str, subject: str) -> int | None:
        """As a reader: when the newest entry was stored."""
        assert (stream, subject) == ("LOG_us", "log.us.att.us-1")
        if not self.may_look:
            raise UnavailableError("no answer")
        return self.stored_ms[-1] if self.stored_ms else None

    @property
    def batches(self) -> list[Batch]:
        """Without snapshots."""
        return [entry for entry in self.entries if isinstance(entry, Batch)]


def book(stream: Stream) -> Logbook:
    """A log of an edge."""
    both = cast("Any", stream)
    return Logbook(both, both, Headcount(), "us", "us-1", 1)


def session(number: int) -> str:
    """A session's id."""
    return IDS.make("_", f"u{number}", number.to_bytes(16, "little"))


async def test_a_beat_that_was_not_answered_is_not_sent_again_with_records() -> None:
    stream = Stream(silent=1)
    mine = book(stream)
    mine.start()
    await asyncio.sleep(logbook.BEAT_S + 0.1)  # the first beat is stored, and not answered
    mine.came(session(1), Who("_", "ana"), How.IDENTIFY)
    await mine.stored()
    await mine.close()
    assert [batch.number for batch in stream.batches] == list(range(1, len(stream.batches) + 1))
    assert sum(len(batch.records) for batch in stream.batches) == 1
    assert stream.batches[-1].final


async def test_the_longest_names_fit_into_a_message() -> None:
    stream = Stream()
    mine = book(stream)
    who = Who("t" * 32, "u" * 128, "websocket", "DE", "d" * 64)
    for number in range(BATCH_RECORDS + 1):
        mine.came(session(number), who, How.IDENTIFY)
    mine.start()
    await mine.stored()
    await mine.close()
    assert max(len(batch.records) for batch in stream.batches) == BATCH_RECORDS
    assert max(stream.sizes) < 65_536
    assert stream.batches[-1].sessions == BATCH_RECORDS + 1


@pytest.mark.parametrize("before_s", [None, 3.0])
async def test_it_knows_for_how_long_the_edge_was_away(before_s: float | None) -> None:
    stream = Stream(silent=1)  # the first batch has to be sent again
    if before_s is not None:
        stream.stored_ms.append(round((time.time() - before_s) * 1000))
    mine = book(stream)
    mine.start()
    away_s = await mine.away_s()
    await mine.close()
    if before_s is None:
        assert away_s == math.inf
    else:
        assert before_s <= away_s < before_s + 1


async def test_a_beat_that_was_not_stored_says_the_same_when_it_is_sent_again() -> None:
    stream = Stream(refuses=1)
    mine = book(stream)
    mine.start()
    await asyncio.sleep(0.02)  # the first beat is not stored
    mine.came(session(1), Who("_", "ana"), How.IDENTIFY)
    await mine.stored()
    await mine.close()
    told = [(batch.changes, batch.sessions, len(batch.records)) for batch in stream.batches]
    assert told[:2] == [(0, 0, 0), (1, 1, 1)]


async def test_it_writes_also_where_it_may_not_ask_what_was_before() -> None:
    stream = Stream()
    stream.may_look = False
    mine = book(stream)
    mine.start()
    assert await mine.away_s() == 0.0
    mine.came(session(1), Who("_", "ana"), How.IDENTIFY)
    await mine.stored()
    await mine.close()
    assert sum(len(batch.records) for batch in stream.batches) == 1


async def test_a_snapshot_is_of_the_last_batch_whatever_has_happened_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logbook, "SNAPSHOT_S", 0.0)
    monkeypatch.setattr(logbook, "BATCH_RECORDS", 2)
    stream = Stream()
    mine = book(stream)
    for number in range(7):
        mine.came(session(number), Who("_", "ana"), How.IDENTIFY)
    mine.went(session(0), 1000)
    mine.start()
    await mine.stored()
    await mine.close()
    rebuild = Rebuild("us")
    for at_ms, entry in enumerate(stream.entries):
        rebuild.add(at_ms, entry)
    (life,) = rebuild.lives.values()
    snapshots = sum(isinstance(entry, Snapshot) for entry in stream.entries)
    assert snapshots >= 3
    assert (life.off, life.compared) == (0, len(stream.entries))


@pytest.mark.parametrize(("wall_ms", "epoch"), [(5_000, 7_001), (9_000, 9_000)])
async def test_a_new_life_is_later_than_the_one_before_whatever_the_clock_says(
    wall_ms: int, epoch: int
) -> None:
    class Log:
        async def last_data(self, stream: str, subject: str) -> bytes:
            assert (stream, subject) == ("LOG_us", "log.us.att.us-1")
            return encode_entry(Batch(1, "us", "us-1", 7_000, 3, 0, 0, 0, True, []))

    assert await epoch_after(cast("Any", Log()), "us", "us-1", wall_ms) == epoch

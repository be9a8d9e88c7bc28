"""A mirror that lacks events: what is asked of its origin, when, and what an answer proves."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from relay.bus import copies as mirror_copies
from relay.bus.copies import Copies, Standing
from relay.bus.events import SEQUENCE, SUBJECT
from relay.bus.reader import API, Page, StreamInfo, remote_api
from relay.core.codes import Invalid
from relay.core.copy import Copy
from relay.core.cursor import Position
from relay.core.event import Event
from relay.core.feed import Missed
from relay.core.resume import Accept, Refuse, judge
from relay.core.runs import Runs, ranges
from relay.core.spans import Spans
from relay.edge import streams as streams_at_edge
from relay.edge.mirrors import Lacked, Mirrors
from relay.edge.streams import Streams
from relay.errors import UnavailableError


@dataclass
class _Region:
    """Streams of one region. A replica that is behind shows nothing beyond `behind`."""

    held: set[int]
    created: str = "monday"
    behind: int | None = None

    @property
    def info(self) -> StreamInfo:
        first, last = min(self.held), max(self.held)
        lacking = last - first + 1 - len(self.held)
        return StreamInfo(first, last, len(self.held), lacking, 0, self.created, {}, {})

    def page(self, seq: int, batch: int) -> Page:
        upto = max(self.held) if self.behind is None else self.behind
        shown = sorted(each for each in self.held if seq <= each <= upto)
        messages = tuple(
            ({SEQUENCE: str(each), SUBJECT: "ev.us._.0.a"}, b"{}") for each in shown[:batch]
        )
        return Page(messages, max(len(shown) - batch, 0))


@dataclass
class Reader:
    """Reads a mirror here and its origin `us`, which may not answer."""

    here: _Region
    origin: _Region
    answers: bool = True
    epoch: int = 1  # that the newest marker here says
    proofs: int = 0  # how often it was asked for
    across: list[int] = field(default_factory=list)  # sequences asked of the origin
    looks: int = 0
    named: int = 0  # how often it named what it does not hold
    asked: int = 0  # how often it said what follows

    async def info(self, _stream: str) -> StreamInfo:
        self.looks += 1
        return self.here.info

    async def deleted(self, _stream: str) -> tuple[StreamInfo, Runs]:
        held = Runs.of(self.here.held)
        self.named += 1
        return self.here.info, Runs.between(held.first, held.last) - held

    async def last_seq(self, stream: str, subject: str, *, api: str) -> int:
        assert (stream, subject, api) == ("EV_us", ">", remote_api("us"))
        return max(self.origin.held)

    async def last_headers(self, stream: str, subject: str, *, api: str) -> dict[str, str] | None:
        assert (stream, api) == ("EV_us", API)
        if not subject.endswith(".mark"):
            return None
        self.proofs += 1
        return {"Jr-Epoch": str(self.epoch)}

    async def next_seq(self, _stream: str, seq: int, subject: str) -> int | None:
        del subject  # all here are of one
        self.asked += 1
        return min((each for each in self.here.held if each >= seq), default=None)

    async def page(
        self, _stream: str, seq: int, *, batch: int, max_bytes: int = 0, api: str = API
    ) -> Page:
        await asyncio.sleep(0)
        if api == API:
            return self.here.page(seq, batch)
        assert api == remote_api("us")
        self.across.append(seq)
        if not self.answers:
            raise UnavailableError("the link is cut")
        return self.origin.page(seq, batch)


def region(*runs: tuple[int, int]) -> _Region:
    return _Region({seq for first, last in runs for seq in range(first, last + 1)})


def copies(reader: Reader) -> Copies:
    return Copies(cast("Any", reader), "eu", ("us", "eu"))


async def test_a_look_asks_this_region_alone_and_takes_what_it_lacks_to_be_at_the_origin() -> None:
    reader = Reader(region((5, 9), (12, 20), (25, 30)), region((5, 30)), answers=False)
    one = copies(reader)
    copy = await one.look("us")
    assert reader.across == []
    assert copy.missing.runs == ((10, 11), (21, 24))
    assert copy.lacks(1, 9), "nobody knows where the origin begins"
    assert await one.source("us", 9, 30) == remote_api("us")
    assert await one.source("us", 11, 20) == API
    assert reader.across == []


async def test_what_is_read_whole_is_read_where_all_of_it_is_stored_now() -> None:
    reader = Reader(region((1, 20)), region((1, 30)))
    one = copies(reader)
    await one.look("us")
    assert await one.whole_source("us", 5, 20) == API
    assert await one.whole_source("us", 5, 30) == remote_api("us")
    reader.here = region((1, 10))  # it is being filled anew, and was whole at the last look
    assert await one.whole_source("us", 5, 20) == remote_api("us")
    reader.origin = region((1, 25))  # it lost its end, which is being written back
    with pytest.raises(UnavailableError, match="holds less"):
        await one.whole_source("us", 5, 30)
    eu = Copies(cast("Any", reader), "us", ("us", "eu"))
    with pytest.raises(UnavailableError, match="holds less"):
        await eu.whole_source("us", 5, 20)
    assert await eu.whole_source("us", 5, 10) == API


async def test_a_mirror_says_of_which_epoch_it_is_and_is_asked_once_about_each_of_its_ends() -> (
    None
):
    """Seed 21004: it was filled anew under an edge that had not heard of the epoch in it yet."""
    reader = Reader(region((1, 20)), region((1, 20)))
    one = copies(reader)
    for proofs in (1, 1):
        assert await one.whole("us", 5, 20)
        assert await one.stands_at("us", API) == Standing(1, 20, 1)
        assert reader.proofs == proofs
    reader.here = region((1, 24))
    assert await one.whole("us", 5, 20)
    assert (await one.stands_at("us", API)).epoch == 1
    assert reader.proofs == 2, "what came since may be of another"
    reader.here.created, reader.epoch = "tuesday", 2
    assert await one.whole("us", 5, 20)
    assert await one.stands_at("us", API) == Standing(1, 24, 2)


async def test_an_origin_that_does_not_answer_is_asked_once_in_a_turn() -> None:
    reader = Reader(region((5, 9), (12, 20), (25, 30)), region((5, 30)), answers=False)
    one = copies(reader)
    await one.look("us")
    copy = await one.inquire("us")
    assert reader.across == [10]
    assert copy.missing.runs == ((10, 11), (21, 24))


async def test_what_the_origin_holds_is_missing_and_what_it_does_not_is_not() -> None:
    reader = Reader(region((5, 9), (12, 20), (25, 30)), region((5, 20), (25, 40)))
    one = copies(reader)
    await one.look("us")
    copy = await one.inquire("us")
    assert (copy.missing.runs, copy.origin_first) == (((10, 11),), 5)
    assert (one.found, one.known("us")) == (2, copy)
    reader.across.clear()
    await one.look("us")
    assert (await one.inquire("us")).missing.runs == ((10, 11),)
    assert (reader.across, one.found) == ([], 2), "it is asked once"


async def test_a_replica_of_the_origin_that_is_behind_proves_nothing() -> None:
    reader = Reader(region((1, 9), (12, 30)), region((1, 30)))
    one = copies(reader)
    await one.look("us")
    for behind in (9, 10, None):
        reader.origin.behind = behind
        assert (await one.inquire("us")).missing.runs == ((10, 11),)
    assert one.found == 2


async def test_what_a_mirror_skipped_is_named_once_however_often_it_is_looked_at() -> None:
    reader = Reader(region((5, 9), (12, 20)), region((5, 30)))
    one = copies(reader)
    for held in (region((5, 9), (12, 20)), region((8, 9), (12, 26)), region((12, 28))):
        reader.here = held
        await one.look("us")
    assert reader.named == 1
    assert not one.known("us").missing, "it has dropped what came before"
    reader.here = region((14, 28), (30, 31))
    assert (await one.look("us")).missing.runs == ((29, 29),)
    assert reader.named == 2, "it has skipped another"
    reader.here = _Region(region((5, 9), (12, 31)).held, created="tuesday")
    assert (await one.look("us")).missing.runs == ((10, 11),)
    assert reader.named == 3


async def test_very_many_are_found_without_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """An origin drops millions while the link is cut: then its mirror skips them."""
    monkeypatch.setattr(mirror_copies, "MOST_DELETED", 100)
    reader = Reader(region((5, 20)), region((5, 20)))
    one = copies(reader)
    await one.look("us")
    reader.here, reader.origin = region((5, 20), (400, 410)), region((400, 500))
    for last in (410, 420):
        reader.here = region((5, 20), (400, last))
        assert (await one.look("us")).missing.runs == ((21, 399),)
    copy = await one.inquire("us")
    assert (copy.first, copy.missing.runs) == (400, ()), "neither has them, nor what came before"
    assert one.dropped("us") == [(21, 399)]
    assert len(reader.across) <= 3
    assert reader.named == 0


async def test_where_an_edge_finds_very_many_at_its_start_it_asks_what_follows_a_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seeds 18459, 3679, 9059, 10779: all of the mirror was taken to be missing, and came again."""
    monkeypatch.setattr(mirror_copies, "MOST_DELETED", 100)
    reader = Reader(region((5, 20), (200, 210), (400, 410)), region((5, 500)))
    one = copies(reader)
    assert (await one.look("us")).missing.runs == ((21, 199), (211, 399))
    assert (reader.named, await one.source("us", 6, 8)) == (0, API)
    asked = reader.asked
    reader.here = region((7, 20), (200, 210), (400, 415))
    assert (await one.look("us")).missing.runs == ((21, 199), (211, 399))
    assert reader.asked == asked, "it is known"


async def test_where_they_are_too_many_and_too_small_nothing_is_taken_to_be_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirror_copies, "MOST_DELETED", 100)
    many = [(seq, seq) for seq in range(5, 9_000, 2)]
    reader = Reader(region(*many), region((5, 10_000)))
    one = copies(reader)
    assert (await one.look("us")).missing.runs == ((5, 8_999),)
    assert await one.source("us", 6, 8) == remote_api("us")
    asked = reader.asked
    await one.look("us")
    assert reader.asked <= asked + 1, "they are not sought in vain again"
    reader.here = region((205, 210), (300, 420))
    assert (await one.look("us")).missing.runs == ((211, 299),), "fewer are named"
    assert await one.source("us", 301, 420) == API


async def test_a_mirror_that_changes_while_it_is_searched_is_searched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirror_copies, "MOST_DELETED", 10)
    reader = Reader(region((5, 20), (200, 210), (400, 410)), region((5, 500)))
    one, really = copies(reader), reader.next_seq

    async def meanwhile(stream: str, seq: int, subject: str) -> int | None:
        reader.here = region((9, 20), (200, 210), (400, 410), (420, 425))
        return await really(stream, seq, subject)

    monkeypatch.setattr(reader, "next_seq", meanwhile)
    assert (await one.look("us")).missing.runs == ((5, 410),), "a gap more than it was told of"
    reader.here = region((9, 20), (200, 210), (400, 410))
    monkeypatch.setattr(reader, "next_seq", really)
    assert (await one.look("us")).missing.runs == ((21, 199), (211, 399))


async def test_who_looks_while_a_look_is_under_way_shares_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = Reader(region((5, 20)), region((5, 20)))
    one, really = copies(reader), reader.info
    gate = asyncio.Event()

    async def held(stream: str) -> StreamInfo:
        info = await really(stream)  # as it is now: what comes while it is on its way is not in it
        await gate.wait()
        return info

    monkeypatch.setattr(reader, "info", held)
    found: list[int] = []

    async def look() -> None:
        found.append((await one.look("us")).last)

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        await asyncio.sleep(0.01)
        reader.here.held.add(21)
        for _ in range(50):
            group.create_task(look())
        await asyncio.sleep(0.01)
        gate.set()
    assert (found, reader.looks) == ([20] + [21] * 50, 2)


async def test_a_look_that_fails_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(region((5, 20)), region((5, 20)))
    one, really = copies(reader), reader.info

    async def first_fails(stream: str) -> StreamInfo:
        await asyncio.sleep(0)
        info = await really(stream)
        if reader.looks == 1:
            raise UnavailableError("no answer")
        return info

    monkeypatch.setattr(reader, "info", first_fails)
    looks = await asyncio.gather(*(one.look("us") for _ in range(3)), return_exceptions=True)
    assert isinstance(looks[0], UnavailableError)
    assert [each.last for each in looks[1:] if isinstance(each, Copy)] == [20, 20]
    assert reader.looks == 2


# --- resumes --------------------------------------------------------------------------------------


@pytest.fixture
async def streams() -> Any:
    made: list[Streams] = []

    def make(reader: Reader, silent_s: float = 0.0) -> Streams:
        one = Copies(cast("Any", reader), "eu", ("us",))
        made.append(Streams(cast("Any", reader), one, "eu", lambda _origin: silent_s))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def _verdict(streams: Streams, seq: int) -> Accept | Refuse:
    presented = {"us": Position(1, seq)}
    return judge(presented, await streams.states_since({"us": 1, "eu": 1}, presented))


async def test_a_resume_asks_the_origin_only_for_what_is_older_than_all_that_is_here(
    streams: Any,
) -> None:
    reader = Reader(region((10, 30)), region((6, 40)))
    one = streams(reader)
    assert isinstance(await _verdict(one, 9), Accept)
    assert reader.across == []
    assert isinstance(await _verdict(one, 5), Accept), "the origin has it"
    assert reader.across == [1]
    refused = await _verdict(one, 4)
    assert isinstance(refused, Refuse)
    assert refused.missing == {"us": (5, 5)}


async def test_what_the_origin_dropped_meanwhile_is_refused_and_not_skipped(streams: Any) -> None:
    reader = Reader(region((10, 30)), region((6, 40)))
    one = streams(reader)
    assert isinstance(await _verdict(one, 5), Accept)
    reader.origin.held -= set(range(6, 9))
    refused = await _verdict(one, 5)
    assert isinstance(refused, Refuse)
    assert refused.missing == {"us": (6, 8)}


async def test_an_origin_that_is_silent_may_be_back_soon_and_then_is_not(streams: Any) -> None:
    for silent_s, reason in ((2.0, Invalid.UNAVAILABLE), (600.0, Invalid.EXPIRED)):
        reader = Reader(region((10, 30)), region((6, 40)), answers=False)
        refused = await _verdict(streams(reader, silent_s), 5)
        assert isinstance(refused, Refuse)
        assert (refused.reason, refused.retry) == (reason, reason is Invalid.UNAVAILABLE)


async def test_a_herd_asks_the_origin_once(streams: Any) -> None:
    reader = Reader(region((10, 30)), region((6, 40)))
    one = streams(reader)
    verdicts = await asyncio.gather(*(_verdict(one, 6) for _ in range(100)))
    assert all(isinstance(verdict, Accept) for verdict in verdicts)
    assert len(reader.across) == 1


async def test_a_herd_waits_for_one_look_and_who_hurries_brings_it_at_once(
    streams: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_at_edge, "LOOKS", 1)
    monkeypatch.setattr(streams_at_edge, "LOOKS_PER_S", 0.001)  # the next in a quarter of an hour
    reader = Reader(region((10, 30)), region((6, 40)))
    one = streams(reader)
    assert isinstance(await _verdict(one, 12), Accept)
    assert reader.looks == 1
    known: list[int] = []

    async def come_back() -> None:
        found = await one.states_since({"us": 1, "eu": 1}, {"us": Position(1, 12)})
        known.append(found["us"].last)

    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(come_back())
        await asyncio.sleep(0.05)
        assert (known, reader.looks) == ([], 1)
        reader.here.held |= {31, 32}  # what was stored since they came is in what they are told
        await one.states({"us": 1, "eu": 1})
    assert (known, reader.looks) == ([32] * 100, 2)


# --- what the feed jumped over --------------------------------------------------------------------


class _Feed:
    origin, epoch, position, repairing = "us", 1, 100, False

    def unheard(self, event: Event) -> Collection[Missed]:
        return (Missed(event),)

    late = unheard

    def unheard_in(self, first: int, last: int) -> list[tuple[int, int]]:
        return [(first, last)]

    def passed_in(self, first: int, last: int) -> list[tuple[int, int, int]]:
        return [(1, first, last)]


class _Feeds:
    def __init__(self) -> None:
        self.dropped: list[tuple[int, int]] = []
        self.feeds = {"us": _Feed()}
        self.scans = self
        self.handled = {"us": Spans()}
        self.silent: set[str] = set()
        self.missed: list[int] = []

    def carry_out(self, _feed: _Feed, actions: Collection[Missed]) -> None:
        self.missed += [action.event.seq for action in actions]

    def found(self, event: Event) -> None:
        pass

    def on_dropped(self, _origin: str, _epoch: int, first: int, last: int) -> None:
        self.dropped.append((first, last))


def mirrors(reader: Reader) -> tuple[Mirrors, _Feeds]:
    feeds = _Feeds()
    return Mirrors(cast("Any", feeds), copies(reader), cast("Any", reader)), feeds


async def test_a_stretch_is_not_dealt_with_before_a_replica_here_shows_all_of_it() -> None:
    reader = Reader(region((1, 30)), region((1, 30)))
    one, feeds = mirrors(reader)
    reader.here.behind = 11
    with pytest.raises(UnavailableError, match="not shown"):
        await one.jumped("us", 10, 13)
    assert feeds.missed == []
    reader.here.behind = None
    assert await one.jumped("us", 10, 13) == Lacked(unheard=frozenset(range(10, 14)))
    assert feeds.missed == [10, 11, 12, 13]


async def test_a_copy_that_is_being_filled_anew_has_nothing_to_say_yet() -> None:
    reader = Reader(region((1, 9)), region((1, 30)))
    one, feeds = mirrors(reader)
    with pytest.raises(UnavailableError):
        await one.jumped("us", 10, 13)
    assert feeds.missed == []


async def test_what_a_replica_of_the_origin_does_not_show_yet_stays_to_be_dealt_with() -> None:
    reader = Reader(region((1, 9), (14, 30)), region((1, 30)))
    one, feeds = mirrors(reader)
    told: list[tuple[int, int]] = []

    async def skipped(_origin: str, first: int, last: int) -> None:
        told.append((first, last))

    one.on_skipped = skipped
    await one._copies.look("us")
    await one.inquire()
    assert told == [(10, 13)]
    reader.origin.behind = 11
    with pytest.raises(UnavailableError, match="not shown"):
        await one.jumped("us", 10, 13)
    assert (feeds.missed, 10 in feeds.handled["us"]) == ([], False)
    reader.origin.behind = None
    assert await one.jumped("us", 10, 13) == Lacked(skipped=frozenset(range(10, 14)))
    await one.inquire()
    assert told == [(10, 13)], "it is told once"


# --- what was dropped before the mirror had it ----------------------------------------------------


@pytest.mark.parametrize(
    ("came", "named"),
    [
        ((), [(10, 14)]),  # nothing of it was heard
        ((13, 14), [(10, 12)]),  # what came later shows nothing of what was before it
        ((10, 11), [(12, 14)]),  # nor of what comes after it: seed 12736
        ((12,), [(10, 11), (13, 14)]),
        ((10, 11, 12, 13, 14), []),  # it was stored, and dropped after it had been heard
    ],
)
async def test_what_was_dropped_is_named_but_for_what_was_heard(
    came: tuple[int, ...], named: list[tuple[int, int]]
) -> None:
    reader = Reader(region((5, 9)), region((5, 9)))
    one = copies(reader)
    one.unheard = lambda _o, first, last: ranges(n for n in range(first, last + 1) if n not in came)
    await one.look("us")
    reader.here.held = set(range(15, 21))
    reader.origin.held = set(range(15, 21))
    await one.look("us")
    await one.inquire("us")
    assert one.dropped("us") == named
    assert one.dropped("us") == []


@pytest.mark.parametrize("here", [region((1, 9), (14, 30)), region((13, 30))])
async def test_what_is_held_nowhere_when_it_is_to_be_read_is_declared(here: _Region) -> None:
    reader = Reader(region((1, 9), (14, 30)), region((1, 30)))
    one, feeds = mirrors(reader)
    await one._copies.look("us")
    await one._copies.inquire("us")
    reader.here, reader.origin.held = here, set(range(13, 31))  # filled anew, or not
    lacked = await one.jumped("us", 10, 13)
    assert lacked is not None
    assert lacked.unheard | lacked.skipped == {13}
    assert (feeds.missed, feeds.dropped) == ([13], [(10, 12)])
    assert await one.jumped("us", 10, 12) == Lacked()
    assert feeds.dropped == [(10, 12)], "it is declared once"


async def test_two_who_inquire_at_once_lose_no_stretch_where_the_origin_falls_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each popped what the other had asked about: one was neither had nor declared."""
    reader = Reader(region((1, 9)), region((1, 9)))
    one = copies(reader)
    one.unheard = lambda _origin, _first, _last: [(10, 12), (20, 22)]
    await one.look("us")
    reader.here.held, reader.origin.held = set(range(30, 41)), set(range(25, 41))
    await one.look("us")
    really, asked = reader.page, 0

    async def page(stream: str, seq: int, **how: Any) -> Page:
        nonlocal asked
        asked += how.get("api") == remote_api("us")
        if asked == 2:
            raise UnavailableError("the link is cut")
        return await really(stream, seq, **how)

    monkeypatch.setattr(reader, "page", page)
    await asyncio.gather(*(one.inquire("us") for _ in range(3)))
    assert one.dropped("us") == [(10, 12)]
    await one.inquire("us")
    assert one.dropped("us") == [(20, 22)], "it is asked about again"


async def test_a_mirror_is_searched_once_for_all_who_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_copies, "MOST_DELETED", 10)
    reader = Reader(region((5, 20), (200, 210), (400, 410)), region((5, 500)))
    one, really = copies(reader), reader.next_seq

    async def slowly(stream: str, seq: int, subject: str) -> int | None:
        await asyncio.sleep(0)
        return await really(stream, seq, subject)

    monkeypatch.setattr(reader, "next_seq", slowly)
    await one.look("us")
    alone, reader.asked = reader.asked, 0
    other = copies(reader)
    looks = await asyncio.gather(*(other.look("us") for _ in range(50)))
    assert reader.asked == alone
    assert {copy.missing.runs for copy in looks} == {((21, 199), (211, 399))}


async def test_what_a_search_found_that_did_not_find_all_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirror_copies, "MOST_DELETED", 10)
    many = [(seq, seq) for seq in range(5, 9_000, 2)]
    reader = Reader(region(*many, (29_000, 29_500)), region((5, 30_000)))
    one = copies(reader)
    assert (await one.look("us")).missing.runs == ((5, 29_500),)
    reader.asked = 0
    reader.here = region((8_999, 8_999), (29_000, 29_600))  # limits have dropped the rest
    assert (await one.look("us")).missing.runs == ((9_000, 28_999),)
    assert reader.asked <= 1


async def test_a_stretch_that_was_dealt_with_at_its_ends_alone_is_declared_in_between() -> None:
    reader = Reader(region((1, 9)), region((1, 9)))
    one, feeds = mirrors(reader)
    told: list[tuple[int, int]] = []

    async def skipped(_origin: str, first: int, last: int) -> None:
        told.append((first, last))

    one.on_skipped = skipped
    feeds.handled["us"].add(90, 110)
    feeds.handled["us"].add(190, 210)
    feeds.feeds["us"].position = 300
    one._copies._dropped["us"] = [(100, 200)]
    await one._tell("us")
    assert feeds.dropped == told == [(111, 189)]

"""What a scan reads where a mirror changes under it."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

from relay.bus.copies import Copies
from relay.bus.reader import API, Page, remote_api
from relay.bus.replay import Pages
from relay.core.event import Event
from relay.core.feed import Action, Feed, Scan
from relay.core.hold import Hold
from relay.edge.scans import Scans
from relay.errors import UnavailableError
from tests.unit.test_mirrors import Reader, copies, region


class _Skipping(Reader):
    """The mirror has skipped some by the time that it is read, and stores what follows."""

    async def page(
        self, _stream: str, seq: int, *, batch: int, max_bytes: int = 0, api: str = API
    ) -> Page:
        if api == API:
            self.here.held |= set(range(31, 41))
        return await super().page(_stream, seq, batch=batch, api=api)


def scans(reader: Reader, of: Copies) -> Scans:
    nothing = cast("Any", None)
    return Scans(cast("Any", reader), of, Pages(64, 1_000_000), nothing, nothing)


class _Followed(Feed):
    """A feed whose actions are carried out."""

    scans: Scans

    def act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Scan):
                self.scans.want(self, action.first)


def scanned(reader: Reader, of: Copies, position: int) -> tuple[Scans, _Followed]:
    """Scans, and a feed that stands at a position."""
    feed = _Followed("us", 1, position, Hold(99, 9_999))

    def carry_out(_feed: Feed, actions: Iterable[Action]) -> None:
        feed.act(actions)

    feed.scans = Scans(
        cast("Any", reader), of, Pages(64, 1_000_000), carry_out, lambda _event: None
    )
    feed.scans.begin("us", position)
    return feed.scans, feed


async def done(feed: _Followed, actions: Iterable[Action]) -> None:
    """Carry them out until the scan has ended."""
    feed.act(actions)
    async with asyncio.timeout(5):
        while feed.repairing:
            await asyncio.sleep(0)


def live(seq: int) -> Event:
    """An event, as a mirror republishes it that holds nothing else of its room."""
    return Event("us", 1, seq, "_", "a", "ana", f"{seq}", 1_000, b"{}", 0)


async def test_what_a_mirror_skipped_since_it_was_looked_at_is_read_at_the_origin() -> None:
    reader = _Skipping(region((1, 20)), region((1, 40)))
    of = copies(reader)
    await of.look("us")
    page, api = await scans(reader, of)._read(Feed("us", 1, 14, Hold(9, 999)), 15)
    assert api == remote_api("us")
    assert [int(headers["Nats-Sequence"]) for headers, _ in page.messages] == [*range(15, 41)]


async def test_a_page_without_a_hole_costs_no_second_look() -> None:
    reader = Reader(region((1, 30)), region((1, 40)))
    of = copies(reader)
    await of.look("us")
    looks = reader.looks
    page, api = await scans(reader, of)._read(Feed("us", 1, 14, Hold(9, 999)), 15)
    assert (api, page.last, reader.looks, reader.across) == (API, 30, looks, [])


async def test_what_the_origin_dropped_and_the_feed_had_passed_is_not_dealt_with_by_a_scan() -> (
    None
):
    """Nor is it told by the scan: the mirror's look tells of it, unless it came live."""
    reader = Reader(region((1, 12), (26, 30)), region((21, 40)))
    of = copies(reader)
    await of.look("us")
    told: list[tuple[int, int]] = []
    one, feed = scanned(reader, of, 14)
    feed.position = 18  # what came after the newest marker
    one.on_dropped = lambda _origin, _epoch, first, last: told.append((first, last))
    one.begin("us", 12)
    await done(feed, feed.connected())
    await one.close()
    assert told == [(19, 20)]
    handled = one.handled["us"]
    assert [seq for seq in range(1, 41) if seq not in handled] == [*range(13, 19)]


async def test_a_feed_is_ahead_of_a_mirror_until_that_was_seen_to_come_as_far() -> None:
    reader = Reader(region((1, 12)), region((1, 20)))
    one, feed = scanned(reader, copies(reader), 12)
    one.beyond["us"] = 20
    await done(feed, feed.connected())
    assert (feed.position, feed.ahead) == (20, 20)
    one.beyond.clear()
    await done(feed, feed.advance())  # a resume asks for what may come, and reads it here
    assert (feed.position, feed.ahead) == (20, 20)
    assert len(reader.across) == 1
    reader.origin, reader.here = region((1, 24)), region((1, 12), (23, 24))
    await done(feed, feed.live(live(23), 1_000))  # it has skipped what the feed has, and two more
    assert (feed.position, feed.ahead) == (24, 0)
    assert len(reader.across) == 2
    reader.origin = reader.here = region((1, 25))
    await done(feed, feed.advance())
    assert (feed.position, feed.ahead) == (25, 0)
    await one.close()


async def test_a_feed_is_not_ahead_of_a_mirror_that_holds_more_than_its_origin() -> None:
    """The origin lost its end, and nobody there lives: what the mirror holds goes out."""
    reader = Reader(region((1, 12), (14, 20)), region((1, 12)))
    one, feed = scanned(reader, copies(reader), 12)
    feed.act(feed.connected())
    feed.live(live(14), 1_000)
    await done(feed, ())
    assert (feed.position, feed.ahead) == (14, 0)
    await one.close()


async def test_what_was_not_held_is_read_at_the_origin_where_a_mirror_is_made_anew_meanwhile() -> (
    None
):
    reader = Reader(region((1, 14)), region((1, 20)))
    one, feed = scanned(reader, copies(reader), 14)
    feed.held = Hold(2, 9_999)
    feed.act(feed.connected())
    for seq in (17, 18, 19, 20):  # the third finds no room: all are dropped, and the next is held
        feed.live(live(seq), 1_000)
    assert feed.dropped == 19
    reader.here = region((1, 2))
    await done(feed, ())
    await one.close()
    assert (feed.position, feed.ahead) == (20, 20)
    assert reader.across


class _SlowLink(Reader):
    """Brings no more than so many messages in time."""

    def __init__(self, most: int) -> None:
        super().__init__(region((1, 12)), region((1, 2_000)))
        self.most = most
        self.batches: list[int] = []

    async def page(
        self, stream: str, seq: int, *, batch: int, max_bytes: int = 0, api: str = API
    ) -> Page:
        if api == API:
            return await super().page(stream, seq, batch=batch, api=api)
        self.batches.append(batch)
        if batch > self.most:
            raise UnavailableError("no answer")
        return await super().page(stream, seq, batch=batch, api=api)


async def test_pages_across_a_link_are_no_larger_than_it_brings_in_time() -> None:
    reader = _SlowLink(100)
    one = scans(reader, copies(reader))
    for _ in range(4):
        with suppress(UnavailableError):
            await one._page("us", 13, remote_api("us"))
    assert reader.batches == [512, 256, 128, 64]
    reader.most = 1_000  # it is quick again
    for _ in range(4):
        await one._page("us", 13, remote_api("us"))
    assert reader.batches[4:] == [128, 256, 512, 512]
    reader.most = 0
    for _ in range(12):
        with suppress(UnavailableError):
            await one._page("us", 13, remote_api("us"))
    assert reader.batches[-1] == 4, "a page is never too small to get on"

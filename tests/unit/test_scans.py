"""What a scan reads where a mirror changes under it."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from relay.bus.copies import Copies
from relay.bus.reader import API, Page, remote_api
from relay.bus.replay import Pages
from relay.core.feed import Action, Feed, Scan
from relay.core.hold import Hold
from relay.edge.scans import Scans
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


async def test_what_a_mirror_skipped_since_it_was_looked_at_is_read_at_the_origin() -> None:
    reader = _Skipping(region((1, 20)), region((1, 40)))
    of = copies(reader)
    await of.look("us")
    page, api = await scans(reader, of)._read("us", 15)
    assert api == remote_api("us")
    assert [int(headers["Nats-Sequence"]) for headers, _ in page.messages] == [*range(15, 41)]


async def test_a_page_without_a_hole_costs_no_second_look() -> None:
    reader = Reader(region((1, 30)), region((1, 40)))
    of = copies(reader)
    await of.look("us")
    looks = reader.looks
    page, api = await scans(reader, of)._read("us", 15)
    assert (api, page.last, reader.looks, reader.across) == (API, 30, looks, [])


async def test_what_the_origin_dropped_and_the_feed_had_passed_is_not_dealt_with_by_a_scan() -> (
    None
):
    """Nor is it told by the scan: the mirror's look tells of it, unless it came live."""
    reader = Reader(region((1, 12), (26, 30)), region((21, 40)))
    of = copies(reader)
    await of.look("us")
    told: list[tuple[int, int]] = []
    feed = Feed("us", 1, 14, Hold(9, 999))
    feed.position = 18  # what came after the newest marker

    def carry_out(feed: Feed, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Scan):
                one.want(feed, action.first)

    one = Scans(cast("Any", reader), of, Pages(64, 1_000_000), carry_out, lambda _event: None)
    one.on_dropped = lambda _origin, _epoch, first, last: told.append((first, last))
    one.begin("us", 12)
    carry_out(feed, feed.connected())
    async with asyncio.timeout(5):
        while feed.repairing:
            await asyncio.sleep(0)
    await one.close()
    assert told == [(19, 20)]
    handled = one.handled["us"]
    assert [seq for seq in range(1, 41) if seq not in handled] == [*range(13, 19)]

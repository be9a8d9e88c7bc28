"""What a scan reads where a mirror changes under it."""

from typing import Any, cast

from relay.bus.copies import Copies
from relay.bus.reader import API, Page, remote_api
from relay.bus.replay import Pages
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

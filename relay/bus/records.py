"""Records of `s`: once a second an edge stores its `s` with its position, in a mirrored stream.

So a client that kept only `s` can be resumed anywhere, after its edge died too.
"""

import msgspec

from relay.bus.ack import read_ack
from relay.bus.events import rfc3339
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core.names import record_subject, records_stream
from relay.core.numbering import slot_of, unix_ms_of
from relay.errors import BusError, UnavailableError

_NEWEST = 64  # records, of all edges
_LOOK_BACK_S = (5, 60, 3600, 2 * 86_400)


class Record(msgspec.Struct, frozen=True):
    """What an edge had delivered when its `s` was this."""

    s: int
    edge: str
    positions: dict[str, tuple[int, int]]  # origin -> (epoch, sequence)
    holes: int = 0  # as in a cursor
    owes: dict[str, int] = {}  # of all other regions: who was where, a record can't know


_decoder = msgspec.json.Decoder(Record)


async def store_record(inbox: Inbox, region: str, record: Record) -> None:
    """Store one record.

    Raises:
        BusError: it was not stored; the one before it serves.
    """
    subject = record_subject(region, slot_of(record.s))
    ack = read_ack(*await inbox.request(subject, msgspec.json.encode(record), 2.0))
    if ack.error is not None:
        raise BusError(f"record refused: {ack.error.description}")


async def newest_record(reader: Reader, region: str, slot: int) -> Record | None:
    """The newest record of a slot, from this region's copy of `region`'s records.

    A replica that is behind shows an older one, which serves to resume from; see `last_record`.

    Raises:
        UnavailableError: NATS did not answer, or that replica holds none and the leader does.
    """
    stream, subject = records_stream(region), record_subject(region, slot)
    got = await reader.last_by_subject(stream, subject)
    if got is None and await reader.last_seq(stream, subject) is not None:
        raise UnavailableError(f"a record of slot {slot} of {region} is not shown yet")
    return _decode(got[1]) if got else None


async def last_record(reader: Reader, region: str, slot: int) -> Record | None:
    """The newest record of a slot, as the leader of this region's copy knows.

    Raises:
        UnavailableError: NATS did not answer, or there is no leader.
    """
    found = await reader.last_data(records_stream(region), record_subject(region, slot))
    return None if found is None else _decode(found)


async def newest_epochs(reader: Reader, region: str) -> dict[str, int]:
    """Origin -> the newest epoch of it that the region's edges recorded lately.

    Raises:
        UnavailableError: NATS did not answer.
        BusError: there is no such stream.
    """
    stream = records_stream(region)
    last = (await reader.info(stream)).last
    page = await reader.page(stream, max(last - _NEWEST + 1, 1), batch=_NEWEST)
    epochs: dict[str, int] = {}
    for _, data in page.messages:
        record = _decode(data)
        for origin, (epoch, _) in record.positions.items() if record else ():
            epochs[origin] = max(epoch, epochs.get(origin, 1))
    return epochs


async def find_record(reader: Reader, region: str, s: int, *, coming: bool) -> Record | None:
    """The newest record that came before `s`: what it names was delivered to whoever saw `s`.

    Strictly before: events of one millisecond share their `s`.

    Args:
        reader: of this region's streams.
        region: whose edge gave `s`.
        s: that a client kept.
        coming: records may be on their way from there, or be brought again.

    Raises:
        UnavailableError: NATS did not answer, or a replica does not show what another has shown;
            or there is none, and it may come.
    """
    newest = await newest_record(reader, region, slot_of(s))
    if newest is not None:
        if newest.s < s:
            return newest
        passed = False
        for look_back_s in _LOOK_BACK_S:
            found, passed = await _last_before(reader, region, s, look_back_s)
            if found is not None:
                return found
        if not passed:
            raise UnavailableError(f"records of {region} are not shown yet")
    if coming:  # a slot was begun behind a cut; or the copy skipped some, and is made anew
        raise UnavailableError(f"slot {slot_of(s)} of {region} has no record from before here yet")
    return None


async def _last_before(
    reader: Reader, region: str, s: int, look_back_s: int
) -> tuple[Record | None, bool]:
    """The last record before `s` in this time, and whether a later one was seen behind it."""
    stream, subject = records_stream(region), record_subject(region, slot_of(s))
    start = rfc3339(unix_ms_of(s) - look_back_s * 1000)
    page = await reader.since(stream, start, batch=256, subject=subject)
    found: Record | None = None
    while page.messages:
        for _, data in page.messages:
            record = _decode(data)
            if record is None:
                continue
            if record.s >= s:
                return found, True
            found = record
        if page.pending == 0:
            break
        page = await reader.page(stream, page.last + 1, batch=256, subject=subject)
    return found, False


def _decode(data: bytes) -> Record | None:
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        return None

"""Streams, their copies side by side, and the stores that hold them."""

from collections.abc import Sequence

from textual.message import Message

from console import figures
from console.look import Subject
from console.model import FleetView, Freshness, LagLevel
from console.model.copies import Agreement, Copy
from console.model.streams import STREAM_FIELDS, StoreRow, StreamRow, untold
from console.signs import AGREEMENT_SIGNS, LAG_SIGNS, Tone, stream_sign
from console.views.cell import Cell, cell, line, sign_cell
from console.views.listing import Listing
from console.views.regions import value_tone
from console.views.table import Column, RowTable

NOBODY = "no keeper is heard: see docs/alerts.md"
NEARLY = 0.9  # of a store: a page is due there

COLUMNS = (
    Column("stream", 10, field="name"),
    Column("region", 7, field="region"),
    Column("is", 6, rank=4, field="kind"),
    Column("state", 11, field="state"),
    Column("messages", 9, right=True, rank=5, field="messages"),
    Column("bytes", 5, right=True, rank=5, field="bytes"),
    Column("full", 5, right=True, rank=4, field="full"),
    Column("first", 13, right=True, rank=8, field="first"),
    Column("last", 13, right=True, field="last"),
    Column("lacks", 6, right=True, rank=1, field="lag"),
    Column("lag ms", 7, right=True, field="late"),
    Column("epoch", 5, right=True, rank=7, field="epoch"),
    Column("leader", 8, rank=6, field="leader"),
    Column("replicas", 14, rank=3, field="behind"),
    Column("deleted", 7, right=True, rank=8, field="deleted"),
    Column("readers", 7, right=True, rank=9, field="consumers"),
    Column("age", 5, right=True, rank=2, field="age"),
)
COPY_COLUMNS = (
    Column("copy in", 8),
    Column("is", 6, rank=4),
    Column("last", 13, right=True),
    Column("lacks", 6, right=True, rank=2),
    Column("lag ms", 7, right=True, rank=1),
    Column("epoch", 6, right=True),
    Column("age", 5, right=True, rank=3),
    Column("hash", 14),
    Column("", 20, rank=5, grows=True),
)
STORE_COLUMNS = (
    Column("region", 8),
    Column("stored", 6, right=True),
    Column("of", 6, right=True),
    Column("full", 6, right=True),
    Column("by", 7, rank=1),
    Column("age", 5, right=True),
)
STORES_WIDTH = sum(column.width + 1 for column in STORE_COLUMNS) - 1


class StreamTable(Listing[StreamRow]):
    """Every stream of every region."""

    class Moved(Message):
        """The cursor stands on another stream."""

    def __init__(self) -> None:
        super().__init__(
            "Streams",
            COLUMNS,
            STREAM_FIELDS,
            stream_row,
            lambda row: (row.region, row.stream.name),
            name="streams",
        )

    @property
    def subject(self) -> Subject | None:
        """The stream at the cursor."""
        row = self.current
        return None if row is None else Subject("stream", row.region, row.stream.name)

    def move_to(self, at: int) -> None:
        """Put the cursor on a row, and say so."""
        super().move_to(at)
        self.post_message(self.Moved())


class CopyTable(RowTable):
    """What each region holds of one stream."""

    def __init__(self) -> None:
        super().__init__(COPY_COLUMNS, name="copies")

    def show_copies(self, stream: str, found: Sequence[Copy]) -> None:
        """Draw the copies of a stream; empty: there is none."""
        self.entitle(line(cell(f"Copies of {stream}" if stream else "Copies")))
        self.show(len(found), lambda at: copy_row(found[at]))


class StoreTable(RowTable):
    """What each region's streams take on disk."""

    def __init__(self) -> None:
        super().__init__(STORE_COLUMNS, name="stores")
        self.border_title = "Stores"

    def show_stores(self, rows: Sequence[StoreRow]) -> None:
        """Draw them."""
        self.show(len(rows), lambda at: store_row(rows[at]))


def summary(view: FleetView) -> str:
    """Who tells of the streams, and of which regions nobody does."""
    if not view.streams:
        return NOBODY
    missing = list(untold(view))
    by = {told.value.by or region for region, told in view.streams.items()}
    known = [region.name for region in view.regions if region.name in by]
    told = f"by the keeper of {', '.join([*known, *sorted(by - {*known})])}"
    return f"{told} · nothing of {', '.join(missing)}" if missing else f"{told} · enter: detail"


def stream_row(row: StreamRow) -> Sequence[Cell]:
    """The cells of one stream in one region."""
    stream, tone = row.stream, value_tone(row.freshness)
    head = (
        cell(stream.name, Tone.STRONG),
        cell(row.region, Tone.MUTED),
        cell(row.kind, Tone.MUTED),
        sign_cell(stream_sign(row.state)),
    )
    age = cell(figures.age(row.age_ms), Tone.MUTED if tone is Tone.PLAIN else Tone.WARN)
    if row.freshness is Freshness.GONE:
        unknown = cell(figures.NONE, Tone.MUTED)
        return (*head, *[unknown] * (len(COLUMNS) - len(head) - 1), age)
    return (
        *head,
        cell(figures.count(stream.messages), tone),
        cell(figures.size(stream.bytes), tone),
        cell(figures.percent(row.full), tone),
        cell(f"{stream.first:,}", tone),
        cell(f"{stream.last:,}", tone),
        cell(figures.count(row.lacks), tone),
        _late(row, tone),
        cell(figures.count(stream.epoch), tone),
        cell(stream.leader or figures.NONE, tone),
        replicas(row),
        cell(figures.count(stream.deleted), tone),
        cell(figures.count(stream.consumers), tone),
        age,
    )


def replicas(row: StreamRow) -> Cell:
    """How many there are besides the leader, or those that are not as they should be, by name."""
    peers = row.stream.peers
    if row.offline:
        return cell(f"✗ {', '.join(row.offline)}", Tone.BAD)
    if row.behind:
        return cell(f"▲ {', '.join(row.behind)}", Tone.WARN)
    return cell(f"{len(peers)} current" if peers else "alone", Tone.MUTED)


def _late(row: StreamRow, tone: Tone) -> Cell:
    pair = row.pair
    if pair is None or pair.level is LagLevel.NONE:
        return cell(figures.NONE, Tone.MUTED)
    sign = LAG_SIGNS[pair.level]
    text = f"{sign.glyph} {figures.duration(pair.lag_ms)}".strip()
    return cell(text, tone if pair.level is LagLevel.OK else sign.tone)


def copy_row(copy: Copy) -> Sequence[Cell]:
    """The cells of one copy."""
    row = copy.row
    gone = row is None or row.freshness is Freshness.GONE
    tone = Tone.PLAIN if row is None else value_tone(row.freshness)
    sign = AGREEMENT_SIGNS[copy.agreement]
    epoch = figures.count(copy.epoch)
    pair = copy.pair
    bad = copy.agreement is Agreement.DIVERGES
    return (
        cell(copy.region, Tone.STRONG),
        cell(copy.kind, Tone.MUTED),
        cell(figures.NONE if gone or row is None else f"{row.stream.last:,}", tone),
        cell(figures.NONE if gone or row is None else figures.count(row.lacks), tone),
        cell(figures.duration(None if pair is None else pair.lag_ms), tone),
        cell(
            f"≠ {epoch}" if copy.epoch_differs else epoch, Tone.BAD if copy.epoch_differs else tone
        ),
        cell(figures.age(None if row is None else row.age_ms), Tone.MUTED),
        sign_cell(sign),
        cell(copy.why, Tone.BAD if bad else Tone.MUTED, 100),
    )


def store_row(row: StoreRow) -> Sequence[Cell]:
    """The cells of one region's store."""
    news, tone = row.news, value_tone(row.freshness)
    age = cell(figures.age(row.age_ms), Tone.MUTED if tone is Tone.PLAIN else Tone.WARN)
    if row.freshness is Freshness.GONE:
        unknown = cell(figures.NONE, Tone.MUTED)
        return (cell(row.region, Tone.STRONG), *[unknown] * 4, age)
    full = row.full is not None and row.full > NEARLY
    return (
        cell(row.region, Tone.STRONG),
        cell(figures.size(news.stored_bytes), tone),
        cell(figures.size(news.store_bytes) if news.store_bytes else figures.NONE, tone),
        cell(f"{'▲ ' if full else ''}{figures.percent(row.full)}", Tone.WARN if full else tone),
        cell(news.by or row.region, Tone.MUTED),
        age,
    )

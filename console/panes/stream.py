"""One stream in one region: its servers, its copies, and what to do where something is wrong."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget

from console import figures
from console.look import Look, Subject
from console.model import Freshness
from console.model.copies import copies
from console.model.remedy import remedies, servers
from console.model.streams import StreamRow, stream_rows
from console.panes.pane import Pane
from console.signs import Sign, Tone, stream_sign
from console.views.cell import Cell, cell, line, sign_cell
from console.views.drawn import Drawn
from console.views.streams import CopyTable
from console.views.table import Column, RowTable
from regions.news import Peer

WIDTH = 240
SERVER_COLUMNS = (
    Column("server", 14),
    Column("is", 8),
    Column("state", 12, grows=True),
    Column("lacks", 9, right=True),
)
FRAME_LINES = 3
ALONE = Sign("·", "no replicas", Tone.MUTED, "it stands on one server")
LEADS = Sign("●", "leads", Tone.GOOD, "what is stored goes through it")
NOBODY_LEADS = Sign("✗", "nobody leads", Tone.BAD, "nothing is stored")
CURRENT = Sign("●", "current", Tone.GOOD, "it has all that its leader has")
NOT_CURRENT = Sign("▲", "not current", Tone.WARN, "it catches up, or is gone")
OFFLINE = Sign("✗", "offline", Tone.BAD, "it is gone")


class StreamPane(Pane):
    """What it is on top; its servers beside its copies; below, what to do."""

    NAME: ClassVar[str] = "stream"
    TITLE: ClassVar[str] = "Stream"

    def __init__(self) -> None:
        super().__init__()
        self._subject: Subject | None = None

    def compose(self) -> ComposeResult:
        """The parts."""
        yield Drawn(name="stream-head")
        yield RowTable(SERVER_COLUMNS, name="stream-servers")
        yield CopyTable()
        yield Drawn(name="stream-remedy")

    def about(self, subject: Subject) -> bool:
        """Show one stream."""
        self._subject = subject if subject.kind == "stream" else None
        return self._subject is not None

    @property
    def first(self) -> Widget | None:
        """Its servers."""
        return self.query_one("#stream-servers")

    @property
    def subject(self) -> Subject | None:
        """The stream."""
        return self._subject

    def draw(self, look: Look) -> None:
        """Draw the stream."""
        row = self._find(look)
        head = self.query_one("#stream-head", Drawn)
        for part in ("#stream-servers", CopyTable, "#stream-remedy"):
            self.query_one(part).display = row is not None
        if row is None:
            head.say(line(cell("no such stream is known; esc goes back", Tone.MUTED)))
            return
        head.say(Content("\n").join(_head(row, look.wall_ms)))
        self._show_servers(row)
        found = copies(look.view, row.stream.name)
        table = self.query_one(CopyTable)
        table.styles.height = min(len(found), 16) + FRAME_LINES
        table.show_copies(row.stream.name, found)
        lines = [
            line(cell(text, Tone.STRONG if text.startswith("next:") else Tone.PLAIN, WIDTH))
            for text in remedies(look.view, row)
        ]
        remedy = self.query_one("#stream-remedy", Drawn)
        remedy.entitle(line(cell("What to do")))
        remedy.say(Content("\n").join(lines))

    def _find(self, look: Look) -> StreamRow | None:
        if self._subject is None:
            return None
        wanted = (self._subject.where, self._subject.name)
        rows = stream_rows(look.view)
        return next((row for row in rows if (row.region, row.stream.name) == wanted), None)

    def _show_servers(self, row: StreamRow) -> None:
        table = self.query_one("#stream-servers", RowTable)
        gone = row.freshness is Freshness.GONE
        ago = f", as told {figures.age(row.age_ms)} ago" if gone else ""
        table.entitle(line(cell(f"Servers in {row.region}{ago}", limit=100)))
        drawn = _servers(row)
        table.styles.height = len(drawn) + FRAME_LINES
        table.show(len(drawn), lambda at: drawn[at])


def _head(row: StreamRow, wall_ms: int) -> list[Content]:
    stream, sign = row.stream, stream_sign(row.state)
    gone = row.freshness is Freshness.GONE
    whose = f"the mirror of {stream.origin}" if stream.origin else "at home"
    first = [
        cell(f"{sign.glyph} ", sign.tone),
        cell(stream.name, Tone.STRONG),
        cell(f" in {row.region}, {whose}   ", Tone.MUTED, 100),
        cell(sign.word, sign.tone),
        cell(f"   told {figures.age(row.age_ms)} ago by the keeper of {row.by}", Tone.MUTED, 100),
    ]
    if gone:
        return [line(*first), line(cell("its figures are too old to be shown", Tone.MUTED))]
    newest = figures.age(max(0, wall_ms - stream.last_ms)) if stream.last_ms else figures.NONE
    bound = f" of {figures.size(stream.max_bytes)}" if stream.max_bytes else ", without a bound"
    second = [
        cell(f"{figures.count(stream.messages)} messages"),
        cell(f"   {stream.first:,} to {stream.last:,}", limit=80),
        cell(f"   {figures.count(stream.deleted)} in between deleted", Tone.MUTED),
        cell(f"   the newest {newest} old", Tone.MUTED),
    ]
    third = [
        cell(f"{figures.size(stream.bytes)}{bound}"),
        cell(f"   {figures.count(stream.consumers)} consumers", Tone.MUTED),
        cell(f"   epoch {figures.count(stream.epoch)}", Tone.MUTED),
    ]
    if stream.origin:
        active = figures.duration(stream.active_ms)
        third.append(cell(f"   heard of its origin {active} ms before", Tone.MUTED))
    return [line(*first), line(*second), line(*third)]


def _servers(row: StreamRow) -> list[Sequence[Cell]]:
    """A row each: the glyph says how it is, where that is known now."""
    gone = row.freshness is Freshness.GONE

    def server(name: str, role: str, sign: Sign, lacks: int | None) -> Sequence[Cell]:
        state = cell(f"{sign.word} then", Tone.MUTED) if gone else sign_cell(sign)
        return (
            cell(name or figures.NONE, Tone.MUTED if gone else Tone.STRONG),
            cell(role, Tone.MUTED),
            state,
            cell("" if lacks is None else figures.count(lacks), Tone.MUTED),
        )

    if not servers(row):
        return [server("", "alone", ALONE, None)]
    leads = LEADS if row.stream.leader else NOBODY_LEADS
    return [
        server(row.stream.leader, "leader", leads, None),
        *(server(peer.name, "replica", _sign(peer), peer.lag) for peer in row.stream.peers),
    ]


def _sign(peer: Peer) -> Sign:
    if peer.offline:
        return OFFLINE
    return CURRENT if peer.current else NOT_CURRENT

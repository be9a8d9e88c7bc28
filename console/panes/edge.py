"""One edge in detail: twelve short histories, what it reads, why connections end, its peers."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from console import figures
from console.asking import Asked
from console.look import Look, Mode, Subject
from console.model import EdgeView, FleetView
from console.model.timeline import Happening
from console.panes.asking import AskingPane
from console.signs import Tone, edge_sign
from console.views.cell import Cell, cell, line
from console.views.clients import TOP_COLUMNS, ClientTable
from console.views.closes import close_reason
from console.views.drawn import Drawn
from console.views.happenings import HappeningTable
from console.views.peers import PeerTable, peers_of
from console.views.regions import value_tone
from console.views.sparks import Sparks
from console.views.standing import short_standing
from console.views.table import Column, RowTable
from regions.inquiries.asker import Asker
from regions.inquiries.fleet import FleetClients, FleetSettings
from regions.steering.health import EdgeKey

if TYPE_CHECKING:
    from console.app import ConsoleApp

CLIENTS = 5  # that are shown
CLIENTS_FROM = 36  # lines of the screen from which they are
CLIENTS_EVERY_MS = 5_000
SETTINGS_EVERY_MS = 60_000
ALARMS = 2  # that are shown; the others are counted

READ_COLUMNS = (
    Column("reads", 7),
    Column("lag ms", 8, right=True),
    Column("events", 6, right=True, rank=2),
    Column("mirror", 9),
    Column("position", 10, right=True, rank=3),
    Column("head", 10, right=True, rank=4),
)
CLOSE_COLUMNS = (
    Column("code", 5),
    Column("what", 10, grows=True),
    Column("in all", 8, right=True),
)


class EdgePane(AskingPane):
    """Figures on top; below, what it reads and why connections end, its settings, what happened."""

    NAME: ClassVar[str] = "edge"
    TITLE: ClassVar[str] = "Edge"

    def __init__(self) -> None:
        super().__init__()
        self._subject: Subject | None = None
        self._asked = Asked[FleetClients](CLIENTS_EVERY_MS)
        self._settings = Asked[FleetSettings](SETTINGS_EVERY_MS)

    def compose(self) -> ComposeResult:
        """The parts."""
        yield Drawn(name="edge-head")
        yield Sparks()
        with Container(id="edge-tables"):
            yield RowTable(READ_COLUMNS, name="edge-reads")
            yield RowTable(CLOSE_COLUMNS, name="edge-closes")
            yield PeerTable(name="edge-peers")
        yield ClientTable("Top clients", TOP_COLUMNS, name="edge-clients")
        yield HappeningTable("What happened there", name="edge-events")

    def about(self, subject: Subject) -> bool:
        """Show one edge."""
        if subject != self._subject:
            self._asked.forget()
            self._settings.forget()
        self._subject = subject if subject.kind == "edge" else None
        return self._subject is not None

    @property
    def first(self) -> Widget | None:
        """What happened there."""
        return self.query_one(HappeningTable)

    @property
    def subject(self) -> Subject | None:
        """The edge; while its clients have the focus, the one at the cursor."""
        clients = self.query_one(ClientTable)
        if self.screen.focused is clients and clients.current is not None:
            return Subject("client", clients.current.edge, clients.current.session)
        return self._subject

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """A client in detail."""
        if isinstance(table, ClientTable):
            app.clients.open(self.subject)

    def draw(self, look: Look) -> None:
        """Draw the edge."""
        edge = self._find(look.view)
        head = self.query_one("#edge-head", Drawn)
        self._show_clients(look)
        for part in (Sparks, "#edge-tables", HappeningTable):
            self.query_one(part).display = edge is not None
        if edge is None:
            head.say(line(cell("no such edge is known; esc goes back", Tone.MUTED)))
            return
        tone = value_tone(edge.freshness)
        head.say(Content("\n").join(_head(edge, look.wall_ms)))
        self.query_one(Sparks).show(edge.history, look.view.now_ms, tone)
        self._show_reads(edge)
        self._show_closes(edge)
        self._show_peers(edge, look)
        happened = [each for each in reversed(look.view.timeline) if _is_about(each, edge)]
        self.query_one(HappeningTable).show_items(happened)

    def _find(self, view: FleetView) -> EdgeView | None:
        if self._subject is None:
            return None
        wanted = (self._subject.where, self._subject.name)
        return next((each for each in view.edges if (each.region, each.name) == wanted), None)

    def _show_reads(self, edge: EdgeView) -> None:
        table = self.query_one("#edge-reads", RowTable)
        table.entitle(line(cell("What it reads")))
        frame = edge.frame
        origins = [] if frame is None else sorted({*frame.lag_ms, *frame.positions})
        table.show(len(origins), lambda at: _read_row(edge, origins[at]))

    def _show_closes(self, edge: EdgeView) -> None:
        table = self.query_one("#edge-closes", RowTable)
        table.entitle(line(cell("Connections ended since its start")))
        frame = edge.frame
        closes = [] if frame is None else Counter(frame.closes).most_common()
        refused = [] if frame is None else Counter(frame.refused).most_common()
        rows = [_close_row(code, number) for code, number in closes]
        rows += [
            (cell("—"), cell(f"refused: {why}"), cell(f"{number:,}")) for why, number in refused
        ]
        table.show(len(rows), lambda at: rows[at])

    def _show_clients(self, look: Look) -> None:
        """Its first clients, where there is room for them and they can be asked for."""
        table = self.query_one(ClientTable)
        room = self.app.size.height >= CLIENTS_FROM and look.mode is not Mode.PAST
        table.display = room and self.asking.is_possible and self._subject is not None
        if not table.display or self._subject is None:
            return
        key = EdgeKey(self._subject.where, self._subject.name)
        query, sort = table.question

        async def ask(asker: Asker) -> FleetClients:
            return await asker.clients(query, sort, CLIENTS, edges=[key])

        if self.may_ask(look):
            self._asked.look(self.asking, (key, query, sort), ask)
        asked = self._asked
        answer = asked.answer if asked.is_current else None
        table.show_found(
            [] if answer is None else answer.value.rows,
            look,
            short_standing(asked, self.asking.now_ms(), look),
            dim=bool(asked.error),
        )

    def _show_peers(self, edge: EdgeView, look: Look) -> None:
        """Their settings are asked for, unless this is the past; they hardly ever change."""
        table = self.query_one(PeerTable)
        keys = peers_of(edge, look.view.edges)

        async def ask(asker: Asker) -> FleetSettings:
            return await asker.settings(edges=keys)

        if self.may_ask(look):
            self._settings.look(self.asking, keys[0], ask)
        answer = self._settings.answer if look.mode is not Mode.PAST else None
        known = answer is not None and self._settings.is_current
        table.show_edge(edge, look.view.edges, answer.value if answer and known else None)


def _is_about(happening: Happening, edge: EdgeView) -> bool:
    return happening.on in (edge.name, f"{edge.region}/{edge.name}")


def _head(edge: EdgeView, wall_ms: int) -> list[Content]:
    sign, frame = edge_sign(edge.state), edge.frame
    first = [
        cell(f"{sign.glyph} ", sign.tone),
        cell(edge.name, Tone.STRONG),
        cell(f" of {edge.region}   ", Tone.MUTED),
        cell(sign.word, sign.tone),
        cell(f"   heard {figures.age(edge.age_ms)} ago", Tone.MUTED),
    ]
    if edge.restarts:
        first.append(cell(f"   began anew {edge.restarts}× since the console listens", Tone.WARN))
    second = [cell(edge.url, Tone.MUTED, 60), cell(f"   {edge.version}", Tone.MUTED, 30)]
    alarms: list[Cell] = []
    if frame is not None:
        second.append(cell(f"   up {figures.age(max(0, wall_ms - frame.epoch))}", Tone.MUTED))
        second.append(cell(f"   {figures.count(frame.sessions)} sessions of", Tone.MUTED))
        second.append(cell(f" {figures.count(frame.users)} users", Tone.MUTED))
        second.append(cell(f"   {figures.count(frame.rooms)} rooms", Tone.MUTED))
        second.append(cell(f"   {figures.count(frame.holes)} holes repaired", Tone.MUTED))
        alarms = [cell(f"✗ {alarm}  ", Tone.BAD, 100) for alarm in frame.alarms[:ALARMS]]
        if len(frame.alarms) > ALARMS:
            alarms.append(cell(f"and {len(frame.alarms) - ALARMS} more", Tone.BAD))
    return [line(*first), line(*second), line(*alarms)]


def _read_row(edge: EdgeView, origin: str) -> Sequence[Cell]:
    frame = edge.frame
    if frame is None:
        return [cell(figures.NONE, Tone.MUTED)] * len(READ_COLUMNS)
    tone = value_tone(edge.freshness)
    mirror = "home" if origin == edge.region else frame.mirrors.get(origin, figures.NONE)
    broken = mirror in ("wedged", "diverged", "cut")
    return (
        cell(origin, Tone.STRONG),
        cell(figures.duration(frame.lag_ms.get(origin)), tone),
        cell(figures.count(frame.lag_events.get(origin)), tone),
        cell(f"✗ {mirror}" if broken else mirror, Tone.BAD if broken else tone),
        cell(figures.count(frame.positions.get(origin)), tone),
        cell(figures.count(frame.heads.get(origin)), tone),
    )


def _close_row(code: str, number: int) -> Sequence[Cell]:
    what = close_reason(int(code)) if re.fullmatch("[0-9]{4}", code) else ""
    return (cell(code, limit=8), cell(what, Tone.MUTED), cell(f"{number:,}"))

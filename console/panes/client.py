"""One client in detail: who it is and what it may, how it does, its rooms, how far it has come."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from console import figures
from console.asking import Asked, asked_edges, whole
from console.look import Look, Mode, Subject
from console.panes.asking import AskingPane
from console.signs import Tone, client_sign
from console.views.cell import Cell, cell, line, muted
from console.views.clients import (
    END_COLUMNS,
    POSITION_COLUMNS,
    SEAT_COLUMNS,
    SEAT_FIELDS,
    end_row,
    now_facts,
    position_row,
    seat_row,
    who_facts,
)
from console.views.drawn import Drawn
from console.views.facts import Facts
from console.views.listing import Listing
from console.views.standing import standing
from console.views.table import RowTable
from regions.inquiries.asker import Asker
from regions.inquiries.fleet import At, FleetClient
from relay.core.inquiry_answers import Seat

if TYPE_CHECKING:
    from console.app import ConsoleApp

EVERY_MS = 2_000
KEYS = "r: trace · K: kick, when armed"


class ClientPane(AskingPane):
    """Facts on top; below its rooms, its positions, and how connections of it ended."""

    NAME: ClassVar[str] = "client"
    TITLE: ClassVar[str] = "Client"

    def __init__(self) -> None:
        super().__init__()
        self._subject: Subject | None = None
        self._asked = Asked[FleetClient](EVERY_MS)
        self._look: Look | None = None  # that is drawn
        self._old = False  # what edges said of it
        self._tenant = ""  # of the client that is drawn

    def compose(self) -> ComposeResult:
        """The parts."""
        yield Drawn(name="client-said", classes="said")
        with Container(id="client-facts"):
            yield Facts("Who", name="client-who")
            yield Facts("Now", name="client-now")
        with Container(id="client-tables"):
            yield Listing[Seat](
                "Rooms", SEAT_COLUMNS, SEAT_FIELDS, self._seat, lambda seat: seat.room,
                name="client-rooms",
            )  # fmt: skip
            yield RowTable(POSITION_COLUMNS, name="client-positions")
            yield RowTable(END_COLUMNS, name="client-ends")

    def about(self, subject: Subject) -> bool:
        """Show one client."""
        if subject.kind != "client":
            return False
        if subject != self._subject:
            self._asked.forget()
        self._subject = subject
        return True

    @property
    def first(self) -> Widget | None:
        """Its rooms."""
        return self.query_one("#client-rooms", Listing)

    @property
    def subject(self) -> Subject | None:
        """The client."""
        return self._subject

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """One of its rooms in detail."""
        rooms: Listing[Seat] = self.query_one("#client-rooms", Listing)
        if table is rooms and rooms.current is not None:
            app.navigation.go("room", Subject("room", self._tenant, rooms.current.room))

    def draw(self, look: Look) -> None:
        """Ask, where it is time to, and draw the answer."""
        subject = self._subject
        if subject is None:
            text = cell("no client is chosen; 3 lists them", Tone.MUTED)
            self.query_one("#client-said", Drawn).say(line(text))
            return
        if self.may_ask(look):
            edges = asked_edges(look)

            async def ask(asker: Asker) -> FleetClient:
                return whole(await asker.client(subject.name, edges=edges), look)

            self._asked.look(self.asking, subject.name, ask)
        answer = None if look.mode is Mode.PAST else self._asked.answer
        self._show(look, subject, None if answer is None else answer.value)

    def _show(self, look: Look, subject: Subject, seen: FleetClient | None) -> None:
        at = seen.found[0] if seen is not None and seen.found else None
        missing = [] if seen is None else seen.missing
        said = standing(self._asked, self.asking, look, (), missing, (subject.name,))
        lines = [_head(look, subject, seen), said, *self.operated.clients.outcome_lines(look)]
        self.query_one("#client-said", Drawn).say(Content("\n").join(lines))
        self._look, self._old = look, self.is_old(self._asked)
        self._tenant = at.client.row.tenant if at is not None else ""
        self.query_one("#client-who", Facts).show(
            who_facts(at, look) if at is not None else [], dim=self._old
        )
        self.query_one("#client-now", Facts).show(
            now_facts(at) if at is not None else [], dim=self._old
        )
        self._show_tables(look, seen, at)

    def _show_tables(self, look: Look, seen: FleetClient | None, at: At | None) -> None:
        rooms: Listing[Seat] = self.query_one("#client-rooms", Listing)
        left_out = 0 if at is None else at.client.row.rooms - len(at.client.rooms)
        note = f"and {left_out:,} more" if left_out > 0 else "enter: the room"
        rooms.show_items([] if at is None else at.client.rooms, note)
        positions = self.query_one("#client-positions", RowTable)
        origins = [] if at is None else sorted(at.client.positions)
        positions.entitle(line(cell("It has")))
        if at is not None:
            positions.show(len(origins), lambda row: position_row(at, origins[row]))
        else:
            positions.show(0, lambda _: ())
        ends = [] if seen is None else seen.ends
        table = self.query_one("#client-ends", RowTable)
        table.entitle(line(cell("Ended connections")))
        table.show(len(ends), lambda row: end_row(ends[row], look))

    def _seat(self, seat: Seat) -> Sequence[Cell]:
        cells = () if self._look is None else seat_row(seat, self._look)
        return muted(cells) if self._old else cells


def _head(look: Look, subject: Subject, seen: FleetClient | None) -> Content:
    if seen is None:
        return line(cell(f"session {look.name(subject.name)}", Tone.STRONG))
    if not seen.found:
        return line(
            cell("✗ no edge that answered has session ", Tone.BAD),
            cell(look.name(subject.name), Tone.STRONG),
            cell("; below, how its connections ended" if seen.ends else "", Tone.MUTED),
        )
    row = seen.found[0].client.row
    sign = client_sign(row.phase)
    more = len(seen.found) - 1
    return line(
        cell(f"{sign.glyph} ", sign.tone),
        cell(look.name(row.user), Tone.STRONG),
        cell(f" at {row.edge} of {row.region}   ", Tone.MUTED),
        cell(sign.word, sign.tone),
        cell(f"   for {figures.age(row.age_ms)}", Tone.MUTED),
        cell(f"   ▲ {more} more sessions begin so" if more else "", Tone.WARN),
        cell(f"   {KEYS}", Tone.MUTED),
    )

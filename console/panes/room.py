"""One room in detail: its edges side by side, what each has of every origin, its newest events."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from console import figures
from console.asking import Asked, asked_edges, whole
from console.look import Look, Mode, Subject
from console.panes.asking import AskingPane
from console.signs import Tone
from console.views.cell import Cell, cell, line, muted
from console.views.drawn import Drawn
from console.views.listing import Listing
from console.views.rooms import (
    EDGE_FIELDS,
    ORIGIN_COLUMNS,
    ORIGIN_FIELDS,
    PEEK_COLUMNS,
    PEEK_FIELDS,
    Newest,
    OriginAt,
    edge_columns,
    edge_row,
    newest_of,
    origin_row,
    peek_row,
)
from console.views.standing import standing, without
from console.views.table import RowTable
from regions.inquiries.asker import Asker
from regions.inquiries.fleet import FleetPeek, FleetRoom, RoomAt
from relay.core.inquiry_answers import PeekedEvent

if TYPE_CHECKING:
    from console.app import ConsoleApp

EVERY_MS = 2_000
PEEK_EVERY_MS = 10_000  # where nothing new was seen
PEEK_GAP_MS = 4_000  # where something was
EVENTS = 30  # that are looked at
FRAME_LINES = 3  # of a table: borders and header
ORIGINS_FROM = 30  # lines of the screen from which what each edge has is shown whole


class RoomPane(AskingPane):
    """Sums on top; below its edges, what they have of each origin, and its newest events."""

    NAME: ClassVar[str] = "room"
    TITLE: ClassVar[str] = "Room"

    def __init__(self) -> None:
        super().__init__()
        self._subject: Subject | None = None
        self._asked = Asked[FleetRoom](EVERY_MS)
        self._peeked = Asked[FleetPeek](PEEK_EVERY_MS)
        self._look: Look | None = None  # that is drawn
        self._old = False  # what edges said of it
        self._drawn: FleetRoom | None = None
        self._newest: Newest = {}  # by the answer that is drawn
        self._before: Newest = {}  # by the one before
        self._seen: Newest = {}  # when its events were looked at last

    def compose(self) -> ComposeResult:
        """The parts."""
        yield Drawn(name="room-said", classes="said")
        yield Listing[RoomAt](
            "Edges", edge_columns(()), EDGE_FIELDS, self._edge, lambda at: (at.region, at.edge),
            name="room-edges",
        )  # fmt: skip
        with Container(id="room-tables"):
            yield Listing[OriginAt](
                "What they have", ORIGIN_COLUMNS, ORIGIN_FIELDS, origin_row,
                lambda each: (each[0].edge, each[1].origin), name="room-origins",
            )  # fmt: skip
            yield Listing[PeekedEvent](
                "Newest events", PEEK_COLUMNS, PEEK_FIELDS, self._event,
                lambda event: (event.origin, event.epoch, event.seq), name="room-events",
            )  # fmt: skip

    def about(self, subject: Subject) -> bool:
        """Show one room."""
        if subject.kind != "room":
            return False
        if subject != self._subject:
            self._asked.forget()
            self._peeked.forget()
            self._drawn, self._newest, self._before = None, {}, {}
        self._subject = subject
        return True

    def leave(self) -> None:
        """Payloads are not kept."""
        self._peeked.forget()

    @property
    def first(self) -> Widget | None:
        """Its edges."""
        return self.query_one("#room-edges", Listing)

    @property
    def subject(self) -> Subject | None:
        """The room."""
        return self._subject

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """An edge in detail."""
        edges: Listing[RoomAt] = self.query_one("#room-edges", Listing)
        at = edges.current
        if table is edges and at is not None:
            app.navigation.go("edge", Subject("edge", at.region, at.edge))

    def draw(self, look: Look) -> None:
        """Ask, where it is time to, and draw the answers."""
        subject = self._subject
        if subject is None:
            text = cell("no room is chosen; 4 lists them", Tone.MUTED)
            self.query_one("#room-said", Drawn).say(line(text))
            return
        payloads = self._sees_payloads
        if self.may_ask(look):
            if not self._peeked.is_busy:
                self._ask(look, subject)
            if not (self._asked.is_busy or self._peeked.is_busy):
                self._peek(subject, payloads=payloads)
        self._look, self._old = look, self.is_old(self._asked)
        past = look.mode is Mode.PAST
        answer = None if past else self._asked.answer
        self._show(look, subject, None if answer is None else answer.value)
        peeked = None if past else self._peeked.answer
        self._show_peek(look, None if peeked is None else peeked.value, payloads=payloads)

    @property
    def _sees_payloads(self) -> bool:
        return self.operated.clients.may_see

    # --- asking --------------------------------------------------------------------------------

    def _ask(self, look: Look, subject: Subject) -> None:
        edges = asked_edges(look)

        async def ask(asker: Asker) -> FleetRoom:
            return whole(await asker.room(subject.name, subject.where, edges=edges), look)

        self._asked.look(self.asking, subject, ask)

    def _peek(self, subject: Subject, *, payloads: bool) -> None:
        """Look at its events as soon as the edges have new ones."""
        control = self.operated.backing.control

        async def ask(asker: Asker) -> FleetPeek:
            if not payloads or control is None:
                return await asker.peek(subject.name, subject.where, EVENTS)
            async with control() as seer:
                return await seer.peek(subject.name, subject.where, EVENTS, payloads=True)

        age_ms = self._peeked.age_ms(self.asking.now_ms())
        is_new = self._newest != self._seen and age_ms is not None and age_ms >= PEEK_GAP_MS
        if is_new or age_ms is None:
            self._seen = self._newest
        self._peeked.look(self.asking, (subject, payloads), ask, again=is_new)

    # --- drawing -------------------------------------------------------------------------------

    def _show(self, look: Look, subject: Subject, seen: FleetRoom | None) -> None:
        if seen is not self._drawn:
            self._before = self._newest
            self._newest = {} if seen is None else newest_of(seen)
            self._drawn = seen
        missing = [] if seen is None else seen.missing
        said = standing(self._asked, self.asking, look, (), missing, (subject.name,))
        lines = [*_head(look, subject, seen), said]
        self.query_one("#room-said", Drawn).say(Content("\n").join(lines))
        at = [] if seen is None else seen.edges
        edges: Listing[RoomAt] = self.query_one("#room-edges", Listing)
        edges.set_columns(edge_columns(sorted(self._newest)))
        edges.show_items(at, "▲ behind what others had an answer earlier · enter: the edge")
        height = self.app.size.height
        edges.styles.height = min(max(len(at), 1) + FRAME_LINES, max(5, height // 3))
        origins: Listing[OriginAt] = self.query_one("#room-origins", Listing)
        origins.display = height >= ORIGINS_FROM
        origins.show_items((each, origin) for each in at for origin in each.room.origins)

    def _show_peek(self, look: Look, peek: FleetPeek | None, *, payloads: bool) -> None:
        events: Listing[PeekedEvent] = self.query_one("#room-events", Listing)
        if payloads:
            note = "payloads are shown; the edge logs who looks"
        elif self.operated.backing.control is not None:
            note = "without payloads: W shows them"
        else:
            note = "without payloads: this login may not see them"
        if self._peeked.error:
            subject = self._subject
            names = () if subject is None else (subject.name,)
            note = f"✗ {without(self._peeked.error, look, names)}"
        elif peek is not None:
            note = f"read by {peek.edge} of {peek.region} · {note}"
        found = [] if peek is None else peek.events[::-1]
        events.show_items(found if payloads else map(_without_data, found), note)

    def _edge(self, at: RoomAt) -> Sequence[Cell]:
        cells = edge_row(at, self._newest, self._before)
        return muted(cells) if self._old else cells

    def _event(self, event: PeekedEvent) -> Sequence[Cell]:
        return () if self._look is None else peek_row(event, self._look)


def _without_data(event: PeekedEvent) -> PeekedEvent:
    return event if event.data is None else msgspec.structs.replace(event, data=None)


def _head(look: Look, subject: Subject, seen: FleetRoom | None) -> list[Content]:
    first = [
        cell(look.name(subject.name), Tone.STRONG, 128),
        cell(f" of tenant {subject.where}", Tone.MUTED),
    ]
    if seen is None:
        return [line(*first), Content("")]
    total = seen.total
    if total is None:
        first.append(cell("   has members at no edge that answered", Tone.WARN))
        return [line(*first), Content("")]
    origins = [origin for at in seen.edges for origin in at.room.origins]
    holes = sum(origin.holes for origin in origins)
    lags = [origin.lag_ms for origin in origins if origin.lag_ms is not None]
    own = sum(at.room.private for at in seen.edges)
    second = [
        cell(f"{figures.count(total.members)} members", Tone.STRONG),
        cell(f", {figures.count(total.present)} present   {figures.rate(total.rate)} events/s   "),
        cell(f"lag ≤{figures.latency(max(lags, default=None))} ms   ", Tone.MUTED),
        cell(f"{holes:,} holes   ", Tone.WARN if holes else Tone.MUTED),
        cell(f"{figures.count(total.events)} in rings", Tone.MUTED),
        cell(f"   {own:,} ahead" if own else "", Tone.MUTED),
    ]
    return [line(*first), line(*second)]

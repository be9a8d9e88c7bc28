"""Screen 4: the rooms that a query is true of, as edges answer it; enter opens one."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.content import Content

from console.asking import Asked, asked_edges, whole
from console.look import Look, Mode, Subject
from console.panes.asking import AskingPane
from console.signs import Tone
from console.views.cell import Cell, cell, line
from console.views.drawn import Drawn
from console.views.found import query_cells
from console.views.rooms import RoomTable, last_cells
from console.views.standing import standing
from console.views.table import RowTable
from regions.inquiries.asker import Asker
from regions.inquiries.fleet import FleetRoom, FleetRooms

if TYPE_CHECKING:
    from console.app import ConsoleApp

EVERY_MS = 3_000
KEYS = "enter: one in detail, edge by edge"


class RoomsPane(AskingPane):
    """What is asked, how the answer stands, the rooms, and how far the one at the cursor is."""

    NAME: ClassVar[str] = "rooms"
    TITLE: ClassVar[str] = "Rooms"

    def __init__(self) -> None:
        super().__init__()
        self._asked = Asked[FleetRooms](EVERY_MS)
        self._one = Asked[FleetRoom](EVERY_MS)  # the room at the cursor

    def compose(self) -> ComposeResult:
        """Two lines, the table, and a line on the room at the cursor."""
        yield Drawn(name="rooms-said", classes="said")
        yield RoomTable()
        yield Drawn(name="rooms-one", classes="said")

    @property
    def subject(self) -> Subject | None:
        """The room at the cursor."""
        row = self.query_one(RoomTable).current
        return None if row is None else Subject("room", row.tenant, row.room)

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """One room in detail."""
        if self.subject is not None:
            app.navigation.go("room", self.subject)

    def draw(self, look: Look) -> None:
        """Ask, where it is time to, and draw the answer."""
        table = self.query_one(RoomTable)
        if self.may_ask(look):
            if not self._one.is_busy:
                self._ask(look, table)
            if not self._asked.is_busy:
                self._ask_of_one(look)
        answer = None if look.mode is Mode.PAST else self._asked.answer
        found = None if answer is None else answer.value
        missing = [] if found is None else found.missing
        said = standing(self._asked, self.asking, look, _summary(found), missing)
        lines = [line(*query_cells(table, look)), said]
        self.query_one("#rooms-said", Drawn).say(Content("\n").join(lines))
        old = self.is_old(self._asked)
        table.show_found([] if found is None else found.rows, look, KEYS, dim=old)
        self._show_one(look)

    def _ask(self, look: Look, table: RoomTable) -> None:
        (query, sort), wanted = table.question, table.wanted
        if not wanted:
            return
        edges = asked_edges(look)

        async def ask(asker: Asker) -> FleetRooms:
            return whole(await asker.rooms(query, sort, wanted, edges=edges), look)

        self._asked.look(self.asking, (query, sort, look.region), ask, rows=wanted)

    def _ask_of_one(self, look: Look) -> None:
        room = self.subject
        if room is None:
            return
        edges = asked_edges(look)

        async def ask(asker: Asker) -> FleetRoom:
            return whole(await asker.room(room.name, room.where, edges=edges), look)

        self._one.look(self.asking, room, ask)

    def _show_one(self, look: Look) -> None:
        room, answer = self.subject, self._one.answer
        cells: list[Cell] = []
        if room is not None and look.mode is not Mode.PAST:
            cells = [cell(f"{look.name(room.name)}  last of  ", Tone.MUTED, 80)]
            known = answer is not None and answer.key == room
            cells += last_cells(answer.value) if answer and known else [cell("…")]
        self.query_one("#rooms-one", Drawn).say(line(*cells))


def _summary(found: FleetRooms | None) -> list[Cell]:
    if found is None:
        return []
    if found.whole:
        return [cell(f"{len(found.rows):,} rooms   ")]
    return [cell("more match than are shown: members may be more   ")]

"""Screen 3: the clients that a query is true of, as edges answer it; enter opens one."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.content import Content

from console.asking import Asked, asked_edges, whole
from console.look import Look, Mode, Subject
from console.panes.asking import AskingPane
from console.signs import Tone
from console.views.cell import Cell, cell, line
from console.views.clients import ClientTable
from console.views.drawn import Drawn
from console.views.found import query_cells
from console.views.standing import standing
from console.views.table import RowTable
from regions.inquiries.asker import Asker
from regions.inquiries.fleet import FleetClients

if TYPE_CHECKING:
    from console.app import ConsoleApp

EVERY_MS = 3_000
KEYS = "enter: one in detail · r: trace · K: kick, when armed"


class ClientsPane(AskingPane):
    """What is asked, how the answer stands, and the clients."""

    NAME: ClassVar[str] = "clients"
    TITLE: ClassVar[str] = "Clients"

    def __init__(self) -> None:
        super().__init__()
        self._asked = Asked[FleetClients](EVERY_MS)

    def compose(self) -> ComposeResult:
        """Two lines, and the table."""
        yield Drawn(name="clients-said", classes="said")
        yield ClientTable()

    @property
    def subject(self) -> Subject | None:
        """The client at the cursor."""
        row = self.query_one(ClientTable).current
        return None if row is None else Subject("client", row.edge, row.session)

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """One client in detail."""
        app.clients.open(self.subject)

    def draw(self, look: Look) -> None:
        """Ask, where it is time to, and draw the answer."""
        table = self.query_one(ClientTable)
        if self.may_ask(look):
            self._ask(look, table)
        answer = None if look.mode is Mode.PAST else self._asked.answer
        found = None if answer is None else answer.value
        missing = [] if found is None else found.missing
        said = standing(self._asked, self.asking, look, _summary(found), missing)
        outcome = self.operated.clients.outcome_lines(look)
        lines = [line(*query_cells(table, look)), said, *outcome]
        self.query_one("#clients-said", Drawn).say(Content("\n").join(lines))
        old = self.is_old(self._asked)
        table.show_found([] if found is None else found.rows, look, KEYS, dim=old)

    def _ask(self, look: Look, table: ClientTable) -> None:
        (query, sort), wanted = table.question, table.wanted
        if not wanted:
            return
        edges = asked_edges(look)

        async def ask(asker: Asker) -> FleetClients:
            return whole(await asker.clients(query, sort, wanted, edges=edges), look)

        self._asked.look(self.asking, (query, sort, look.region), ask, rows=wanted)


def _summary(found: FleetClients | None) -> list[Cell]:
    if found is None:
        return []
    cut = ", cut: too many bytes" if found.cut else ""
    return [
        cell(f"{found.matched:,}", Tone.STRONG),
        cell(f" match, of {found.of:,} connections{cut}   "),
    ]

"""What happened, newest first: a row each."""

from collections.abc import Sequence

from console import figures
from console.model.timeline import Happening
from console.signs import HAPPENING_SIGNS, Tone
from console.views.cell import Cell, cell
from console.views.listing import Listing
from console.views.table import Column
from relay.core.query import Field

COLUMNS = (
    Column("time", 9, field="at"),
    Column("", 1),
    Column("kind", 9, rank=1, field="kind"),
    Column("on", 14, field="on"),
    Column("what", 30, grows=True),
)
FIELDS: tuple[Field[Happening], ...] = (
    Field("at", "number", lambda each: each.at_ms, "Unix ms"),
    Field("kind", "text", lambda each: each.kind, "edge, alert, operation, drill, link"),
    Field("on", "text", lambda each: each.on, "what it is about"),
    Field("text", "text", lambda each: each.text, "what happened"),
    Field("weight", "text", lambda each: each.weight, "good, plain, warn, bad"),
)


class HappeningTable(Listing[Happening]):
    """Rows of a timeline."""

    def __init__(self, title: str, *, name: str) -> None:
        super().__init__(title, COLUMNS, FIELDS, happening_row, lambda each: each, name=name)


def happening_row(happening: Happening) -> Sequence[Cell]:
    """The cells of one."""
    sign = HAPPENING_SIGNS[happening.weight]
    return (
        cell(figures.clock(happening.at_ms), Tone.MUTED),
        cell(sign.glyph, sign.tone),
        cell(happening.kind, Tone.MUTED),
        cell(happening.on, Tone.STRONG),
        cell(happening.text, limit=200),
    )

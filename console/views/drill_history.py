"""The drills that were told of: those of the last day, the newest first."""

from collections.abc import Sequence
from functools import partial

from console import figures
from console.look import Look, Subject
from console.model.drills import DrillView
from console.signs import Tone, drill_sign
from console.views.cell import Cell, cell, sign_cell
from console.views.listing import Listing
from console.views.table import Column
from relay.core.query import Field

COLUMNS = (
    Column("began", 9, field="at"),
    Column("drill", 16, field="drill"),
    Column("how", 13, field="how"),
    Column("took", 7, right=True, rank=2, field="took"),
    Column("lost", 6, right=True, rank=1, field="lost"),
    Column("dup", 5, right=True, rank=1, field="dup"),
    Column("by", 14, rank=4, field="by"),
    Column("report", 16, rank=3, grows=True),
)


class HistoryTable(Listing[DrillView]):
    """One row for each run."""

    def __init__(self) -> None:
        self._wall_ms = 0
        super().__init__(
            "Last drills",
            COLUMNS,
            self._fields(),
            lambda drill: history_row(drill, self._wall_ms),
            lambda drill: drill.run,
            name="drill-history",
        )

    def _fields(self) -> tuple[Field[DrillView], ...]:
        return (
            Field("at", "number", lambda drill: drill.began_ms, "Unix ms when it began"),
            Field("drill", "text", lambda drill: drill.drill, "its name"),
            Field("how", "text", lambda drill: drill.state(self._wall_ms), "how it went"),
            Field("took", "number", lambda drill: drill.lasted_ms(self._wall_ms), "ms"),
            Field("lost", "number", partial(_found, "lost"), "events lost"),
            Field("dup", "number", partial(_found, "repeated"), "events delivered twice"),
            Field("by", "text", lambda drill: drill.first.by, "who ran it"),
            Field("report", "text", lambda drill: drill.last.report, "where its report is"),
        )

    @property
    def subject(self) -> Subject | None:
        """The run at the cursor, as the drill that it is one of."""
        drill = self.current
        return None if drill is None else Subject("drill", drill.run, drill.drill)

    def show_look(self, look: Look, drills: Sequence[DrillView]) -> None:
        """Draw them."""
        self._wall_ms = look.wall_ms
        self.show_items(drills, "enter: its stages" if drills else "none was told of in a day")


def history_row(drill: DrillView, wall_ms: int) -> Sequence[Cell]:
    """The cells of one."""
    return (
        cell(figures.clock(drill.began_ms), Tone.MUTED),
        cell(drill.drill, Tone.STRONG),
        sign_cell(drill_sign(drill.state(wall_ms))),
        cell(figures.age(drill.lasted_ms(wall_ms)), Tone.MUTED),
        _counted(_found("lost", drill)),
        _counted(_found("repeated", drill)),
        cell(drill.first.by, Tone.MUTED),
        cell(drill.last.report, Tone.MUTED, 200),
    )


def _found(name: str, drill: DrillView) -> int | None:
    found = drill.found
    if found is None:
        return None
    return found.lost if name == "lost" else found.repeated


def _counted(count: int | None) -> Cell:
    return cell(figures.count(count), Tone.BAD if count else Tone.MUTED)

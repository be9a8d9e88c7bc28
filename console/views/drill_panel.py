"""A drill that goes on, on every screen; one that ran from here stays until it was seen."""

from typing import TYPE_CHECKING

from textual.content import Content

from console import figures
from console.look import Look
from console.model.drills import DrillView, drills_of, going
from console.signs import Tone, drill_sign
from console.views.cell import Cell, cell, line
from console.views.drawn import Drawn

if TYPE_CHECKING:
    from console.doing.drill_child import DrillChild
    from console.doing.drilling import Drilling

WIDTH = 200
LOOKS = "looks at the world first: whether all processes serve and all mirrors are current"
HEALS = "interrupted: heals what it broke"


class DrillPanel(Drawn):
    """It, or nothing."""

    def __init__(self) -> None:
        super().__init__(name="drill")

    def show(self, look: Look, drilling: "Drilling") -> None:
        """Draw it, or hide."""
        drills, child = drills_of(look.view.drills), drilling.child
        if child is not None:
            told = next((each for each in drills if each.last.report == child.report), None)
            self.display = True
            self._draw_child(child, told)
            return
        drill = going(drills, look.wall_ms)
        shows_itself = self.screen.query_one("#pane-drills").display
        self.display = drill is not None and not shows_itself
        if drill is not None:
            self._draw(
                "goes on", f"{drill.drill} by {drill.first.by}", "7: its stages", _newest(drill)
            )

    def _draw_child(self, child: "DrillChild", told: DrillView | None) -> None:
        what = f"{child.name}: {child.order.why}" if child.order.why else child.name
        if not child.ended:
            cells = [cell(LOOKS, Tone.MUTED)] if told is None else _newest(told)
            if child.interrupted:
                cells = [cell(HEALS, Tone.WARN)]
            note = "from here" if child.interrupted else "from here · A aborts"
            self._draw("goes on", what, note, cells)
            return
        code = child.code
        said = f"ended by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        cells = [cell(child.why or drill_sign(child.word).meaning, limit=WIDTH)]
        cells.append(cell(f"   {child.report}", Tone.MUTED, WIDTH))
        self._draw(child.word, what, f"{said} · O: seen", cells)

    def _draw(self, state: str, what: str, note: str, cells: list[Cell]) -> None:
        sign = drill_sign(state)
        word = cell(f"{sign.glyph} {sign.word} ", sign.tone)
        title = line(word, cell(f"drill {what}", Tone.STRONG, 100))
        self.entitle(title, line(cell(note, Tone.MUTED, 100)))
        self.set_class(sign.tone is Tone.BAD, "bad")
        self.say(Content("").join([line(*cells)]))


def _newest(drill: DrillView) -> list[Cell]:
    last = drill.last
    return [
        cell(f"{figures.clock(last.at_ms)}  ", Tone.MUTED),
        cell(f"{last.stage}  ", Tone.MUTED),
        cell(last.text, limit=WIDTH),
    ]

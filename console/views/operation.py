"""What becomes of an operation: it stays until it was seen, and says how it ended."""

from typing import TYPE_CHECKING

from textual.content import Content

from console import figures
from console.look import Look
from console.signs import Sign, Tone
from console.views.cell import cell, line
from console.views.drawn import Drawn
from regions.operations.entry import Run

if TYPE_CHECKING:
    from console.doing.acting import Acting
    from console.doing.operations import Carried

LINES = 3  # of what happened
WIDTH = 200
ENDS = {
    "done": Sign("✓", "done", Tone.GOOD, ""),
    "aborted": Sign("▲", "aborted", Tone.WARN, ""),
    "failed": Sign("✗", "failed", Tone.BAD, ""),
}
GOES = Sign("◑", "goes on", Tone.WARN, "")


class OperationPanel(Drawn):
    """The newest operation, or nothing."""

    def __init__(self) -> None:
        super().__init__(name="operation")

    def show(self, look: Look, acting: "Acting") -> None:
        """Draw it, or hide."""
        carried = acting.carrier.current
        runs = acting.runs(look)
        self.display = carried is not None or bool(runs)
        if carried is not None:
            run = next((each for each in runs if each.name == carried.name), None)
            self._draw_carried(carried, run)
        elif runs:
            shown = acting.shown(look)
            assert shown is not None
            stale_ms = look.view.books.stale_ms(look.view.now_ms)
            old = "" if stale_ms is None else f" · as of {figures.age(stale_ms)} ago"
            self._draw_run(shown, len(runs), old)

    def _draw_carried(self, carried: "Carried", run: Run | None) -> None:
        sign = GOES if carried.end is None else ENDS[carried.end]
        if carried.error:
            sign = ENDS["failed"]
        why = "" if run is None or not run.request.why else f": {run.request.why}"
        lines = [
            line(cell(f"{figures.clock(at_ms)}  ", Tone.MUTED), cell(text, limit=WIDTH))
            for at_ms, text in carried.lines[-LINES:]
        ]
        if carried.error:
            lines = [*lines[1 - LINES :], line(cell(carried.error, Tone.BAD, WIDTH))]
        self._draw(f"{carried.what}{why}", sign, "from here", lines, ended=carried.ended)

    def _draw_run(self, run: Run, count: int, old: str) -> None:
        end = run.end
        sign = GOES if end is None else ENDS.get(end.what, GOES)
        lines = [
            line(
                cell(f"{figures.clock(entry.at_ms)}  ", Tone.MUTED),
                cell(f"{entry.what}  ", Tone.MUTED, 12),
                cell(entry.text, limit=WIDTH),
            )
            for entry in run.entries[-LINES:]
        ]
        what = f"{run.request.verb} {run.request.scope}"
        if run.request.why:
            what += f": {run.request.why}"
        more = f" · {count - 1} more" if count > 1 else ""
        self._draw(what, sign, f"by {run.request.by}{more}{old}", lines, ended=end is not None)

    def _draw(self, what: str, sign: Sign, who: str, lines: list[Content], *, ended: bool) -> None:
        word = cell(f"{sign.glyph} {sign.word} ", sign.tone)
        keys = "O: seen" if ended else "A aborts, when armed"
        foot = line(cell(f"{who} · {keys}", Tone.MUTED, 100))
        self.entitle(line(word, cell(what, Tone.STRONG, 100)), foot)
        self.set_class(sign.tone is Tone.BAD, "bad")
        self.say(Content("\n").join(lines or [Content("")]))

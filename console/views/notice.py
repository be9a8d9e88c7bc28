"""One line of what the figures do not show; without anything to say it takes no room."""

from console import figures
from console.look import Look
from console.model import MAX_EDGES, FleetView, LinkState
from console.signs import ALERT_SIGNS, Tone
from console.views.cell import Cell, cell, line
from console.views.drawn import Drawn


class Notice(Drawn):
    """Why the link is lost, the worst alert, that nobody looks for any, frames that could not be
    used, bounds hit.
    """

    def __init__(self) -> None:
        super().__init__(name="notice")

    def show_look(self, look: Look) -> None:
        """Draw the line, or hide it."""
        cells = notices(look.view)
        self.display = bool(cells)
        self.say(line(*cells))


def notices(view: FleetView) -> list[Cell]:
    """The texts, most urgent first."""
    cells: list[Cell] = []
    if view.link.state is LinkState.LOST:
        reason = f" ({view.link.reason})" if view.link.reason else ""
        text = f"The console's own link is lost{reason}: trying every region. "
        cells += [cell(text, Tone.BAD, 120)]
    firing = [each for each in view.alerts if each.state == "firing" and not each.acked_by]
    if firing:
        worst, more = firing[0], f" (+{len(firing) - 1})" if len(firing) > 1 else ""
        sign = ALERT_SIGNS[worst.severity]
        text = f"{sign.glyph} {worst.name} {worst.on}: {worst.text}{more}. "
        cells += [cell(text, sign.tone, 100)]
    if view.keeper_age_ms is not None and not view.is_kept:
        since = figures.age(view.keeper_age_ms)
        text = f"No keeper is heard for {since}: which alerts there would be is not known. "
        cells += [cell(text, Tone.WARN, 100)]
    if view.over_limit:
        text = f"Limit of {MAX_EDGES:,} edges reached, {view.over_limit:,} frames left out. "
        cells += [cell(text, Tone.WARN, 80)]
    if view.refused:
        cells += [cell(f"{view.refused:,} frames could not be used. ", Tone.WARN, 80)]
    return cells

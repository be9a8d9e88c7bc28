"""One line of what the figures do not show; without anything to say it takes no room."""

from console import figures
from console.look import Look
from console.model import MAX_EDGES, MAX_REGIONS, AlertView, FleetView, LinkState
from console.signs import ALERT_SIGNS, Tone
from console.views.cell import Cell, cell, line
from console.views.drawn import Drawn

SEES_MS = 4_000  # keepers look every 2 s, and tell


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
    if view.link.unkept:
        text = "Nothing was kept of this time: what is shown was so before. "
        cells += [cell(text, Tone.WARN, 100)]
    elif view.link.state is LinkState.LOST:
        reason = f" ({view.link.reason})" if view.link.reason else ""
        text = f"The console's own link is lost{reason}: trying every region. "
        cells += [cell(text, Tone.BAD, 120)]
    firing = [each for each in view.alerts if each.state == "firing" and not each.acked_by]
    if firing:
        worst, more = firing[0], f" (+{len(firing) - 1})" if len(firing) > 1 else ""
        sign = ALERT_SIGNS[worst.severity]
        text = f"{sign.glyph} {worst.name} {worst.on}{more}: {worst.text}"
        text += f"{_seen_from(worst, view)}. "
        cells += [cell(text, sign.tone, 140)]
    if view.keeper_age_ms is not None and not view.is_kept:
        since = figures.age(view.keeper_age_ms)
        text = f"No keeper is heard for {since}: which alerts there would be is not known. "
        cells += [cell(text, Tone.WARN, 100)]
    if view.over_limit:
        text = f"More than {MAX_EDGES:,} edges, or {MAX_REGIONS} regions: "
        text += f"{view.over_limit:,} frames left out. "
        cells += [cell(text, Tone.WARN, 80)]
    if view.refused:
        cells += [cell(f"{view.refused:,} frames could not be used. ", Tone.WARN, 80)]
    return cells


def _seen_from(alert: AlertView, view: FleetView) -> str:
    """Whose keepers see it, where others that are heard do not: two regions may be parted."""
    # Who has spoken since it lasted long enough for him to have seen it as well.
    since_ms = alert.lasted_ms - SEES_MS
    others = {name for name, age_ms in view.alerts_age_ms.items() if age_ms < since_ms}
    if others <= set(alert.said_by):
        return ""
    return f", as seen from {' and '.join(alert.said_by)} alone"

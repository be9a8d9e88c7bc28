"""The alerts that stand, the worst first; or why nothing is known of them."""

from collections.abc import Sequence

from console import figures
from console.model import AlertView, FleetView
from console.signs import ALERT_SIGNS, Tone
from console.views.cell import Cell, cell, line
from console.views.table import Column, RowTable

COLUMNS = (
    Column("", 1),
    Column("alert", 16),
    Column("on", 9),
    Column("since", 6, right=True),
)
WIDTH = sum(column.width for column in COLUMNS) + len(COLUMNS) - 1
OLD_MS = 5_000  # keepers speak every 2 s
NOBODY = "no keeper is heard: see docs/alerts.md"


class AlertTable(RowTable):
    """One line for each alert."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, name="alerts")

    def show_view(self, view: FleetView, wall_ms: int) -> None:
        """Draw the alerts; `wall_ms`: now, Unix ms."""
        firing = sum(alert.state == "firing" for alert in view.alerts)
        self.border_title = line(cell(f"Alerts ({firing})" if firing else "Alerts"))
        self.border_subtitle = line(cell(summary(view), Tone.MUTED, 40))
        alerts = view.alerts
        self.show(len(alerts), lambda at: alert_row(alerts[at], wall_ms))


def summary(view: FleetView) -> str:
    """Who looks, or that nobody does."""
    if not view.alerts_age_ms:
        return NOBODY
    youngest = min(view.alerts_age_ms.values())
    old = f", {figures.age(youngest)} ago" if youngest > OLD_MS else ""
    return f"by {', '.join(sorted(view.alerts_age_ms))}{old}"


def alert_row(alert: AlertView, wall_ms: int) -> Sequence[Cell]:
    """The cells of one alert."""
    sign = ALERT_SIGNS["pending" if alert.state != "firing" else alert.severity]
    tone = Tone.MUTED if alert.state != "firing" else Tone.PLAIN
    return (
        cell(sign.glyph, sign.tone),
        cell(alert.name, tone),
        cell(alert.on, tone),
        cell(figures.age(max(0, wall_ms - alert.since_ms)), Tone.MUTED),
    )

"""The alerts that stand, the worst first; or why nothing is known of them."""

from collections.abc import Sequence

from console import figures
from console.look import Look, Subject
from console.model import AlertView, FleetView
from console.model.alerts import GONE_MS
from console.signs import ALERT_SIGNS, Tone
from console.views.cell import Cell, cell
from console.views.listing import Listing
from console.views.table import Column
from relay.core.query import Field

COLUMNS = (
    Column("", 1),
    Column("alert", 16, field="name"),
    Column("on", 9, field="on"),
    Column("since", 6, right=True, field="since"),
)
FIELDS: tuple[Field[AlertView], ...] = (
    Field("name", "text", lambda alert: alert.name, "the alert's name"),
    Field("on", "text", lambda alert: alert.on, "what it is about"),
    Field("severity", "text", lambda alert: alert.severity, "page, ticket"),
    Field("state", "text", lambda alert: alert.state, "pending, firing"),
    Field("since", "number", lambda alert: alert.since_ms, "Unix ms when it began"),
    Field("text", "text", lambda alert: alert.text, "what it says"),
    Field("acked", "text", lambda alert: alert.acked_by, "who looks after it"),
)
WIDTH = sum(column.width for column in COLUMNS) + len(COLUMNS) - 1
OLD_MS = 5_000  # keepers speak every 2 s
NOBODY = "no keeper is heard: see docs/alerts.md"


class AlertTable(Listing[AlertView]):
    """One line for each alert."""

    def __init__(self) -> None:
        super().__init__(
            "Alerts",
            COLUMNS,
            FIELDS,
            alert_row,
            lambda alert: alert.key,
            name="alerts",
        )

    @property
    def subject(self) -> Subject | None:
        """The alert at the cursor."""
        alert = self.current
        return None if alert is None else Subject("alert", alert.on, alert.name)

    def show_look(self, look: Look) -> None:
        """Draw the alerts."""
        self.show_items(look.view.alerts, summary(look.view))


def summary(view: FleetView) -> str:
    """Who looks, or that nobody does."""
    age_ms = view.keeper_age_ms
    if age_ms is None:
        return NOBODY
    if not view.is_kept:
        return f"no keeper is heard for {figures.age(age_ms)}"
    old = f", {figures.age(age_ms)} ago" if age_ms > OLD_MS else ""
    ages = sorted(view.alerts_age_ms.items())
    speaking = [keeper for keeper, each_ms in ages if each_ms <= GONE_MS]
    silent = [f"▲ {keeper} silent {figures.age(each_ms)}" for keeper, each_ms in ages
              if each_ms > GONE_MS]  # fmt: skip
    return "; ".join([f"by {', '.join(speaking)}{old}", *silent])


def alert_lines(alert: AlertView) -> list[tuple[str, Tone]]:
    """All that is known of one alert."""
    firing = alert.state == "firing"
    kind = "pending" if not firing else alert.severity
    sign = ALERT_SIGNS[kind]
    lines = [
        (f"{sign.glyph} {alert.severity}, {alert.state} for {figures.age(alert.lasted_ms)}",
         sign.tone),
        (f"on        {alert.on or 'the fleet'}", Tone.PLAIN),
        (f"began     {figures.moment(alert.since_ms)}, by the keeper's clock", Tone.PLAIN),
        (f"says      {alert.text}", Tone.PLAIN),
        (f"seen by   the keepers of {', '.join(alert.said_by)}", Tone.PLAIN),
        (f"runbook   {alert.runbook or '—'}", Tone.PLAIN),
    ]  # fmt: skip
    if alert.acked_by:
        lines.append((f"✓ {alert.acked_by} looks after it: {alert.acked_why}", Tone.GOOD))
    elif firing:
        lines.append(("nobody looks after it: a says that you do", Tone.WARN))
    return lines


def alert_row(alert: AlertView) -> Sequence[Cell]:
    """The cells of one alert."""
    firing = alert.state == "firing"
    kind = "pending" if not firing else "acked" if alert.acked_by else alert.severity
    sign = ALERT_SIGNS[kind]
    tone = Tone.PLAIN if firing and not alert.acked_by else Tone.MUTED
    return (
        cell(sign.glyph, sign.tone),
        cell(alert.name, tone),
        cell(alert.on, tone),
        cell(figures.age(alert.lasted_ms), Tone.MUTED),
    )

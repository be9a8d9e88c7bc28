"""The edges: one row each, region by region."""

from collections import Counter
from collections.abc import Sequence

from console import figures
from console.model import EdgeView, FleetView, Freshness
from console.signs import Tone, edge_sign
from console.views.cell import Cell, cell, line, sign_cell
from console.views.regions import lag_cell, rate_cells, value_tone
from console.views.table import Column, RowTable

SLOW_LOOP_MS = 100.0  # an event loop that lags by more delays every client

COLUMNS = (
    Column("edge", 10),
    Column("region", 7, rank=2),
    Column("state", 10),
    Column("conns", 7, right=True),
    Column("in/s", 6, right=True),
    Column("out/s", 6, right=True),
    Column("pub/s", 6, right=True, rank=3),
    Column("lag ms", 8, right=True),
    Column("loop", 5, right=True, rank=4),
    Column("rss", 5, right=True, rank=5),
    Column("age", 5, right=True, rank=1),
)


class EdgeTable(RowTable):
    """Every edge, with what it said last and how old that is."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, name="edges")

    def show_view(self, view: FleetView) -> None:
        """Draw every edge."""
        edges = view.edges
        self.border_title = line(cell(f"Edges ({len(edges)})"))
        self.border_subtitle = line(cell(summary(edges), Tone.MUTED))
        self.show(len(edges), lambda at: edge_row(edges[at]))


def summary(edges: Sequence[EdgeView]) -> str:
    """`11 ready · 1 draining`: the states with their counts, the most frequent first."""
    states = Counter(edge_sign(edge.state).word for edge in edges)
    return " · ".join(f"{number} {word}" for word, number in states.most_common(5))


def edge_row(edge: EdgeView) -> Sequence[Cell]:
    """The cells of one edge."""
    tone = value_tone(edge.freshness)
    slow = edge.loop_lag_ms is not None and edge.loop_lag_ms > SLOW_LOOP_MS
    return (
        cell(edge.name, Tone.STRONG),
        cell(edge.region, Tone.MUTED),
        sign_cell(edge_sign(edge.state)),
        cell(figures.count(edge.connections), tone),
        *rate_cells(edge.rates, tone),
        lag_cell(edge.lag, edge.freshness),
        cell(
            f"{'▲ ' if slow else ''}{figures.duration(edge.loop_lag_ms)}",
            Tone.WARN if slow and edge.freshness is Freshness.LIVE else tone,
        ),
        cell(figures.size(edge.rss_bytes), tone),
        cell(figures.age(edge.age_ms), Tone.MUTED if tone is Tone.PLAIN else Tone.WARN),
    )

"""The edges: one row each, region by region."""

from collections import Counter
from collections.abc import Sequence

from console import figures
from console.look import Look, Subject
from console.model import EdgeView, Freshness
from console.model.fields import EDGE_FIELDS
from console.signs import Tone, edge_sign
from console.views.cell import Cell, cell, sign_cell
from console.views.listing import Listing
from console.views.regions import lag_cell, rate_cells, value_tone
from console.views.table import Column

SLOW_LOOP_MS = 100.0  # an event loop that lags by more delays every client

COLUMNS = (
    Column("edge", 10, field="name"),
    Column("region", 7, rank=2, field="region"),
    Column("state", 10, field="state"),
    Column("conns", 7, right=True, field="connections"),
    Column("in/s", 6, right=True, field="in"),
    Column("out/s", 6, right=True, field="out"),
    Column("pub/s", 6, right=True, rank=3, field="publishes"),
    Column("lag ms", 8, right=True, field="lag"),
    Column("loop", 5, right=True, rank=4, field="loop"),
    Column("rss", 5, right=True, rank=5, field="rss"),
    Column("age", 5, right=True, rank=1, field="age"),
)


class EdgeTable(Listing[EdgeView]):
    """Every edge, with what it said last and how old that is."""

    def __init__(self) -> None:
        super().__init__(
            "Edges",
            COLUMNS,
            EDGE_FIELDS,
            edge_row,
            lambda edge: (edge.region, edge.name),
            name="edges",
        )

    @property
    def subject(self) -> Subject | None:
        """The edge at the cursor."""
        edge = self.current
        return None if edge is None else Subject("edge", edge.region, edge.name)

    def show_look(self, look: Look) -> None:
        """Draw every edge."""
        edges = [edge for edge in look.view.edges if look.wants(edge.region)]
        self.show_items(edges, summary(edges))


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

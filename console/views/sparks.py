"""Several short histories in a grid: name, sparkline, newest and largest value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from textual.content import Content

from console import figures
from console.model import HISTORY_POINTS, Series
from console.model.series import EMPTY
from console.signs import Tone
from console.views.cell import Cell, cell, line
from console.views.drawn import Drawn
from console.views.spark import spark

LABEL, VALUE = 11, 8
NARROWEST = 46  # of one history with its figures
GAP = 3
RECENT = 10  # seconds: what was so before that is none of now


@dataclass(frozen=True, slots=True)
class Trend:
    """One history."""

    figure: str  # as the model calls it
    label: str
    show: Callable[[float], str]


def _count(value: float) -> str:
    return figures.count(round(value))


def _size(value: float) -> str:
    return figures.size(round(value))


TRENDS: tuple[Trend, ...] = (
    Trend("connections", "connections", _count),
    Trend("events_in", "events in", figures.rate),
    Trend("events_out", "events out", figures.rate),
    Trend("bytes_out", "bytes out", _size),
    Trend("publishes", "publishes", figures.rate),
    Trend("resumes", "resumes", figures.rate),
    Trend("replayed", "replayed", figures.rate),
    Trend("closes", "closes", figures.rate),
    Trend("buffer", "queue", _size),
    Trend("loop_lag", "loop lag ms", figures.duration),
    Trend("cpu", "cpu", figures.percent),
    Trend("rss", "memory", _size),
)


class Sparks(Drawn):
    """The grid: as many columns as there is room for."""

    def __init__(self, trends: Sequence[Trend] = TRENDS, *, name: str = "sparks") -> None:
        super().__init__(name=name)
        self._trends = trends

    def show(self, history: Mapping[str, Series], now_ms: int, tone: Tone) -> None:
        """Draw the histories up to a time (of the clock by which they were heard)."""
        width = self.content_size.width
        columns = max(1, min(4, (width + GAP) // (NARROWEST + GAP)))
        each = max(NARROWEST, (width - GAP * (columns - 1)) // columns)
        rows = -(-len(self._trends) // columns)
        lines = []
        for row in range(rows):
            cells: list[Cell] = []
            for trend in self._trends[row::rows]:
                if cells:
                    cells.append(cell(" " * GAP))
                cells += _trend(trend, history.get(trend.figure, EMPTY), now_ms, each, tone)
            lines.append(line(*cells))
        self.say(Content("\n").join(lines))
        self.styles.height = rows + 2


def _trend(trend: Trend, series: Series, now_ms: int, width: int, tone: Tone) -> list[Cell]:
    room = max(8, min(HISTORY_POINTS, width - LABEL - VALUE - VALUE - 6))
    values = series.window(now_ms // 1000 - 1, room)
    known = [value for value in values if value is not None]
    newest = next((value for value in reversed(values[-RECENT:]) if value is not None), None)
    last = figures.NONE if series.last is None or newest is None else trend.show(newest)
    most = figures.NONE if not known else trend.show(max(known))
    return [
        cell(f"{trend.label:<{LABEL}} ", Tone.MUTED, width),
        cell(f"{last:>{VALUE}} ", tone, width),
        cell(f"{spark(values):<{room}}", Tone.TREND, width),
        cell(f" ≤{most:<{VALUE}}", Tone.MUTED, width),
    ]

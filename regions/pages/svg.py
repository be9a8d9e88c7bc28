"""Small pieces of SVG: a frame with axes, lines, bars and bands. Values in, text out.

Colours are CSS classes of the page, so that charts follow it into the dark and onto paper.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 860, 250
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 34
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """Values to pixels. `log`: in decades."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value stands; what is outside stands at the edge."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, count: int = 8) -> list[float]:
        """Round values, about so many."""
        if self.log:
            decades = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            return [10.0**decade for decade in decades]
        rough = (self.high - self.low) / count
        power = 10 ** math.floor(math.log10(rough))
        step = next(power * one for one in (1, 2, 5, 10) if power * one >= rough)
        first = math.ceil(self.low / step)
        return [step * number for number in range(first, math.floor(self.high / step) + 1)]


def time_axis(seconds: float) -> Axis:
    """From the drill's begin to its end."""
    return Axis(0, max(seconds, 1), LEFT, WIDTH - RIGHT)


def ms_axis(values: Sequence[float], height: float = HEIGHT) -> Axis:
    """Milliseconds in decades that hold all of `values`."""
    positive = [value for value in values if value > 0] or [1.0]
    low = 10 ** math.floor(math.log10(max(min(positive), 1)))
    high = 10 ** math.ceil(math.log10(max(*positive, low * 10)))
    return Axis(low, high, height - BOTTOM, TOP, log=True)


def said_ms(value: float) -> str:
    """A time in ms, for people."""
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"


def frame(x: Axis, y: Axis, x_text: str, y_said: Sequence[tuple[float, str]]) -> str:
    """Grid lines with their values, and what the x axis counts."""
    parts = []
    for value, text in y_said:
        at = y.at(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 8}" y="{at + 4}">{escape(text)}</text>')
    base = max(y.start, y.end)
    for value in x.ticks():
        at = x.at(value)
        parts.append(f'<line class="axis" x1="{at}" x2="{at}" y1="{base}" y2="{base + 4}"/>')
        said = said_ms(value) if x.log else f"{value:g}"
        side = "end" if at > WIDTH - RIGHT - 8 else "mid"
        parts.append(f'<text class="tick {side}" x="{at}" y="{base + 17}">{said}</text>')
    parts.append(
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>'
        f'<text class="tick end" x="{WIDTH - RIGHT}" y="{base + 31}">{escape(x_text)}</text>'
    )
    return "".join(parts)


def line(points: Points, x: Axis, y: Axis, kind: str, title: str) -> str:
    """A line; where more than three steps are missing it is broken."""
    if not points:
        return ""
    steps = sorted(after[0] - before[0] for before, after in pairwise(points))
    gap = steps[len(steps) // 2] * 3.5 if steps else 0.0
    path, last = [], None
    for at, value in points:
        joined = last is not None and at - last <= gap
        path.append(f"{'L' if joined else 'M'}{x.at(at)} {y.at(value)}")
        last = at
    return f'<path class="line {kind}" d="{"".join(path)}"><title>{escape(title)}</title></path>'


def band(x: Axis, begin: float, end: float, height: float, kind: str, title: str) -> str:
    """A time span behind everything else."""
    left, right = x.at(begin), x.at(end)
    return (
        f'<rect class="{kind}" x="{left}" y="{TOP}" width="{max(right - left, 2):.1f}" '
        f'height="{height - TOP - BOTTOM}"><title>{escape(title)}</title></rect>'
    )


def level(y: Axis, value: float, text: str) -> str:
    """A bound, across."""
    at = y.at(value)
    return (
        f'<line class="bound" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>'
        f'<text class="tick end" x="{WIDTH - RIGHT}" y="{at - 4}">{escape(text)}</text>'
    )


def svg(title: str, body: str, height: float = HEIGHT) -> str:
    """A whole picture; `title` is for those who can't see it."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}">'
        f"{body}</svg>"
    )


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """(class of the line, name) each."""
    items = "".join(
        f'<li><svg viewBox="0 0 18 8"><line class="line {kind}" x1="0" x2="18" y1="4" y2="4"/>'
        f"</svg>{escape(name)}</li>"
        for kind, name in entries
    )
    return f'<ul class="legend">{items}</ul>'

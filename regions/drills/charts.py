"""The charts of a report. A verdict in, SVG out."""

import math
from html import escape

from regions.drills.verdict import Verdict
from regions.pages.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    band,
    frame,
    legend,
    line,
    ms_axis,
    said_ms,
    svg,
    time_axis,
)

SERIES = 6  # colours that can be told apart; further lines are grey
_BARS = 40
_WORD = 30  # as wide as a mark of a chart is
_LANE = 22
_TICK = 15
_MILESTONES = ("detect", "decide", "reconnect", "converge", "heal", "fault")


def timeline(verdict: Verdict) -> str:
    """Faults as bars, and below them what happened when."""
    x = time_axis(verdict.took_s)
    lanes: list[float] = []  # when each is free again
    bars: list[str] = []
    for seen in verdict.faults:
        times = seen.times
        begin = times.at_s + verdict.ledger_at_s
        end = begin if times.healed_s is None else times.healed_s + verdict.ledger_at_s
        left, right = x.at(begin), max(x.at(end), x.at(begin) + 3)
        text_end = left + len(times.text) * 6.2 + 8
        lane = next((at for at, free in enumerate(lanes) if free <= left), len(lanes))
        lanes[lane : lane + 1] = [max(right, text_end) + 6]
        top = TOP + lane * _LANE
        anchor, at = ("end", right) if text_end > WIDTH - RIGHT else ("start", left)
        bars.append(
            f'<rect class="fault" x="{left}" y="{top}" width="{right - left:.1f}" height="5">'
            f"<title>{escape(times.text)}</title></rect>"
            f'<text class="tick {anchor}" x="{at}" y="{top + 17}">{escape(times.text)}</text>'
        )
    marks: list[str] = []
    base = TOP + max(1, len(lanes)) * _LANE + 8
    rows = _milestones(verdict)
    for number, (name, at_s, text) in enumerate(rows):
        top = base + number * _TICK
        at = x.at(at_s)
        side = "end" if at > WIDTH * 0.6 else "start"
        shift = -7 if side == "end" else 7
        marks.append(
            f'<circle class="mark {name}" cx="{at}" cy="{top}" r="3.5"/>'
            f'<text class="tick {side}" x="{at + shift}" y="{top + 4}">{escape(text)}</text>'
        )
    height = base + len(rows) * _TICK + BOTTOM
    y = Axis(0, 1, height - BOTTOM, TOP)
    body = frame(x, y, "seconds since the drill began", []) + "".join(bars) + "".join(marks)
    return svg("Timeline of faults and stages", body, height)


def _milestones(verdict: Verdict) -> list[tuple[str, float, str]]:
    found = [stage for stage in verdict.stages if stage.name in _MILESTONES[:5]]
    if len(found) > 24:  # a campaign has hundreds: the table has them
        return []
    return [
        (stage.name, stage.at_s, f"{stage.name}: {stage.text}"[:110])
        for stage in found
    ]  # fmt: skip


def latency(verdict: Verdict) -> str:
    """From the publish to each delivery, over time."""
    shift = verdict.ledger_at_s
    bins = [one for one in verdict.bins if one.delivered]
    x = time_axis(verdict.took_s)
    y = ms_axis([value for one in bins for value in (one.p50, one.max)])
    body = _faults(verdict, x) + frame(
        x, y, "seconds since the drill began", [(tick, said_ms(tick)) for tick in y.ticks()]
    )
    for kind, name in (("s6", "max"), ("s3", "p99"), ("s1", "p50")):
        points = [(one.at_s + shift, getattr(one, name)) for one in bins]
        body += line(points, x, y, kind, name)
    keys = [("s1", "p50"), ("s3", "p99"), ("s6", "longest"), ("faultline", "a fault")]
    return legend(keys) + svg("Latency over time", body)


def throughput(verdict: Verdict) -> str:
    """Acknowledged publishes and deliveries a second."""
    if len(verdict.bins) < 2:
        return ""
    shift, width = verdict.ledger_at_s, verdict.bins[1].at_s - verdict.bins[0].at_s
    height = 180
    x = time_axis(verdict.took_s)
    top = max((one.acked / width for one in verdict.bins), default=1) or 1
    y = Axis(0, top * 1.1, height - BOTTOM, TOP)
    ticks = [(tick, f"{tick:g}") for tick in y.ticks(4)]
    body = _faults(verdict, x, height) + frame(x, y, "seconds since the drill began", ticks)
    points = [(one.at_s + shift, one.acked / width) for one in verdict.bins]
    body += line(points, x, y, "s1", "acknowledged")
    return svg("Acknowledged publishes a second", body, height)


def lags(verdict: Verdict) -> str:
    """The lag of each ordered pair of regions."""
    x = time_axis(verdict.took_s)
    values = [value for pair in verdict.lags for _, value in pair.points]
    y = ms_axis(values)
    body = _faults(verdict, x) + frame(
        x, y, "seconds since the drill began", [(tick, said_ms(tick)) for tick in y.ticks()]
    )
    keys: list[tuple[str, str]] = []
    ordered = sorted(verdict.lags, key=lambda pair: -pair.peak_ms)
    for number, pair in enumerate(ordered):
        kind = f"s{number + 1}" if number < SERIES else "s0"
        name = f"{pair.source} to {pair.target}"
        points = [(at + verdict.ledger_at_s, value) for at, value in pair.points]
        body += line(points, x, y, kind, name)
        if number <= SERIES:
            keys.append((kind, name if number < SERIES else "others"))
    return legend(keys) + svg("Lag of each ordered pair of regions", body)


def gaps(verdict: Verdict) -> str:
    """How many clients had a longest wait of so long."""
    values = [max(value, 1.0) for value in verdict.gaps]
    if not values:
        return ""
    height = 230
    found = ms_axis(values)
    x = Axis(found.low, found.high, LEFT, WIDTH - RIGHT, log=True)
    counts = [0] * _BARS
    for value in values:
        share = math.log(value / x.low) / math.log(x.high / x.low)
        counts[min(int(share * _BARS), _BARS - 1)] += 1
    y = Axis(0, max(counts) * 1.12, height - BOTTOM, TOP)
    ticks = [(tick, f"{tick:g}") for tick in y.ticks(4) if tick == int(tick)]
    body = frame(x, y, "longest wait of a client for an acknowledged event", ticks)
    width = (WIDTH - RIGHT - LEFT) / _BARS
    for number, count in enumerate(counts):
        if not count:
            continue
        left, top = LEFT + number * width + 1, y.at(count)
        low = x.low * (x.high / x.low) ** (number / _BARS)
        high = x.low * (x.high / x.low) ** ((number + 1) / _BARS)
        title = f"{count} clients: {low:.0f} to {high:.0f} ms"
        body += (
            f'<rect class="bar" x="{left:.1f}" y="{top}" width="{width - 2:.1f}" '
            f'height="{height - BOTTOM - top:.1f}"><title>{title}</title></rect>'
        )
    for name, value in (("p50", verdict.gap_ms.p50), ("p99", verdict.gap_ms.p99)):
        at = x.at(max(value, 1.0))
        side, shift = ("end", -5) if name == "p50" and at > LEFT + _WORD else ("start", 5)
        down = 9 if name == "p50" else 21  # both may stand on the same side of the same line
        body += (
            f'<line class="bound" x1="{at}" x2="{at}" y1="{TOP}" y2="{height - BOTTOM}"/>'
            f'<text class="tick {side}" x="{at + shift}" y="{TOP + down}">{name}</text>'
        )
    return svg("Distribution of the clients' gaps", body, height)


def _faults(verdict: Verdict, x: Axis, height: float = HEIGHT) -> str:
    """Where something was broken, behind a chart over time."""
    parts = []
    for seen in verdict.faults:
        times = seen.times
        begin = times.at_s + verdict.ledger_at_s
        end = begin if times.healed_s is None else times.healed_s + verdict.ledger_at_s
        parts.append(band(x, begin, end, height, "broken", times.text))
        at = x.at(begin)
        parts.append(
            f'<line class="faultline" x1="{at}" x2="{at}" y1="{TOP}" y2="{height - BOTTOM}"/>'
        )
    return "".join(parts)

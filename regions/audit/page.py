"""An audit as one self-contained HTML page with charts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import pairwise

import polars as pl

from regions.audit import tables
from regions.audit.report import Audit, Group, Made
from regions.audit.tables import Difference
from regions.pages.html import document, mark, section, table, tiles
from regions.pages.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    frame,
    legend,
    line,
    svg,
)

POINTS = 600
LINES = 6  # regions with a line of their own


def page(made: Made) -> str:
    """The whole page."""
    audit = made.audit
    title = f"Audit: {audit.verdict}"
    body = [
        _head(audit),
        _tiles(audit),
        section("Sessions at once", _curves(made), _groups(audit.by_region, "region")),
        section("By country", _groups(audit.by_country, "country")),
        section("How long sessions were", _lengths(made)),
        section("How they came and went", _counts(audit)),
        section("Visits of plain pages", _visits(audit)),
        section("What the log lacked, and what was put in", _repaired(audit)),
        section("The live figures against the log", _live(audit)),
    ]
    return document(title, body)


def _time(unix_ms: int | None) -> str:
    if unix_ms is None:
        return "—"
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _head(audit: Audit) -> str:
    good = audit.verdict == "PASS"
    reasons = "".join(f"<li>{escape(one)}</li>" for one in audit.why)
    return (
        f'<header class="{"pass" if good else "fail"}"><h1>Audit of {len(audit.regions)} regions'
        f'</h1><p class="word">{escape(audit.verdict)}</p><p>{_time(audit.since_ms)} to '
        f"{_time(audit.until_ms)}, {audit.edges} edges, {audit.edge_lives} runs of them</p>"
        f"{f'<ul>{reasons}</ul>' if reasons else ''}</header>"
    )


def _tiles(audit: Audit) -> str:
    lengths = audit.lengths
    return tiles(
        [
            ("peak", f"{audit.concurrency.peak:,}", _time(audit.concurrency.peak_at_ms)),
            ("mean", f"{audit.concurrency.mean:,.1f}", "sessions at once"),
            ("sessions", f"{audit.sessions:,}", f"{audit.open_at_end:,} open at the end"),
            ("users", f"{audit.users:,}", "different ones"),
            ("reconnects", f"{audit.reconnects:,}", "sessions resumed"),
            ("median length", f"{lengths.p50:,.1f} s", f"95th percentile {lengths.p95:,.1f} s"),
        ]
    )


def _curves(made: Made) -> str:
    audit = made.audit
    since_ms, until_ms = audit.since_ms, audit.until_ms
    seconds = (until_ms - since_ms) / 1000
    unit, word = (1, "seconds") if seconds <= 600 else (60, "minutes")
    if seconds > 8 * 3600:
        unit, word = 3600, "hours"
    x = Axis(0, max(seconds / unit, 1), LEFT, WIDTH - RIGHT)
    y = Axis(0, max(audit.concurrency.peak, 1) * 1.1, HEIGHT - BOTTOM, TOP)
    body = frame(x, y, f"{word} since the begin", [(tick, f"{tick:g}") for tick in y.ticks(4)])
    keys: list[tuple[str, str]] = []

    def draw(rows: pl.DataFrame, kind: str, name: str) -> None:
        nonlocal body
        curve = tables.curve(rows, since_ms, until_ms, POINTS)
        points = [((at - since_ms) / 1000 / unit, float(value)) for at, value in curve]
        body += line(points, x, y, kind, name)
        keys.append((kind, name))

    draw(made.table, "s0", "all")
    for number, region in enumerate(list(audit.by_region)[:LINES], 1):
        draw(made.table.filter(pl.col("region") == region), f"s{number}", region)
    return legend(keys) + svg("Sessions at once over time", body)


def _groups(groups: Mapping[str, Group], name: str) -> str:
    rows = [
        (
            escape(label), f"{one.concurrency.peak:,}", f"{one.concurrency.mean:,.1f}",
            f"{one.users:,}", f"{one.sessions:,}", f"{one.reconnects:,}",
            f"{one.lengths.p50:,.1f} s", f"{one.lengths.p95:,.1f} s",
        )
        for label, one in groups.items()
    ]  # fmt: skip
    heads = (name, "peak", "mean", "users", "sessions", "reconnects", "median length", "95 %")
    return table(heads, rows)


def _lengths(made: Made) -> str:
    one = made.audit.lengths
    if not one.count:
        return "<p>No session ended.</p>"
    seconds = tables.lengths_s(made.table)
    bounds = _bounds(one.max)
    counts = [int(((seconds >= low) & (seconds < high)).sum()) for low, high in bounds]
    height = 180
    x = Axis(0, len(bounds), LEFT, WIDTH - RIGHT)
    y = Axis(0, max(counts) * 1.1 or 1, height - BOTTOM, TOP)
    bars = "".join(
        f'<rect class="bar" x="{x.at(n) + 1}" y="{y.at(count)}" '
        f'width="{x.at(n + 1) - x.at(n) - 2:.1f}" height="{y.start - y.at(count):.1f}">'
        f"<title>{_span(low)} to {_span(high)}: {count:,}</title></rect>"
        f'<text class="tick mid" x="{x.at(n)}" y="{height - BOTTOM + 17}">{_span(low)}</text>'
        for n, ((low, high), count) in enumerate(zip(bounds, counts, strict=True))
    )
    words = (
        f"<p>{one.count:,} ended: mean {one.mean:,.1f} s, median {one.p50:,.1f} s, 95th percentile "
        f"{one.p95:,.1f} s, longest {one.max:,.1f} s.</p>"
    )
    return svg("Lengths of sessions", bars, height) + words


def _bounds(most_s: float) -> list[tuple[float, float]]:
    """From nothing, in factors of about three, up to the longest."""
    steps = [0.0, 1.0]
    while steps[-1] <= most_s:
        last = steps[-1]
        steps.append(last * (3 if str(last)[0] == "1" else 10 / 3))
        steps[-1] = float(f"{steps[-1]:.2g}")
    return list(pairwise(steps))


def _span(seconds: float) -> str:
    for unit, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {word}"
    return f"{seconds:g} s"


def _counts(audit: Audit) -> str:
    rows = [("opened", escape(how), f"{count:,}") for how, count in audit.opened.items()]
    rows += [
        ("closed", escape(f"code {code}" if code != "0" else "not logged"), f"{count:,}")
        for code, count in audit.closed.items()
    ]
    rows += [
        ("device", escape(device or "not said"), f"{count:,}")
        for device, count in list(audit.by_device.items())[:20]
    ]
    return table(("", "", "sessions"), rows)


def _visits(audit: Audit) -> str:
    visits = audit.visits
    if not visits.concurrency.peak:
        return "<p>None.</p>"
    rows = [
        ("at once, at most", f"{visits.concurrency.peak:,}"),
        ("at once, mean", f"{visits.concurrency.mean:,.1f}"),
        ("opened", f"{visits.opened:,}"),
        *((escape(how.replace("_", " ")), f"{count:,}") for how, count in visits.ended.items()),
        ("open at the end", f"{visits.open_at_end:,}"),
        ("compared with so many batches", f"{visits.compared:,}"),
        ("off by, at most", f"{visits.off:,}"),
        *((f"opened in {escape(name)}", f"{count:,}") for name, count in visits.by_region.items()),
    ]
    return table((), rows)


def _repaired(audit: Audit) -> str:
    repaired, log = audit.repaired, audit.log
    rows: list[Sequence[str]] = [
        (escape(rule), f"{count:,}", escape(audit.rules.get(rule, "")))
        for rule, count in repaired.by_rule.items()
    ]
    words = (
        f"<p>{mark(not repaired.off)} After it, what {repaired.compared:,} batches and snapshots "
        f"say is open differs by {repaired.off:,} sessions at most. An end is "
        f"{repaired.error_ms:,} ms later than said at most, "
        f"{repaired.error_ms_mean:,.1f} ms on average.</p>"
    )
    lacks: list[Sequence[str]] = [
        (mark(not count), name, f"{count:,}")
        for name, count in (
            ("batches missing", log.missing_batches),
            ("comings and goings that are in no batch", log.missing_records),
            ("of which an edge says that it had to drop them", log.lost_records),
            ("entries that can't be read", log.unreadable),
        )
    ]
    lacks.append(
        ("", "counted live and not logged, when an edge died", f"{log.counted_not_logged:,}")
    )
    lacks.append(("", "batches stored twice, and counted once", f"{log.repeated_batches:,}"))
    put_in = table(("rule", "sessions", "how"), rows) if rows else "<p>Nothing had to be.</p>"
    return put_in + words + table((), lacks)


def _live(audit: Audit) -> str:
    live = audit.live
    if not live.sum.seconds:
        return "<p>No whole minute of the live series is stored for that time.</p>"
    lack = f"<p>{mark(not live.missing_minutes)} {live.missing_minutes:,} minutes are missing.</p>"

    def row(name: str, off: Difference, bound: str, good: bool | None) -> tuple[str, ...]:
        at = _time(off.largest_at_s * 1000) if off.largest_at_s is not None else "—"
        tick = "" if good is None else mark(good)
        return (tick, name, f"{off.largest:,}", at, f"{off.mean:.4f}", bound, f"{off.seconds:,}")

    return lack + table(
        ("", "figure", "largest difference", "at", "mean", "bound", "compared"),
        [
            row("each edge's own", live.edges, "0", not live.edges.largest),
            row("the sum, 10 s behind faults left out", live.sum_calm, f"{live.bound:,}",
                live.sum_calm.largest <= live.bound),
            row("the sum", live.sum, "", None),
        ],
    )  # fmt: skip

"""The report of a swarm as one self-contained HTML page: no script, nothing from elsewhere."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from regions.errors import SwarmError
from regions.pages.html import document, mark, section, table, tiles
from regions.pages.svg import (
    BOTTOM,
    TOP,
    Axis,
    frame,
    legend,
    line,
    ms_axis,
    said_ms,
    svg,
    time_axis,
)
from regions.swarm.figures import ACK, BACK, CONNECT, DELIVERY
from regions.swarm.limit import Limit
from regions.swarm.profiles import PROFILES
from regions.swarm.result import Point, Result, Spread, Used

FILE = "index.html"
_LOW = 180  # the height of a chart that is looked at for its shape alone


def write_page(directory: Path, found: Result) -> Path:
    """Write the page; returns where.

    Raises:
        SwarmError: it can't be written.
    """
    path = directory / FILE
    try:
        path.write_text(page(found), encoding="utf-8")
    except OSError as error:
        raise SwarmError(f"{path}: {error.strerror}") from error
    return path


def page(found: Result) -> str:
    """The whole page."""
    spec = found.spec
    body = [_head(found), _tiles(found)]
    if found.limit is not None:
        body.append(section("The limit", _limit(found.limit)))
    body += [
        section("Clients", clients(found.timeline)),
        section("Events a second", events(found.timeline)),
        section("Latency", latency(found.timeline), _times(found)),
        section("Cores", cores(found.timeline), _used(found)),
        section("What happened", _counts(found)),
        section("On what it ran", _machine(found)),
    ]
    return document(f"swarm: {spec.profile}, {spec.clients:,} clients", body)


def _head(found: Result) -> str:
    spec = found.spec
    good = found.lost_nothing
    word = "Nothing was missing" if good else "Events were missing, or came twice"
    doubts = "".join(f"<li>{escape(text)}</li>" for text in found.doubts)
    rooms = f"{spec.rooms:,} rooms, {spec.rooms_each} each, {spec.rate:g} events/s"
    return (
        f'<header class="{"pass" if good else "violated"}"><p class="word">{word}</p>'
        f"<h1>{escape(spec.profile)}: {spec.clients:,} clients</h1>"
        f"<p>{escape(PROFILES[spec.profile].what)}</p>"
        f"<p>{rooms} of {spec.size} B in {escape(spec.encoding)} · seed {spec.seed} · "
        f"{escape(found.started)} · {found.measured_s} s measured</p>"
        f"{f'<ul>{doubts}</ul>' if doubts else ''}</header>"
    )


def _tiles(found: Result) -> str:
    delivery, ack = found.times.get(DELIVERY, Spread()), found.times.get(ACK, Spread())
    return tiles(
        (
            ("clients", f"{found.here:,}", f"of {found.spec.clients:,}"),
            ("delivered a second", f"{found.delivered_per_s:,.0f}",
             f"{found.bytes_per_s / 1e6:.1f} MB/s"),
            ("acknowledged a second", f"{found.acked_per_s:,.0f}", f"p99 {_ms(ack.p99)}"),
            ("due to delivered, p99", _ms(delivery.p99), f"p50 {_ms(delivery.p50)}"),
            ("missing or repeated", f"{found.missing + found.repeated:,}",
             f"{found.declared:,} gaps declared"),
        )
    )  # fmt: skip


def _limit(limit: Limit) -> str:
    carried = "none" if limit.carried is None else f"{limit.carried:,.0f}"
    broke = "nothing that was tried" if limit.broke_at is None else f"{limit.broke_at:,.0f}"
    rows = [
        (
            mark(step.carried),
            f"{step.seen.load:,.0f}",
            f"{step.seen.acked:,.0f}",
            f"{step.seen.delivered:,.0f}",
            _ms(step.seen.p50_ms),
            _ms(step.seen.p99_ms),
            f"{step.seen.machine:.0%}",
            escape("; ".join(step.why)),
            escape("; ".join(step.full)),
        )
        for step in limit.steps
    ]
    heads = (
        "", limit.what, "acked/s", "delivered/s", "p50", "p99", "machine", "why not",
        "what was full",
    )  # fmt: skip
    full = f"<p>Full: {escape('; '.join(limit.full))}.</p>" if limit.full else ""
    said = f"<p>Carried: <b>{carried}</b>. Too much: {broke}.</p>"
    return said + full + table(heads, rows)


# --- charts ------------------------------------------------------------------------------------


def clients(timeline: Sequence[Point]) -> str:
    """How many were to be here, and were."""
    return _chart(
        "Clients over time",
        timeline,
        (("s0", "wanted", lambda one: one.wanted), ("s1", "here", lambda one: one.here)),
    )


def events(timeline: Sequence[Point]) -> str:
    """What was published, and what was delivered, each on its own scale."""
    first = _chart(
        "Published and acknowledged events a second",
        timeline,
        (
            ("s0", "published", lambda one: one.published),
            ("s1", "acknowledged", lambda one: one.acked),
        ),
    )
    second = _chart(
        "Deliveries a second", timeline, (("s2", "delivered", lambda one: one.delivered),)
    )
    return first + second


def latency(timeline: Sequence[Point]) -> str:
    """From when an event was due to its deliveries and to its ACK, and how late the swarm was."""
    heard = [one for one in timeline if one.delivered]
    if not heard:
        return "<p>Nothing was delivered.</p>"
    x = time_axis(timeline[-1].at_s)
    y = ms_axis([value for one in heard for value in (one.p50_ms, one.p99_ms, one.ack_p99_ms)])
    body = frame(x, y, "seconds", [(tick, said_ms(tick)) for tick in y.ticks()])
    series: tuple[tuple[str, str, Callable[[Point], float]], ...] = (
        ("s0", "the swarm's own lag, p99", lambda one: one.lag_p99_ms),
        ("s3", "ACK, p99", lambda one: one.ack_p99_ms),
        ("s1", "delivery, p50", lambda one: one.p50_ms),
        ("s6", "delivery, p99", lambda one: one.p99_ms),
    )
    for kind, name, value in series:
        points = [(one.at_s, max(value(one), y.low)) for one in heard]
        body += line(points, x, y, kind, name)
    return legend([(kind, name) for kind, name, _ in series]) + svg("Latency over time", body)


def cores(timeline: Sequence[Point]) -> str:
    """Who used how many cores."""
    return _chart(
        "Cores used",
        timeline,
        (
            ("s1", "edges", lambda one: one.edges_cpu),
            ("s3", "nats-servers", lambda one: one.nats_cpu),
            ("s2", "the swarm", lambda one: one.swarm_cpu),
        ),
    )


def _chart(
    title: str,
    timeline: Sequence[Point],
    series: Sequence[tuple[str, str, Callable[[Point], float]]],
) -> str:
    if not timeline:
        return ""
    x = time_axis(timeline[-1].at_s)
    top = max((value(one) for one in timeline for _, _, value in series), default=1.0) or 1.0
    y = Axis(0, top * 1.1, _LOW - BOTTOM, TOP)
    body = frame(x, y, "seconds", [(tick, f"{tick:,g}") for tick in y.ticks(4)])
    for kind, name, value in series:
        body += line([(one.at_s, value(one)) for one in timeline], x, y, kind, name)
    return legend([(kind, name) for kind, name, _ in series]) + svg(title, body, _LOW)


# --- tables ------------------------------------------------------------------------------------

_NAMES = {
    ACK: "due to acknowledged",
    DELIVERY: "due to delivered",
    CONNECT: "connecting to READY",
    BACK: "lost to RESUMED",
    "lag": "the swarm's own lag",
    "replay": "due to replayed",
}


def said(name: str) -> str:
    """What was timed, for people."""
    first, _, rest = name.partition(" ")
    return " ".join(filter(None, (_NAMES.get(first, first), rest.replace(">", " to "))))


def _times(found: Result) -> str:
    rows = [
        (escape(said(name)), _ms(one.p50), _ms(one.p99), _ms(one.p999), _ms(one.max),
         f"{one.count:,}")
        for name, one in found.times.items()
    ]  # fmt: skip
    return table(("", "p50", "p99", "p99.9", "longest", "count"), rows)


def _used(found: Result) -> str:
    rows = [_row(f"swarm {index}", one) for index, one in enumerate(found.swarm)]
    rows += [_row(name, one) for name, one in sorted(found.fleet.items())]
    return table(("process", "of a core", "memory at most", "open files at most"), rows)


def _row(name: str, one: Used) -> tuple[str, ...]:
    files = f"{one.fds:,}" if one.fds else "—"
    return (escape(name), f"{one.cpu:.0%}", f"{one.rss_bytes / 1024**2:.0f} MiB", files)


def _counts(found: Result) -> str:
    rows = [
        (escape(name), f"{found.measured.get(name, 0):,}", f"{count:,}")
        for name, count in found.counts.items()
        if count
    ]
    rows.append(("publishes without an answer at the end", "", f"{found.unanswered:,}"))
    return table(("", "while it was measured", "in all"), rows)


def _machine(found: Result) -> str:
    here = found.machine
    return table(
        (),
        (
            ("machine", escape(f"{here.cores} cores ({here.cpu}), {here.system}")),
            ("load average", f"{here.load_before:g} before, {here.load_after:g} after"),
            ("versions", escape(
                f"jetrelay {here.jetrelay}, nats-server {here.nats_server}, Python {here.python}"
            )),
        ),
    )  # fmt: skip


def _ms(value: float) -> str:
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.1f} ms"

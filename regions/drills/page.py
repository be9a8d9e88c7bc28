"""The report of a drill as one self-contained HTML page: no script, nothing from elsewhere."""

from html import escape
from pathlib import Path

from regions.drills import charts
from regions.drills.verdict import Verdict
from regions.errors import LedgerError
from regions.ledger.findings import RULES, Spread
from regions.pages.html import document, mark, section, table

FILE = "index.html"
_WORDS = {
    "pass": "Passed",
    "missed": "An objective was missed",
    "violated": "A promise was broken",
    "interrupted": "Interrupted",
    "failed": "It could not be judged",
}


def write_page(directory: Path, verdict: Verdict) -> Path:
    """Write the page; returns where.

    Raises:
        LedgerError: it can't be written.
    """
    path = directory / FILE
    try:
        path.write_text(page(verdict), encoding="utf-8")
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}") from error
    return path


def page(verdict: Verdict) -> str:
    """The whole page."""
    title = f"{verdict.drill}: {_WORDS[verdict.verdict].lower()}"
    body = [_head(verdict)]
    if verdict.clients:
        body += [_tiles(verdict), _objectives(verdict)]
        body.append(section("What happened when", charts.timeline(verdict), _stages(verdict)))
        body.append(section("Each fault", _faults(verdict)))
        body.append(section("Latency", charts.latency(verdict), _latency(verdict)))
        body.append(section("Gap of each client", charts.gaps(verdict), _gaps(verdict)))
        body.append(section("Lag between regions", charts.lags(verdict), _lags(verdict)))
        body.append(section("Acknowledged publishes a second", charts.throughput(verdict)))
        body.append(_promises(verdict))
    else:
        body.append(section("What happened", _stages(verdict, is_open=True)))
    body.append(section("On what it ran", _machine(verdict)))
    return document(title, body)


def _head(verdict: Verdict) -> str:
    why = "".join(f"<li>{escape(text)}</li>" for text in verdict.why)
    spec = verdict.spec
    load = (
        ""
        if spec is None
        else f", {spec.clients} clients in {spec.rooms} rooms, {spec.rate:g} events/s"
    )
    return (
        f'<header class="{verdict.verdict}"><p class="word">{_WORDS[verdict.verdict]}</p>'
        f"<h1>{escape(verdict.drill)}</h1>"
        f"<p>seed {verdict.seed}{load} · {escape(verdict.started)} · {verdict.took_s:g} s</p>"
        f"{f'<ul>{why}</ul>' if why else ''}</header>"
    )


def _tiles(verdict: Verdict) -> str:
    success = "" if verdict.resume_success is None else f"{verdict.resume_success:.1%} resumed"
    current = None if verdict.phases is None else verdict.phases.current_s
    tiles = [
        ("acknowledged", f"{verdict.acked:,}", f"{verdict.delivered:,} deliveries"),
        ("lost or missing", f"{verdict.lost + verdict.missing:,}",
         f"{verdict.declared_gaps:,} gaps declared"),
        ("gap of a client, p99", _ms(verdict.gap_ms.p99), f"longest {_ms(verdict.gap_ms.max)}"),
        ("lost a connection", f"{verdict.clients_hit:,}", success),
        ("changed the region", f"{verdict.clients_moved:,}", f"of {verdict.clients:,}"),
        ("current after healing", "—" if current is None else f"{current:.2f} s",
         "the last client"),
    ]  # fmt: skip
    return '<section class="tiles">' + "".join(
        f"<div><b>{value}</b><span>{name}</span><small>{more}</small></div>"
        for name, value, more in tiles
    ) + "</section>"  # fmt: skip


def _objectives(verdict: Verdict) -> str:
    rows = [
        (
            mark(result.met),
            escape(result.text),
            escape(result.why or result.said),
            result.bound,
            f"<code>{escape(result.key)}</code>",
        )
        for result in verdict.objectives
    ]
    return section("Objectives", table(("", "", "measured", "limit", "key"), rows))


def _promises(verdict: Verdict) -> str:
    rows = [
        (mark(not verdict.violations.get(rule)), f"<code>{rule}</code>",
         f"{verdict.violations.get(rule, 0):,}", escape(text))
        for rule, text in RULES.items()
    ]  # fmt: skip
    examples = "".join(
        f"<li><code>{escape(one.rule)}</code> {escape(one.text)} "
        f"<small>{escape(', '.join(one.where))}</small></li>"
        for one in verdict.examples
    )
    declared = ", ".join(f"{count} {reason}" for reason, count in verdict.declared.items())
    more = f"<p>Hidden by the client library: {verdict.raw_repeats:,} repeats. "
    more += f"Declared: {escape(declared) or 'nothing'}; {verdict.declared_events:,} events"
    more += f", of which {verdict.declared_delivered:,} came all the same. "
    more += f"Publishes without an answer: {verdict.unknown:,}.</p>"
    broken = table(("", "what must be zero", "", ""), rows)
    return section("Promises", broken, more, f"<ul>{examples}</ul>" if examples else "")


def _stages(verdict: Verdict, *, is_open: bool = False) -> str:
    rows = [
        (f"{stage.at_s:.1f} s", escape(stage.name), escape(stage.text),
         "" if stage.took_s is None else f"{stage.took_s:.2f} s")
        for stage in verdict.stages
    ]  # fmt: skip
    opened = " open" if is_open else ""
    stages = table(("at", "stage", "", "took"), rows)
    return f"<details{opened}><summary>All stages</summary>{stages}</details>"


def _latency(verdict: Verdict) -> str:
    rows = [(name, *_spread(spread)) for name, spread in verdict.latency_ms.items()]
    return table(("from publish to delivery", "p50", "p99", "longest", "deliveries"), rows)


def _gaps(verdict: Verdict) -> str:
    rows = [
        ("all clients", *_spread(verdict.gap_ms)),
        ("those that lost a connection", *_spread(verdict.gap_hit_ms)),
        ("their outage: last frame to session resumed", *_spread(verdict.outage_ms)),
    ]
    more = ""
    if verdict.stranded:
        rows.insert(1, ("without what only a lost region had", *_spread(verdict.gap_served_ms)))
        more = (
            f"<p>{verdict.stranded:,} events had been acknowledged by the lost region and were in "
            "no mirror yet. They came when it was back.</p>"
        )
    return table(("", "p50", "p99", "longest", "clients"), rows) + more


def _lags(verdict: Verdict) -> str:
    rows = [
        (
            f"{escape(pair.source)} → {escape(pair.target)}",
            "—" if pair.lag_ms is None else _ms(pair.lag_ms),
            "—" if pair.lag_events is None else f"{pair.lag_events:,}",
            _ms(pair.peak_ms),
            f"{pair.peak_events:,}",
        )
        for pair in verdict.lags
    ]
    heads = ("", "at the first fault", "events", "at the worst", "events")
    return table(heads, rows)


def _faults(verdict: Verdict) -> str:
    rows = []
    for fault in verdict.faults:
        times, seen = fault.times, fault.seen
        sign = "—" if seen.after_s is None else f"{seen.after_s:.1f} s: {escape(seen.sign)}"
        rows.append(
            (
                escape(times.text),
                "—" if times.healed_s is None else f"{times.healed_s - times.at_s:.1f} s",
                sign,
                f"{times.hit:,}",
                _ms(times.detect.max) if times.hit else "—",
                _ms(times.decide.max) if times.hit else "—",
                _ms(times.reconnect.max) if times.hit else "—",
                "—" if times.current_s is None else f"{times.current_s:.2f} s",
            )
        )
    heads = ("", "lasted", "seen in telemetry", "clients hit", "detect", "decide", "reconnect",
             "current")  # fmt: skip
    note = (
        "<p>Detect, decide, reconnect: since the fault, the last of the clients that lost a "
        "connection. Current: since healing, until the last client had every event that was "
        "acknowledged before.</p>"
    )
    return table(heads, rows) + note


def _machine(verdict: Verdict) -> str:
    rows: list[tuple[str, ...]] = []
    if (world := verdict.world) is not None:
        rows.append(("world", escape(
            f"{len(world.regions)} regions ({', '.join(world.regions)}), {world.edges} edges, "
            f"{world.nats_servers} nats-servers, links {world.links}; {world.topology}"
        )))  # fmt: skip
    if (here := verdict.machine) is not None:
        rows += [
            ("machine", escape(f"{here.cores} cores ({here.cpu}), {here.system}")),
            ("load average", f"{here.load_before:g} before, {here.load_after:g} after"),
            ("versions", escape(
                f"jetrelay {here.jetrelay}, nats-server {here.nats_server}, Python {here.python}"
            )),
        ]  # fmt: skip
    if verdict.history:
        rows.append(("history", f"<code>{escape(verdict.history)}</code>"))
    return table((), rows)


def _ms(value: float) -> str:
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.0f} ms"


def _spread(spread: Spread) -> tuple[str, ...]:
    if not spread.count:
        return ("—", "—", "—", "0")
    return (_ms(spread.p50), _ms(spread.p99), _ms(spread.max), f"{spread.count:,}")

"""The fleet as a web page: for people who open no terminal. The same view, without a framework."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape

from console import figures
from console.judgement import Level, judge
from console.literal import clean
from console.model import (
    AlertView,
    EdgeView,
    FleetView,
    Freshness,
    Happening,
    RegionView,
)
from console.signs import LAG_SIGNS, LINK_SIGNS, Sign, Tone, edge_sign, region_sign
from console.views.lag import SHORT
from regions.pages.html import document, section, table, tiles

EVERY_S = 2  # with JavaScript; without, the page is loaded anew
PATIENCE_S = 10  # for one answer
RELOAD_S = 10
EVENTS = 20  # that are shown

_CLASSES = {Tone.GOOD: "good", Tone.WARN: "warn", Tone.BAD: "bad"}
_SCRIPT = f"""
const main = document.querySelector('main'), age = document.querySelector('#age');
let heard = Date.now();
const ask = async () => {{
  try {{
    const patience = AbortSignal.timeout({PATIENCE_S * 1000});  // who hangs says nothing either
    const answer = await fetch('status?part=1', {{cache: 'no-store', signal: patience}});
    if (answer.ok) {{ main.innerHTML = await answer.text(); heard = Date.now(); }}
  }} catch (error) {{ /* said below */ }}
  setTimeout(ask, {EVERY_S * 1000});
}};
setTimeout(ask, {EVERY_S * 1000});
setInterval(() => {{
  const silent = Math.round((Date.now() - heard) / 1000);
  age.hidden = silent < {2 * EVERY_S + 1};
  age.textContent = `Nothing heard from here for ${{silent}} s: what you see is old.`;
}}, 1000);
"""


_HASH = b64encode(sha256(_SCRIPT.encode()).digest()).decode()
POLICY = (  # of the page's content: its own script, and where that asks
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_HASH}'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(view: FleetView, world: str, wall_ms: int) -> str:
    """The whole page.

    Args:
        view: the fleet now.
        world: what it is called.
        wall_ms: now, Unix ms.
    """
    whole = document(f"{_text(world)} · jetrelay", part(view, world, wall_ms))
    head = f'<noscript><meta http-equiv="refresh" content="{RELOAD_S}"></noscript></head>'
    end = f'<p id="age" class="bad" role="status" hidden></p><script>{_SCRIPT}</script></body>'
    return whole.replace("</head>", head, 1).replace("</body>", end, 1)


def part(view: FleetView, world: str, wall_ms: int) -> list[str]:
    """What is on it, as HTML."""
    word, kind = verdict(view)
    link = f"{_marked(LINK_SIGNS[view.link.state])} {_safe(view.link.via)}"
    head = f'<p class="word">{escape(word)}</p><h1>{_safe(world)}</h1>'
    return [
        f'<header class="{kind}">{head}<p>{figures.clock(wall_ms)} · {link}</p></header>',
        tiles(_tiles(view)),
        section("Regions", table(_REGION_HEADS, map(_region, view.regions))),
        section("Alerts", _alerts(view, wall_ms)),
        section("Mirror lag, ms", _lag(view)),
        section("Edges", table(_EDGE_HEADS, map(_edge, view.edges))),
        section("What happened", _events(view.timeline)),
    ]


def verdict(view: FleetView) -> tuple[str, str]:
    """The fleet in a line, and whether that is good (`pass`), so so (`missed`) or bad (`fail`)."""
    judgement = judge(view)
    match judgement.level:
        case Level.OK:
            return "all is well", "pass"
        case Level.WARNING:
            return f"not all is as it should be: {judgement.text}", "missed"
        case Level.CRITICAL:
            return f"trouble: {judgement.text}", "fail"
        case Level.UNKNOWN:
            return f"unknown: {judgement.text}", "fail"


def _fires(alert: AlertView) -> bool:
    return alert.state == "firing"


def _tiles(view: FleetView) -> list[tuple[str, str, str]]:
    rates, lag = view.rates, view.worst_lag
    ready = sum(region.ready for region in view.regions)
    pair = "" if lag is None else f"{_text(lag.region)} reads {_text(lag.origin)}"
    return [
        ("connections", figures.count(view.connections), "WebSockets now"),
        ("events out", figures.rate(rates.events_out if rates else None), "a second"),
        ("publishes", figures.rate(rates.publishes if rates else None), "a second"),
        ("edges ready", f"{ready} of {len(view.edges)}", ""),
        ("longest lag", figures.duration(lag.lag_ms if lag else None), pair),
    ]


_REGION_HEADS = ("region", "state", "edges", "connections", "out/s", "if lost", "lag ms", "why")
_EDGE_HEADS = ("edge", "region", "state", "connections", "out/s", "loop ms", "memory", "heard")


def _region(region: RegionView) -> Sequence[str]:
    gone = region.freshness is Freshness.GONE
    lag = region.lag
    return (
        f"<b>{_safe(region.name)}</b>",
        _marked(region_sign(region.state)),
        f"{figures.NONE if gone else region.ready}/{len(region.edges)}",
        _aged(region, figures.count(region.connections)),
        _aged(region, figures.rate(region.rates.events_out if region.rates else None)),
        escape(figures.percent(region.if_lost)),
        figures.NONE
        if lag is None
        else _marked(LAG_SIGNS[lag.level], figures.duration(lag.lag_ms)),
        _safe(region.reason),
    )


def _edge(edge: EdgeView) -> Sequence[str]:
    return (
        f"<b>{_safe(edge.name)}</b>",
        _safe(edge.region),
        _marked(edge_sign(edge.state)),
        _aged(edge, figures.count(edge.connections)),
        _aged(edge, figures.rate(edge.rates.events_out if edge.rates else None)),
        _aged(edge, figures.duration(edge.loop_lag_ms)),
        _aged(edge, figures.size(edge.rss_bytes)),
        figures.NONE if edge.age_ms is None else f"{figures.age(edge.age_ms)} ago",
    )


def _aged(thing: RegionView | EdgeView, figure: str) -> str:
    """A figure, pale where it is not of now."""
    return figure if thing.freshness is Freshness.LIVE else f'<span class="old">{figure}</span>'


def _alerts(view: FleetView, wall_ms: int) -> str:
    if not view.is_kept:
        age_ms = view.keeper_age_ms
        since = "" if age_ms is None else f", for {figures.age(age_ms)}"
        return f"<p>No keeper says how alerts stand{since}.</p>"
    rows = [
        (
            _severity(alert),
            _safe(alert.name),
            _safe(alert.on),
            f"{_safe(alert.text)}<br><small>{_looked_after(alert)}{_safe(alert.runbook)}</small>",
            figures.age(alert.lasted_ms),
        )
        for alert in view.alerts
    ]
    if not rows:
        return '<p class="good">None stands.</p>'
    return table(("", "alert", "on", "what, and what to do", "since"), rows)


def _looked_after(alert: AlertView) -> str:
    if not alert.acked_by:
        return ""
    why = f": {alert.acked_why}" if alert.acked_why else ""
    return f"{_safe(f'{alert.acked_by} looks after it{why}')}<br>"


def _severity(alert: AlertView) -> str:
    if not _fires(alert):
        return "pending"
    kind = "bad" if alert.severity == "page" else "warn"
    return f'<b class="{kind}">{escape(alert.severity)}</b>'


def _lag(view: FleetView) -> str:
    names = [region.name for region in view.regions]
    rows = []
    for reader in names:
        cells = [f"<b>{_safe(reader)}</b> reads"]
        for origin in names:
            cell = view.lag[origin, reader]
            if cell.broken:
                cells.append(
                    f'<b class="bad">✗ {_safe(SHORT.get(cell.mirror or "", cell.mirror or ""))}</b>'
                )
            elif origin == reader:
                cells.append("·")
            else:
                cells.append(_marked(LAG_SIGNS[cell.level], figures.duration(cell.lag_ms)))
        rows.append(cells)
    return table(("", *(_text(name) for name in names)), rows)


def _events(timeline: Iterable[Happening]) -> str:
    newest = list(timeline)[-EVENTS:][::-1]
    if not newest:
        return "<p>Nothing since this keeper listens.</p>"
    rows = [
        (
            escape(figures.clock(each.at_ms)),
            escape(each.kind),
            _safe(each.on),
            f'<span class="{each.weight}">{_safe(each.text, 200)}</span>',
        )
        for each in newest
    ]
    return table(("", "", "", ""), rows)


def _marked(sign: Sign, text: str | None = None) -> str:
    """Glyph and word, in the colour of what they mean."""
    shown = _safe(f"{sign.glyph} {sign.word if text is None else text}".strip(), 24)
    kind = _CLASSES.get(sign.tone)
    return f'<span class="{kind}">{shown}</span>' if kind else shown


def _text(text: str, limit: int = 64) -> str:
    return str(clean(text, limit))


def _safe(text: str, limit: int = 120) -> str:
    """Text from outside, for HTML."""
    return escape(_text(text, limit))

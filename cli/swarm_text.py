"""A swarm on a terminal: its seconds as they come, and what it found."""

from collections.abc import Sequence

import click

from cli.text import clean
from regions.columns import aligned
from regions.swarm.figures import ACK, BACK, CONNECT, DELIVERY, SESSIONS_LOST
from regions.swarm.limit import Limit, Step
from regions.swarm.page import said
from regions.swarm.result import Result, Spread
from regions.swarm.run import MEASURED, Said

_BAR = 20
_TOLD = (CONNECT, ACK, DELIVERY, f"{DELIVERY} in the region", f"{DELIVERY} across regions", BACK)


def plan(spec_text: str, places: int, deliveries_per_s: float) -> str:
    """What is going to happen, in a line."""
    return f"{spec_text}, over {places} edges: about {deliveries_per_s:,.0f} deliveries/s"


def live(one: Said, of_s: int, done_s: int) -> str:
    """A second: the stage with a bar, who is here, what comes, how late, and who is busy."""
    moment, seen = one.moment, one.point
    done, of = (done_s, of_s) if one.stage == MEASURED else (moment.here, moment.wanted)
    full = round(min(done / max(of, 1), 1.0) * _BAR)
    bar = "█" * full + "·" * (_BAR - full)
    busy = f"swarm {seen.swarm_cpu:.0%}"
    if one.sight.edges:
        busy += f", edges {seen.edges_cpu:.0%}, nats {seen.nats_cpu:.0%}"
    return (
        f"{one.stage:<10} {bar} {moment.here:>6,}/{moment.wanted:,} here  "
        f"{seen.acked:>6,} acked/s  {seen.delivered:>8,} delivered/s  "
        f"p99 {_ms(seen.p99_ms):>8}  {busy}"
    )


def step(one: Step, what: str) -> str:
    """A step of a search."""
    mark = click.style("carried", fg="green") if one.carried else click.style("too much", fg="red")
    why = "" if one.carried else f": {clean('; '.join(one.why))}. Full: {clean(one.full[0])}"
    seen = one.seen
    return (
        f"{seen.load:>10,.0f} {what}  {seen.delivered:>9,.0f} delivered/s  "
        f"p50 {_ms(seen.p50_ms)}, p99 {_ms(seen.p99_ms)}  {mark}{why}"
    )


def summary(found: Result) -> list[str]:
    """What was found, for people."""
    spec = found.spec
    good = found.lost_nothing
    word = click.style("NOTHING MISSING", fg="green") if good else click.style("MISSING", fg="red")
    lines = [
        "",
        f"{word}  {spec.profile}, {found.measured_s} s measured",
        f"  {found.here:,} of {spec.clients:,} clients at the end, {found.here_most:,} at most",
        (
            f"  {found.acked_per_s:,.1f} acknowledged/s, {found.delivered_per_s:,.0f} delivered/s, "
            f"{found.bytes_per_s / 1e6:.2f} MB/s"
        ),
        (
            f"  {found.missing:,} missing, {found.repeated:,} repeated, {found.declared:,} gaps "
            f"declared, {found.counts.get(SESSIONS_LOST, 0):,} sessions lost, "
            f"{found.unanswered:,} publishes unanswered"
        ),
        "",
    ]
    rows: list[tuple[str, ...]] = [("", "P50", "P99", "P99.9", "LONGEST")]
    rows += [(said(name), *_spread(found.times[name])) for name in _TOLD if name in found.times]
    lines += [f"  {line}" for line in aligned(rows)]
    if trouble := _trouble(found):
        lines += ["", *(f"  {line}" for line in trouble)]
    if found.limit is not None:
        lines += ["", *_limit(found.limit)]
    lines += ["", *(click.style(f"  doubt: {clean(one)}", fg="yellow") for one in found.doubts)]
    return lines


def _trouble(found: Result) -> list[str]:
    """What was refused, lost and closed, the most frequent first."""
    kinds = ("refused ", "close ", "lost: ", "not let in: ", "no connection: ", "publish: ")
    some = [(n, name) for name, n in found.counts.items() if name.startswith(kinds)]
    return [f"{count:>8,}  {clean(name)}" for count, name in sorted(some, reverse=True)]


def _limit(limit: Limit) -> Sequence[str]:
    what = "events/s" if limit.what == "rate" else "clients"
    if limit.carried is None:
        first = f"  Not even {limit.broke_at or 0:,.0f} {what} were carried"
    else:
        first = f"  Carried: {limit.carried:,.0f} {what}"
    if limit.broke_at is None:
        return [f"{first}; nothing that was tried was too much"]
    return [f"{first}; {limit.broke_at:,.0f} were too much", *(f"  full: {f}" for f in limit.full)]


def _spread(one: Spread) -> tuple[str, ...]:
    return (_ms(one.p50), _ms(one.p99), _ms(one.p999), _ms(one.max))


def _ms(value: float) -> str:
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.1f} ms"

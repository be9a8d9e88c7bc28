"""What `jetrelay ctl` says of operations: for people, and as JSON."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from cli.text import clean
from regions.columns import aligned
from regions.operations import wording
from regions.operations.entry import Plan, Request, Run
from regions.operations.holder import Holder
from regions.steering.fleet import Outlook
from relay.core.orders import Order, Orders
from relay.core.steering import Verdict

LISTED = 20
ORDERED = {"it is cordoned": "cordoned", "it is drained": "drained"}


def tell(text: str) -> None:
    """Say what happens, for people."""
    click.echo(f"{datetime.now(UTC):%H:%M:%S}  {clean(text)}")


def tell_json(text: str) -> None:
    """Say what happens, as a line of JSON."""
    click.echo(json.dumps({"at_ms": int(time.time() * 1000), "text": text}))


def print_json(value: Any) -> None:
    """A value on stdout."""
    click.echo(json.dumps(value))


def plan_lines(request: Request, plan: Plan) -> list[str]:
    """A plan, safe for a terminal."""
    return [clean(text) for text in wording.plan_lines(request, plan)]


def status_lines(
    outlook: Outlook, orders: Orders, holders: dict[str, Holder], stalled: list[Run], now_ms: int
) -> list[str]:
    """What is wanted of whom, who is at work, and what is not finished, at a time by the regions'
    clock (Unix ms).
    """
    rows = [("region", "edge", "state", "connections", "wanted", "by", "since", "why")]
    for region in outlook.regions:
        rows.append(
            (region.name, "", region.verdict.state, f"{outlook.in_region(region.name):,}",
             *_order_cells(orders.of(region.name), now_ms))
        )  # fmt: skip
        rows += [
            ("", clean(key.edge), _state(verdict), _count(outlook.at_edge(key)),
             *_order_cells(orders.of(*key), now_ms))
            for key, verdict in outlook.edges.items()
            if key.region == region.name
        ]  # fmt: skip
    lines = aligned(rows)
    lines += [
        f"at work on {region}: {clean(each.by)} since {_moment(each.since_ms)}: {each.run}"
        for region, each in holders.items()
    ]
    lines += [
        f"not finished, and nobody carries it out: {run.name} (`jetrelay ctl resume` or `abort`)"
        for run in stalled
    ]
    return lines


def _state(verdict: Verdict) -> str:
    """An edge that is as an operator wants it is called so; what else is wrong goes before that."""
    return ORDERED.get(verdict.reason, verdict.state)


def _count(connections: int | None) -> str:
    return "—" if connections is None else f"{connections:,}"


def _order_cells(order: Order | None, now_ms: int) -> tuple[str, str, str, str]:
    wanted = "" if order is None else wording.wanted(order, now_ms)
    if order is None or not wanted:
        return "", "", "", ""
    return wanted, clean(order.by), _moment(order.at_ms), clean(order.why)


def status_json(
    outlook: Outlook, orders: Iterable[Order], holders: dict[str, Holder], stalled: list[Run]
) -> Any:
    """The same as JSON."""
    return {
        "regions": [
            {
                "name": region.name,
                "state": region.verdict.state,
                "connections": outlook.in_region(region.name),
                "edges": [
                    {
                        "name": key.edge,
                        "state": verdict.state,
                        "reason": verdict.reason,
                        "connections": outlook.at_edge(key),
                    }
                    for key, verdict in outlook.edges.items()
                    if key.region == region.name
                ],
            }
            for region in outlook.regions
        ],
        "orders": [msgspec.to_builtins(order) for order in orders if not order.idle],
        "at_work": {region: msgspec.to_builtins(each) for region, each in holders.items()},
        "unfinished": [run.name for run in stalled],
    }


def log_lines(runs: list[Run]) -> list[str]:
    """Operations, a line each."""
    rows = [("operation", "by", "began", "ended", "why")]
    for run in runs[-LISTED:]:
        end = run.end
        rows.append(
            (run.name, clean(run.request.by), _moment(run.began_ms),
             "—" if end is None else f"{end.what} {_moment(end.at_ms)}", clean(run.request.why))
        )  # fmt: skip
    left_out = len(runs) - LISTED
    return aligned(rows) + ([f"{left_out} before these"] if left_out > 0 else [])


def entry_lines(run: Run) -> list[str]:
    """All that happened in one."""
    lines = plan_lines(run.request, run.plan)
    if run.entries[0].override:
        lines.append(f"in spite of that: {clean(run.entries[0].override)}")
    rows = [
        (_moment(each.at_ms), each.what, clean(each.by), clean(each.text)) for each in run.entries
    ]
    return lines + aligned(rows)


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"

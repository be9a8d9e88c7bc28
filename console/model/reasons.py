"""Why a region is not ok, while some of its edges are heard: its edges, then what it reads."""

from console.model.lag import LagCell
from console.model.view import EdgeView, Freshness
from relay.core.telemetry import ENDED

READY = "ready"
CUT_OFF = "cut_off"
OK = "ok"
DEGRADED = "degraded"


def judge_region(
    name: str,
    edges: tuple[EdgeView, ...],
    heard: list[EdgeView],
    cells: list[LagCell],
    gone: set[str],
    *,
    tells: bool,
) -> tuple[str, str]:
    """State and reason of a region of which at least one edge was heard.

    Args:
        name: the region's.
        edges: all that are known of it.
        heard: those that are not gone.
        cells: what it reads, of itself as well.
        gone: regions of which nothing is heard.
        tells: whether silence says something: the console's own link stands.
    """
    if all(edge.state == CUT_OFF for edge in heard):
        return CUT_OFF, "no edge reaches its NATS"
    reason = _of_edges(edges, heard, tells=tells) or _of_streams(name, cells, gone)
    return (DEGRADED, reason) if reason else (OK, "")


def _of_edges(edges: tuple[EdgeView, ...], heard: list[EdgeView], *, tells: bool) -> str:
    """What is wrong with a region's edges; empty: nothing."""

    def said(which: list[EdgeView], what: str) -> str:
        more = f" (+{len(which) - 1})" if len(which) > 1 else ""
        return f"{which[0].name} {what}{more}"

    if not_ready := [edge for edge in edges if edge.state not in (READY, ENDED)]:
        return said(not_ready, not_ready[0].state.replace("_", " "))
    if silent := [edge for edge in heard if tells and edge.freshness is Freshness.STALE]:
        return said(silent, f"silent for {(silent[0].age_ms or 0) // 1000} s")
    if failing := [edge for edge in heard if edge.rates and edge.rates.failed > 0]:
        return said(failing, "can't store what is published")
    if off := [edge for edge in heard if edge.clock_off_ms]:
        ms = off[0].clock_off_ms
        return said(off, f"has a clock {abs(ms) / 1000:.0f} s {'ahead' if ms > 0 else 'behind'}")
    return ""


def _of_streams(name: str, cells: list[LagCell], gone: set[str]) -> str:
    """What is wrong with what a region reads; empty: nothing."""
    others = [cell for cell in cells if cell.origin != name]
    if broken := [cell for cell in others if cell.broken]:
        return f"its mirror of {broken[0].origin} is {broken[0].mirror}"
    if any(cell.origin == name and cell.is_late for cell in cells):
        return "its own events are late"
    late = [cell for cell in others if cell.is_cut or cell.is_late]
    if late:
        cell = max(late, key=lambda cell: cell.lag_ms or 0.0)
        if cell.origin in gone:
            return f"nothing comes from {cell.origin}"
        return f"hears nothing of {cell.origin}" if cell.is_cut else f"reads {cell.origin} late"
    return ""

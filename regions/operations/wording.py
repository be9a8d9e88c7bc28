"""What is said of operations, for people: on a command line and in the console. The texts may hold
what others wrote; who prints them makes them safe.
"""

from regions.columns import aligned
from regions.operations.entry import Plan, Request
from relay.core.orders import Order


def plan_lines(request: Request, plan: Plan) -> list[str]:
    """A plan."""
    what = f"{request.verb} {request.scope}"
    if plan.nothing:
        return [f"{what}: nothing to do, it is so already"]
    lines = [f"{what}, by {request.by}{f': {request.why}' if request.why else ''}"]
    lines += [f"  {number}. {stage.text}" for number, stage in enumerate(plan.stages, 1)]
    if plan.moves:
        lines.append(f"{plan.moves:,} clients go elsewhere within {plan.takes_s:,.0f} s:")
        rows = [("to", "come", "per s", "let in per s", "then", "of", "full")]
        rows += [
            (each.name, f"{each.connections:,}", f"{each.per_s:,.0f}",
             f"{each.admitted_per_s:,.0f}" if each.admitted_per_s else "—", f"{each.after:,}",
             f"{each.room:,}" if each.room else "—", f"{each.taken:.0%}" if each.room else "—")
            for each in plan.coming
        ]  # fmt: skip
        lines += [f"  {line}" for line in aligned(rows)]
    lines += [f"note: {text}" for text in plan.notes]
    lines += [f"against it: {text}" for text in plan.against]
    return lines


def wanted(order: Order, now_ms: int) -> str:
    """What an order wants; empty: nothing, or nothing any more.

    Args:
        order: it.
        now_ms: the time (Unix ms), by which ramps go.
    """
    parts = []
    if order.cordoned:
        parts.append("cordoned")
    if order.drain_s is not None:
        parts.append("drained")
    if order.weight is not None:
        parts.append(f"weight {order.weight}")
    if order.ramp is not None and order.share(now_ms) < 1:
        parts.append(f"ramp, at {order.share(now_ms):.0%}")
    return ", ".join(parts)

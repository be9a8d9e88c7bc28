"""What was found, as text. Pure."""

from collections.abc import Iterator

from tests.truth.judge import NAMED_S, PATIENCE_S, FaultFound, Findings, Named

WIDTH = 40
SHOWN = 12  # seconds that are listed


def table(found: Findings) -> Iterator[str]:
    """The lines: each fault, then the canaries, then the verdict."""
    consoles = list(found.faults[0].named) if found.faults else []
    heads = "".join(f"{f'in {via}':>7}" for via in consoles)
    yield f"{'fault':<{WIDTH}} {'lasted':>8}{heads}{'no green':>10}  by which words"
    for fault in found.faults:
        yield _row(fault)
    yield ""
    yield (
        f"{found.seconds} seconds, in {len(consoles)} consoles; a canary failed in {found.failing}"
        f" of them (nothing came through for {PATIENCE_S:g} s)"
    )
    yield f"green while a canary failed: {len(found.lies)} seconds"
    yield from (f"  at {each.t_s:g} s in {each.via}: {', '.join(each.failing)}"
                for each in found.lies[:SHOWN])  # fmt: skip
    yield f"green while the console's own keeper said that one fails: {len(found.ignored)} seconds"
    yield from (f"  at {each.t_s:g} s in {each.via}: {', '.join(each.failing)}"
                for each in found.ignored[:SHOWN])  # fmt: skip
    yield f"the longest that one was green after a canary began to fail: {found.longest_green_s} s"
    yield f"not green, though nothing was broken any more: {len(found.alarms)} seconds"
    yield from (f"  at {each.t_s:g} s in {each.via}: {'; '.join(each.reasons)[:160]}"
                for each in found.alarms[:SHOWN])  # fmt: skip
    yield "passed" if found.passed else "NOT PASSED"


def _row(fault: FaultFound) -> str:
    lasted = "" if fault.lasted_s is None else f"{fault.lasted_s:.1f} s"
    times = "".join(f"{_time(named):>7}" for named in fault.named.values())
    words = " | ".join(
        dict.fromkeys(named.words for named in fault.named.values() if named is not None)
    )
    note = ""
    if fault.missed:
        note = f"  LATE (over {NAMED_S:g} s)"
    elif fault.need_not:
        note = f"  (need not be said: {fault.need_not})"
    red = "—" if fault.red_s is None else f"{fault.red_s:.1f} s"
    return f"{fault.text[:WIDTH]:<{WIDTH}} {lasted:>8}{times}{red:>10}  {words}{note}"


def _time(named: Named | None) -> str:
    return "—" if named is None else f"{named.after_s:.1f} s"

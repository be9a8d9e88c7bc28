"""Whether a drill proves anything: was there load, was somebody hit, did the fault show itself.

A run in which nothing happened keeps every promise and meets every objective. Values only.
"""

import math
from collections.abc import Sequence

from regions.drills.catalogue import Kind
from regions.drills.history import History, Load
from regions.drills.lags import PairLag, Seen

CALM_MIN = 0.8  # share of what was asked for that has to be acknowledged, before any fault
LOAD_MIN = 0.5  # and in all
SHOWN_MIN = 0.5  # share of the faults that have to be seen by somebody
LAG_MIN = 0.5  # share of a cut's time to which a lag has to rise
# What costs clients their connections.
_HITS: set[Kind] = {
    "planned",
    "operated",
    "killed",
    "hung",
    "lost",
}


def shortcomings(
    kind: Kind,
    rate: float,
    history: History,
    seen: Sequence[Seen],
    lags: Sequence[PairLag],
) -> list[str]:
    """Why a run proves nothing, for people; empty where it does.

    Args:
        kind: of the drill.
        rate: of events that was asked for, in 1/s.
        history: of the run.
        seen: each fault's first sign in telemetry.
        lags: of the pairs of regions.
    """
    if not history.load.acked:
        return ["nothing was acknowledged, so nothing could be lost"]
    found = [
        why
        for when, load, share in (
            ("before anything was broken", history.load_before, CALM_MIN),
            ("in all", history.load, LOAD_MIN),
        )
        if (why := _idle(when, load, rate, share)) is not None
    ]
    if not history.faults:
        return [*found, "nothing was broken"]
    if kind in _HITS and not any(fault.hit for fault in history.faults):
        found.append(f"no client lost a connection: {_texts(history, range(len(history.faults)))}")
    hidden = [
        number
        for number, (fault, sign) in enumerate(zip(history.faults, seen, strict=True))
        if sign.after_s is None and not fault.hit
    ]
    if len(hidden) > len(history.faults) * (1 - SHOWN_MIN):
        found.append(
            f"neither telemetry nor a client showed anything of: {_texts(history, hidden)}"
        )
    if kind == "cut" and (why := _open(history, lags)) is not None:
        found.append(why)
    return found


def _idle(when: str, load: Load, rate: float, share: float) -> str | None:
    """Why the load was too small; clients publish at random moments, so few events say little."""
    asked = rate * load.seconds
    least = min(asked * share, asked - 4 * math.sqrt(asked))
    if load.acked >= least:
        return None
    return f"{load.acked} events were acknowledged {when}, of {asked:.0f} that were asked for"


def _open(history: History, lags: Sequence[PairLag]) -> str | None:
    """Why it can't be that links were cut."""
    peak_s = max((pair.peak_ms for pair in lags), default=0.0) / 1000
    lasted_s = max((one.healed_s or one.at_s) - one.at_s for one in history.faults)
    if peak_s >= lasted_s * LAG_MIN:
        return None
    return f"links were cut for {lasted_s:g} s, and no lag rose above {peak_s:g} s"


def _texts(history: History, numbers: Sequence[int]) -> str:
    return ", ".join(history.faults[number].text for number in numbers)

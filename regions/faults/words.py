"""Faults in words, for people. Values only."""

from regions.errors import WorldError
from regions.faults.fault import (
    DownFault,
    Fault,
    FaultName,
    FillDiskFault,
    KillFault,
    LinkFault,
    PauseFault,
    RewindFault,
    WedgeFault,
)


def said(fault: Fault) -> str:
    """The fault in one line.

    Raises:
        WorldError: it asks for nothing.
    """
    match fault:
        case LinkFault():
            pairs = " ".join(f"{source}->{target}" for source, target in fault.pairs)
            return f"{', '.join(_changes(fault))} {pairs}"
        case KillFault():
            return f"kill {', '.join(fault.processes)}"
        case PauseFault():
            return f"pause {', '.join(fault.processes)}"
        case DownFault():
            return f"down {', '.join(fault.processes)}"
        case FillDiskFault():
            what = "disk full" if fault.how == "disk" else "store at its limit"
            return f"{what}: {fault.server}"
        case RewindFault():
            without = [
                what
                for what, there in (("witnesses", fault.witnesses), ("mirrors", fault.mirrors))
                if not there
            ]
            return f"rewind {fault.region}" + (f" without {', '.join(without)}" if without else "")
        case WedgeFault():
            return f"wedge the mirror of {fault.origin} in {fault.region}"


def names_of(fault: Fault) -> list[FaultName]:
    """What has to be possible for it."""
    match fault:
        case LinkFault():
            return _link_names(fault)
        case KillFault():
            return ["kill"]
        case PauseFault():
            return ["pause"]
        case DownFault():
            return ["down"]
        case FillDiskFault():
            return ["fill-disk" if fault.how == "disk" else "store-limit"]
        case RewindFault():
            return ["rewind"] if fault.mirrors else ["rewind", "cut"]
        case WedgeFault():
            return ["wedge"]


def _link_names(fault: LinkFault) -> list[FaultName]:
    change = fault.change
    both = all((target, source) in fault.pairs for source, target in fault.pairs)
    asked: list[tuple[bool, FaultName]] = [
        (bool(change.cut), "cut" if both else "one-way"),
        (bool(change.stall), "stall"),
        (change.delay_ms is not None or change.jitter_ms is not None, "delay"),
        (change.rate_kbit is not None, "rate"),
        (change.loss is not None, "loss"),
    ]
    return [name for is_asked, name in asked if is_asked]


def _changes(fault: LinkFault) -> list[str]:
    change = fault.change
    made = ["cut"] if change.cut else []
    made += ["stall"] if change.stall else []
    for name, value, unit in (
        ("delay", change.delay_ms, "ms"),
        ("jitter", change.jitter_ms, "ms"),
        ("rate", change.rate_kbit, "kbit/s"),
        ("loss", None if change.loss is None else change.loss * 100, "%"),
    ):
        if value is not None:
            made.append(f"{name} {value:g} {unit}")
    if not made:
        raise WorldError("change: nothing given")
    return made

"""What `:drill` says: which drill, and with whom."""

from collections.abc import Mapping

from console.doing.options import read_option
from console.errors import ConsoleError
from regions.drills.catalogue import find_drill
from regions.drills.run import MAX_CLIENTS, MAX_RATE, Order
from regions.drills.site import Site
from regions.operations.acts import ACTS

ACT = ACTS["drill"]
_OPTIONS = {option.name: option for option in ACT.options}


def read_order(text: str, pointed_at: str, site: Site, by: str, why: str) -> Order:
    """What is to be run.

    Args:
        text: what follows `:drill`.
        pointed_at: the drill at the cursor; empty: there is none.
        site: where it is run.
        by: who runs it.
        why: for what reason.

    Raises:
        ConsoleError: it names no drill, or an option that there is not.
        DrillError: there is no such drill.
    """
    words = text.split()
    given = dict(word.split("=", 1) for word in words if "=" in word)
    named = [word for word in words if "=" not in word] or ([pointed_at] if pointed_at else [])
    if len(named) != 1:
        what = f"what is {named[1]!r}?" if named else "which one? 7 lists them"
        raise ConsoleError(f"drill {ACT.usage}: {what}")
    for name in given:
        if name not in _OPTIONS:
            raise ConsoleError(f"drill {ACT.usage}: there is no {name!r}")
    drill = find_drill(named[0])
    hold_s = read_option(_OPTIONS["for"], given["for"]) if "for" in given else None
    return Order(
        drill,
        site.state,
        site.report(drill),
        clients=_whole(given, "clients", 2, MAX_CLIENTS),
        rate=_rate(given),
        seed=_whole(given, "seed", 0, 2**31),
        hold_s=hold_s,
        region=given.get("region"),
        by=by,
        why=why,
    )


def _whole(given: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = given.get(name, f"{_OPTIONS[name].default:g}")
    if not (text.isascii() and text.isdecimal() and least <= int(text[:12]) <= most):
        raise ConsoleError(f"{name}: {least} to {most:,}, not {text!r}")
    return int(text)


def _rate(given: Mapping[str, str]) -> float:
    text = given.get("rate", f"{_OPTIONS['rate'].default:g}")
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= MAX_RATE:
        raise ConsoleError(f"rate: events/s, up to {MAX_RATE:,}, not {text!r}")
    return rate

"""What is said with an act: read from text, and put into a request."""

from collections.abc import Mapping

import msgspec

from console.errors import ConsoleError
from console.look import Subject
from regions.operations.acts import Act, Option
from regions.operations.entry import Request, Verb
from relay.core.inquiry import KICK_CODES


def read_option(option: Option, text: str) -> float | None:
    """The value of an option.

    Raises:
        ConsoleError: it is none.
    """
    if option.field == "weight":
        if text == "topology":
            return None
        if text.isascii() and text.isdecimal() and int(text) <= 100:
            return int(text)
        raise ConsoleError(f"{option.name}: 0 to 100, or topology: not {text!r}")
    if option.field == "code":
        if text in map(str, KICK_CODES):
            return int(text)
        raise ConsoleError(f"{option.name}: one of {', '.join(map(str, KICK_CODES))}")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise ConsoleError(f"{option.name}: {text!r} is no number of seconds")
    return value


def request_of(
    act: Act, subject: Subject, by: str, why: str, options: Mapping[str, float | None]
) -> Request:
    """What is wanted, as the control plane takes it."""
    weight = options.get("weight")
    return Request(
        verb=msgspec.convert(act.name, Verb),
        region=subject.where,
        edge=subject.name if subject.kind == "edge" else "",
        by=by,
        why=why,
        within_s=options.get("within_s"),
        weight=None if weight is None else int(weight),
        over_s=options.get("over_s") or 0.0,
    )

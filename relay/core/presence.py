"""What is shown of a user: a status, and what the application adds to it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

Scope = tuple[str, str]  # tenant and room; `~`: all users, `~user`: one of them, wherever he is
EVERYWHERE = "~"  # no room's name begins so


class Status(StrEnum):
    """How present a user is, most present first."""

    ONLINE = "online"
    IDLE = "idle"
    DND = "dnd"
    INVISIBLE = "invisible"  # chosen, never shown


_RANK = {Status.ONLINE: 3, Status.IDLE: 2, Status.DND: 1}


class Shown(NamedTuple):
    """What others see of one session of a user.

    `custom`: JSON of the application's, with when it was set (Unix ms), so that of two devices
    every region shows the same one.
    """

    status: Status
    custom: bytes | None = None
    at_ms: int = 0


ONLINE = Shown(Status.ONLINE)
Changes = dict[str, Shown | None]  # user -> what is shown now; None: offline


def most_present(each: Iterable[Shown | None]) -> Shown | None:
    """What is shown of a user with several sessions; None where no session shows anything."""
    best: Shown | None = None
    for one in each:
        if one is not None and (best is None or _order(one) > _order(best)):
            best = one
    return best


def visible(shown: Shown | None) -> tuple[Status, bytes | None] | None:
    """What others see of it: when it was set is for edges alone."""
    return None if shown is None else (shown.status, shown.custom)


def _order(shown: Shown) -> tuple[int, int, bytes]:
    return _RANK[shown.status], shown.at_ms, shown.custom or b""


# --- between edges -----------------------------------------------------------------------------

Said = str | tuple[str, int, bytes] | None  # status; with custom state and its time; offline


def said_of(shown: Shown | None) -> Said:
    """The short form."""
    if shown is None or shown.custom is None:
        return None if shown is None else shown.status
    return shown.status, shown.at_ms, shown.custom


_PLAIN: dict[Any, Shown] = {str(status): Shown(status) for status in _RANK}


def shown_of(said: Said) -> Shown | None:
    """From the short form; a status that is unknown here (a newer edge's) is shown as online."""
    if said is None:
        return None
    if isinstance(said, str):
        return _PLAIN.get(said, ONLINE)
    status, at_ms, custom = said
    return Shown(_PLAIN.get(status, ONLINE).status, custom, at_ms)

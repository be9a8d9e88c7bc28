"""The rooms that a client asks for: which of them it may join, and from where."""

from collections.abc import Iterable
from dataclasses import dataclass

from relay.core.answers import RefusalError
from relay.core.codes import ErrorCode
from relay.core.cursor import Cursor, CursorCodec, CursorError
from relay.core.effects import Refused, Wish
from relay.core.grants import Act, Grants
from relay.core.names import is_room
from relay.core.wire import RoomRequest

_SHOWN = 128  # characters of a refused room that are repeated


@dataclass(frozen=True, slots=True)
class WishRules:
    """How wishes are judged."""

    cursors: CursorCodec
    last_events: int  # the most that `{last: n}` may ask for
    looked_at: int  # rooms of one request whose grants are looked up; the rest are refused


def read_wishes(
    requests: Iterable[str | RoomRequest],
    grants: Grants,
    rules: WishRules,
    *,
    replay: bool = True,
) -> tuple[list[Wish], list[Refused]]:
    """What is granted of the rooms asked for, and what is refused with which code.

    Args:
        requests: rooms, or rooms with `since`.
        grants: of the token.
        rules: limits and the cursor key.
        replay: whether `since` counts (in a RESUME the cursor says it for all rooms).
    """
    wishes: dict[str, Wish] = {}
    refused: list[Refused] = []
    for number, request in enumerate(requests):
        asked = RoomRequest(request) if isinstance(request, str) else request
        if number >= rules.looked_at:
            refused.append(Refused(asked.room[:_SHOWN], ErrorCode.TOO_MANY_ROOMS))
            continue
        try:
            wish = _wish(asked, grants, rules, replay=replay)
        except RefusalError as error:
            refused.append(Refused(asked.room[:_SHOWN], error.code))
        else:
            wishes[wish.room] = wish
    return list(wishes.values()), refused


def _wish(asked: RoomRequest, grants: Grants, rules: WishRules, *, replay: bool) -> Wish:
    if not is_room(asked.room):
        raise RefusalError(ErrorCode.INVALID_ROOM)
    if not grants.allows(Act.SUBSCRIBE, asked.room):
        raise RefusalError(ErrorCode.NOT_PERMITTED)
    if asked.presence and not grants.allows(Act.PRESENCE, asked.room):
        raise RefusalError(ErrorCode.NOT_PERMITTED)
    if asked.since is None or not replay:
        return Wish(asked.room, presence=asked.presence)
    if not grants.allows(Act.HISTORY, asked.room):
        raise RefusalError(ErrorCode.NOT_PERMITTED)
    if isinstance(asked.since, str):
        return Wish(
            asked.room, since=read_cursor(asked.since, rules.cursors), presence=asked.presence
        )
    if not 0 <= asked.since.last <= rules.last_events:
        raise RefusalError(ErrorCode.INVALID_DATA)
    return Wish(asked.room, last=asked.since.last, presence=asked.presence)


def read_cursor(text: str, cursors: CursorCodec) -> Cursor:
    """A cursor in a request that the connection survives.

    Raises:
        RefusalError: it is none of ours.
    """
    try:
        return cursors.decode(text)
    except CursorError as error:
        raise RefusalError(ErrorCode.INVALID_DATA, str(error)) from error

"""Cursors taken before an origin lost its newest events, and presented after: all are refused."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from regions.world import World
from relay.client.connection import OpenError, open_connection
from relay.client.reconnect import gateway_url
from relay.client.wire import CODECS, Frame
from relay.core.codes import EventName, Op
from relay.core.grants import Act, RoomGrant
from relay.errors import RelayError

EACH = 3  # cursors from each edge
ANSWER_S = 10.0
TOKEN_S = 3600


@dataclass(frozen=True, slots=True)
class Old:
    """A session that was left, and how far it had got."""

    user: str
    room: str
    session: str
    cursor: str


async def take(world: World, run: str) -> list[Old]:
    """Begin `EACH` sessions on every edge, and leave them as a network that fails would.

    Raises:
        RelayError: an edge does not take a client.
    """
    found: list[Old] = []
    for edge in world.edges:
        for _ in range(EACH):
            user, room = f"{run}-cursor-{len(found)}", f"{run}:cursors"
            d = {"token": _token(world, user, room), "rooms": [room]}
            frame = await _ask(edge.url, Op.IDENTIFY, d, resume=False)
            if frame is None or frame.t != EventName.READY:
                raise RelayError(f"{edge.name} did not answer IDENTIFY with READY")
            found.append(Old(user, room, frame.d["session_id"], frame.d["cursor"]))
    return found


async def present(world: World, cursors: list[Old]) -> dict[str, int]:
    """RESUME with each, on an edge other than its own; how many were answered in which way.

    `epoch` is INVALID_SESSION with that reason; `resumed` would be an old cursor taken for good.
    """
    edges = world.edges
    answers: Counter[str] = Counter()
    for number, old in enumerate(cursors):
        edge = edges[(number // EACH + 1 + number % EACH) % len(edges)]
        d = {
            "token": _token(world, old.user, old.room),
            "session_id": old.session,
            "cursor": old.cursor,
            "rooms": [old.room],
        }
        answers[_said(await _ask(edge.url, Op.RESUME, d, resume=True))] += 1
    return dict(answers)


async def _ask(url: str, op: Op, d: Mapping[str, object], *, resume: bool) -> Frame | None:
    """The first answer that decides; None: there was none."""
    codec = CODECS["json"]()
    try:
        connection = await open_connection(gateway_url(url, codec.name, resume), codec, ANSWER_S)
    except OpenError:
        return None
    try:
        async with asyncio.timeout(ANSWER_S):
            while isinstance(frame := await connection.receive(), Frame):
                if frame.op == Op.HELLO:
                    connection.send(codec.encode(op, d))
                elif frame.op == Op.INVALID_SESSION or frame.t in (
                    EventName.READY,
                    EventName.RESUMED,
                ):
                    return frame
    except TimeoutError:
        pass
    finally:
        connection.abort()
    return None


def _said(frame: Frame | None) -> str:
    if frame is None:
        return "no answer"
    if frame.t == EventName.RESUMED:
        return "resumed"
    why = frame.e.get("reason") if isinstance(frame.e, dict) else None
    return str(why or "invalid")


def _token(world: World, user: str, room: str) -> str:
    grants = [RoomGrant(room, frozenset({Act.SUBSCRIBE}))]
    return world.issuer().token(user, grants, TOKEN_S)

"""Trying an edge's public door as a client does: connect, identify, publish, receive."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from regions.issuer import DOOR_ROOM, DOOR_USER, Issuer
from regions.steering.health import EdgeKey, Try
from regions.world import World
from relay.client import ConnectFailed, Message, connect
from relay.core.grants import Act, RoomGrant
from relay.errors import RelayError

_log = logging.getLogger("jetrelay.steering")

TIMEOUT_S = 5.0
OPEN_PART = 0.8  # of that, to be let in
TOKEN_S = 60


def doors_of(world: World) -> dict[EdgeKey, str]:
    """Where the door of each edge of a world is."""
    return {
        EdgeKey(region.name, edge.name): edge.url
        for region in world.regions
        for edge in region.edges
    }


# Of which edge, where, and what is to be said there.
TryDoor = Callable[[EdgeKey, str, Callable[[], object]], Awaitable[Try]]


async def try_doors(
    through: TryDoor,
    urls: Mapping[EdgeKey, str],
    note: Callable[[], object],
    before: Mapping[EdgeKey, Try],
) -> dict[EdgeKey, Try]:
    """Go through doors once, all at the same time.

    Args:
        through: goes through one.
        urls: where they are.
        note: what to publish, asked for at that moment.
        before: the tries before, with which failures in a row are counted.
    """
    made = await asyncio.gather(*(through(key, url, note) for key, url in urls.items()))
    return {key: tried.after(before.get(key)) for key, tried in zip(urls, made, strict=True)}


def nothing() -> object:
    """What is published where nobody listens for it."""
    return "?"


async def try_door(
    issuer: Issuer,
    edge: EdgeKey,
    url: str,
    note: Callable[[], object] = nothing,
    timeout_s: float = TIMEOUT_S,
) -> Try:
    """Go through a door once, and say where it ended.

    Args:
        issuer: who makes the token.
        edge: whose door it is.
        url: its WebSocket address.
        note: what to publish, asked for at that moment.
        timeout_s: for all of it.
    """
    # What is said there lasts as any event does.
    grants = (RoomGrant(DOOR_ROOM, frozenset({Act.SUBSCRIBE, Act.PUBLISH}), False),)
    token = issuer.token(DOOR_USER, grants, TOKEN_S)
    began_s, step = time.monotonic(), "connect"
    try:
        async with (
            asyncio.timeout(timeout_s),
            connect(
                [url], token=token, rooms=[DOOR_ROOM], timeout_s=timeout_s * OPEN_PART
            ) as client,
        ):
            step = "publish"
            ack = await client.publish(DOOR_ROOM, note())
            step = "receive"
            async for event in client:
                if isinstance(event, Message) and (event.origin, event.seq, event.id) == (
                    ack.origin, ack.seq, ack.id,
                ):  # fmt: skip
                    break
            else:
                return Try(time.monotonic(), "receive: the session ended")
            if client.edge != edge.edge or client.stats.resumes:
                return Try(time.monotonic(), f"connect: {client.edge} answered in its place")
    except ConnectFailed as error:
        said = "; ".join(reason for _, reason in error.reasons)
        if error.later:
            return Try(time.monotonic(), busy=said)
        return Try(time.monotonic(), f"{step}: {said}")
    except TimeoutError:
        return Try(time.monotonic(), f"{step}: no answer within {timeout_s:g} s")
    except (OSError, RelayError) as error:
        return Try(time.monotonic(), f"{step}: {error}")
    except Exception as error:
        _log.exception("%s: trying its door went wrong", edge.edge)
        return Try(time.monotonic(), f"{step}: {error!r}")
    now_s = time.monotonic()
    return Try(now_s, "", (now_s - began_s) * 1000)

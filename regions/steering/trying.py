"""Trying an edge's public door as a client does: connect, identify, publish, receive."""

import asyncio
import logging
import time

from regions.steering.health import EdgeKey, Try
from relay.client import Message, connect
from relay.errors import RelayError

_log = logging.getLogger("jetrelay.steering")

TIMEOUT_S = 5.0


async def try_door(
    key: EdgeKey, url: str, token: str, room: str, timeout_s: float = TIMEOUT_S
) -> Try:
    """Go through a door once, and say where it ended.

    Args:
        key: the edge.
        url: its WebSocket address.
        token: which may join, and publish to, the room.
        room: one of its own; what is said there lasts as any event does.
        timeout_s: for all of it.
    """
    began_s, step = time.monotonic(), "connect"
    try:
        async with asyncio.timeout(timeout_s), connect([url], token=token, rooms=[room]) as client:
            step = "publish"
            ack = await client.publish(room, "?")
            step = "receive"
            async for event in client:
                if isinstance(event, Message) and (event.origin, event.seq, event.id) == (
                    ack.origin, ack.seq, ack.id,
                ):  # fmt: skip
                    break
            else:
                return Try(time.monotonic(), "receive: the session ended")
            if client.edge != key.edge or client.stats.resumes:
                return Try(time.monotonic(), f"connect: {client.edge} answered in its place")
    except TimeoutError:
        return Try(time.monotonic(), f"{step}: no answer within {timeout_s:g} s")
    except (OSError, RelayError) as error:
        return Try(time.monotonic(), f"{step}: {error}")
    except Exception as error:
        _log.exception("%s: trying its door went wrong", key.edge)
        return Try(time.monotonic(), f"{step}: {error!r}")
    now_s = time.monotonic()
    return Try(now_s, "", (now_s - began_s) * 1000)

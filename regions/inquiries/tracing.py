"""A trace as it is followed: what an edge tells of one connection, until it ends."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Literal

from regions.errors import InquiryError
from regions.inquiries.round import Round
from regions.steering.health import EdgeKey
from relay.core.inquiry import Stop, Trace
from relay.core.inquiry_answers import Refused, Told, Traced


async def traced(
    round_: Round, edge: EdgeKey, session: str, for_s: float, *, payloads: bool
) -> AsyncGenerator[Traced, None]:
    """What passes over a connection; the last part says why it ended.

    Args:
        round_: asks.
        edge: where the client is.
        session: its handle.
        for_s: seconds.
        payloads: whether with them.

    Raises:
        InquiryError: the edge refuses, or says nothing more.
    """
    kind: Literal["ask", "see"] = "see" if payloads else "ask"
    heard: asyncio.Queue[Told] = asyncio.Queue()
    number = round_.line.number(heard.put_nowait)
    begun, ended = False, False
    try:
        await round_.line.ask(kind, *edge, number, Trace(session, for_s))
        while not ended:
            try:
                part = await _next(heard, round_.answer_s + for_s * begun, edge)
            except TimeoutError:
                why = round_.line.denied(kind) or f"{edge.edge} says nothing"
                raise InquiryError(why) from None
            begun, ended = True, bool(part.ended)
            yield part
    finally:
        round_.line.forget(number)
        if not ended:
            with contextlib.suppress(InquiryError):
                await round_.line.ask(kind, *edge, number, Stop(number))


async def _next(heard: "asyncio.Queue[Told]", patience_s: float, edge: EdgeKey) -> Traced:
    async with asyncio.timeout(patience_s):
        answer = (await heard.get()).answer
    if isinstance(answer, Refused):
        raise InquiryError(f"{edge.edge}: {answer.why}")
    if not isinstance(answer, Traced):
        raise InquiryError(f"{edge.edge}: the client is gone")
    return answer

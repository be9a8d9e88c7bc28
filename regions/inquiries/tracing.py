"""A trace as it is followed: what an edge tells of one connection, until it ends."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from regions.errors import InquiryError
from regions.inquiries.round import AGAIN_S, Round
from regions.steering.health import EdgeKey
from relay.core.inquiry import Stop, Trace
from relay.core.inquiry_answers import Refused, Told, Traced
from relay.core.names import InquiryKind


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
    kind: InquiryKind = "see" if payloads else "ask"
    heard: asyncio.Queue[Told] = asyncio.Queue()
    number = round_.line.number(heard.put_nowait)
    ended, patience_s = False, round_.answer_s
    try:
        await round_.line.ask(kind, *edge, number, Trace(session, for_s))
        while not ended:
            part = _part(await _next(round_, kind, heard, patience_s, edge), edge)
            ended, patience_s = bool(part.ended), round_.answer_s + for_s
            yield part
    finally:
        round_.line.forget(number)
        if not ended:
            with contextlib.suppress(InquiryError):
                await round_.line.ask(kind, *edge, number, Stop(number))


async def _next(
    round_: Round,
    kind: InquiryKind,
    heard: "asyncio.Queue[Told]",
    patience_s: float,
    edge: EdgeKey,
) -> Told:
    try:
        async with asyncio.timeout(patience_s):
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(AGAIN_S):
                        return await heard.get()
                if why := round_.line.denied(kind):
                    raise InquiryError(why)
    except TimeoutError:
        why = round_.line.denied(kind) or f"{edge.edge} says nothing"
        raise InquiryError(why) from None


def _part(told: Told, edge: EdgeKey) -> Traced:
    if isinstance(told.answer, Refused):
        raise InquiryError(f"{edge.edge}: {told.answer.why}")
    if not isinstance(told.answer, Traced):
        raise InquiryError(f"{edge.edge}: the client is gone")
    return told.answer

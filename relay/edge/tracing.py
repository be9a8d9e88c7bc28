"""Traces: what passes over one client's connection, told to an operator for a while."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

from relay.core.inquiry_answers import Traced
from relay.core.limits import TokenBucket
from relay.core.masking import TracedFrame, handle_of, traced
from relay.edge import clock
from relay.edge.connection import ClientConnection
from relay.edge.departures import Departures
from relay.edge.tap import Tap

FRAMES_PER_S = 200.0
TELL_S = 0.25
TOLD_CHARACTERS = 40 * 1024  # at once: some take six bytes

Tell = Callable[[Traced], Awaitable[None]]


class Trace:
    """One of them.

    Args:
        connection: the client's.
        departures: tell how it ended.
        tell: gives the asker an answer.
        for_s: seconds.
        payloads: whether he may see them.
    """

    def __init__(
        self,
        connection: ClientConnection,
        departures: Departures,
        tell: Tell,
        for_s: float,
        *,
        payloads: bool,
    ) -> None:
        self.connection = connection
        self._departures = departures
        self._tell = tell
        self._for_s = for_s
        self._payloads = payloads
        self._rate = TokenBucket.full(FRAMES_PER_S, FRAMES_PER_S, clock.now().mono_s)
        self._frames: list[TracedFrame] = []
        self._skipped = 0
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """It is not wanted any more."""
        self._stopped.set()

    async def run(self) -> None:
        """Tell what passes, until the time is over, it is not wanted, or the client is gone.

        Raises:
            UnavailableError: NATS is not reached.
        """
        tap = Tap(self.connection, self._hear)
        try:
            await self._say()
            ended = await self._watch()
        finally:
            tap.remove()
        await self._say(ended)

    async def _watch(self) -> str:
        until_s = clock.now().mono_s + self._for_s
        while self.connection.open:
            left_s = until_s - clock.now().mono_s
            if left_s <= 0:
                return "the time is over"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(TELL_S, left_s)):
                    await self._stopped.wait()
                return "stopped"
            if self._frames or self._skipped:
                await self._say()
        return self._how_it_ended()

    def _how_it_ended(self) -> str:
        for gone in self._departures.under(handle_of(self.connection.session.session_id)):
            return f"the connection was closed with {gone.code}"
        return "the connection was closed"

    def _hear(self, payload: bytes, sent: bool) -> None:
        now = clock.now()
        if self._rate.take(now.mono_s) > 0:
            self._skipped += 1
            return
        frame = traced(
            payload, self.connection.codec, now.wall_ms, sent=sent, payloads=self._payloads
        )
        self._frames.append(frame)

    async def _say(self, ended: str = "") -> None:
        frames, self._frames = self._frames, []
        skipped, self._skipped = self._skipped, 0
        session = handle_of(self.connection.session.session_id)
        *parts, last = list(_parts(frames)) or [[]]
        for part in parts:
            await self._tell(Traced(session=session, frames=part))
        await self._tell(Traced(session=session, frames=last, skipped=skipped, ended=ended))


def _parts(frames: list[TracedFrame]) -> Iterator[list[TracedFrame]]:
    part, size = list[TracedFrame](), 0
    for frame in frames:
        part.append(frame)
        size += 256 + len(frame.d or "")
        if size > TOLD_CHARACTERS:
            yield part
            part, size = [], 0
    if part:
        yield part

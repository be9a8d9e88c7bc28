"""A trace of one client's connection, as far as it was followed."""

from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from regions.inquiries.asker import Asker
from relay.core.inquiry import LONGEST_TRACE_S
from relay.core.inquiry_answers import Traced
from relay.core.masking import TracedFrame
from relay.errors import RelayError

if TYPE_CHECKING:
    import asyncio

    from console.asking import Asking, Open

KEPT = 1_000  # frames


class Tracing:
    """One trace. Once ended, it stays so.

    Args:
        session: the client's handle.
        payloads: whether they are seen.
    """

    def __init__(self, session: str, *, payloads: bool) -> None:
        self.session = session
        self.payloads = payloads
        self.user = ""  # until it is known
        self.edge = ""
        self.begun_ms = 0  # steady clock
        self.began = False  # the edge has said so
        self.count = 0  # frames
        self.skipped = 0  # that were not shown: they were too many
        self.ended = ""  # why
        self.failed = False  # it did not end as traces do
        self._frames: deque[TracedFrame] = deque(maxlen=KEPT)
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether more may come."""
        return not self.ended

    @property
    def frames(self) -> list[TracedFrame]:
        """The newest first."""
        return list(reversed(self._frames))

    def start(self, open_: "Open", asking: "Asking") -> None:
        """Begin.

        Args:
            open_: opens a way to the edges of its own, with a login that may see what is wanted.
            asking: in whose tasks, and by whose clock.
        """
        self.begun_ms = asking.now_ms()
        self._task = asking.tasks.spawn(self._run(open_, asking), "trace")

    def stop(self, why: str) -> None:
        """End it."""
        self.ended = self.ended or why
        if self._task is not None:
            self._task.cancel()

    def hide(self) -> None:
        """Payloads may be seen no more: end it, and forget those that were."""
        if self.is_running:
            self.stop("the console is armed no more")
        self.payloads = False
        self._frames = deque(
            (msgspec.structs.replace(frame, d=None) for frame in self._frames), maxlen=KEPT
        )

    async def _run(self, open_: "Open", asking: "Asking") -> None:
        try:
            async with open_() as asker:
                await self._find(asker)
                self.begun_ms = asking.now_ms()
                parts = asker.trace(self.session, LONGEST_TRACE_S, payloads=self.payloads)
                async with aclosing(parts):
                    async for part in parts:
                        self._take(part)
        except (RelayError, OSError) as error:
            self.failed = not self.ended
            self.ended = self.ended or str(error)
        self.ended = self.ended or "the edge says nothing more"
        asking.tell()

    async def _find(self, asker: Asker) -> None:
        seen = await asker.client(self.session)
        if len(seen.found) == 1:
            self.user, self.edge = seen.found[0].client.row.user, seen.found[0].edge

    def _take(self, part: Traced) -> None:
        self.began = True
        self.count += len(part.frames)
        self.skipped += part.skipped
        self._frames.extend(part.frames)
        self.ended = self.ended or part.ended

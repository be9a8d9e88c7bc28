"""A round of questions: all edges are asked at once, who says nothing again, and then is named."""

import asyncio
import contextlib
from collections.abc import Collection, Sequence

from regions.errors import InquiryError
from regions.inquiries.gathering import Gathering, Missing
from regions.inquiries.line import Line
from regions.steering.health import EdgeKey
from relay.core.inquiry import Question
from relay.core.names import EVERY_EDGE, InquiryKind

ANSWER_S = 1.5  # for all edges; then who is missing is named
AGAIN_S = 0.5  # a question, or its answer, may be lost, or its edge busy


class Round:
    """Asks edges.

    Args:
        line: to the region through which it asks.
        edges: that were heard lately, and are waited for.
        dark: that were heard before.
        answer_s: how long they are waited for.
    """

    def __init__(
        self,
        line: Line,
        edges: Collection[EdgeKey],
        dark: Sequence[Missing],
        answer_s: float = ANSWER_S,
    ) -> None:
        self.line = line
        self.edges = tuple(edges)
        self.answer_s = answer_s
        self._dark = tuple(dark)

    async def gather(self, question: Question, edges: Collection[EdgeKey] | None) -> Gathering:
        """Ask all.

        Raises:
            InquiryError: nobody answered.
        """
        heard = await self.ask("ask", question, self.edges if edges is None else edges)
        if edges is None:
            heard.name(self._dark)
        if heard.nobody:
            reasons = "; ".join(f"{each.edge}: {each.why}" for each in heard.missing)
            raise InquiryError(f"no edge answers: {reasons or 'none is heard'}")
        return heard

    async def ask(
        self,
        kind: InquiryKind,
        question: Question,
        edges: Collection[EdgeKey],
        timeout_s: float | None = None,
    ) -> Gathering:
        """Ask edges, and wait until all have answered or the time is over.

        Who is silent is asked again, unless something is to be done: that is done once at most.

        Raises:
            InquiryError: the region is not reached any more, or this login may not ask so.
        """
        done = asyncio.Event()
        heard = Gathering(edges, done.set)
        number = self.line.number(heard.hear)
        try:
            if set(edges) == set(self.edges):
                for region in dict.fromkeys(key.region for key in edges):
                    await self.line.ask(kind, region, EVERY_EDGE, number, question)
            else:
                for key in edges:
                    await self.line.ask(kind, *key, number, question)
            async with asyncio.timeout(self.answer_s if timeout_s is None else timeout_s):
                while heard.due:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(AGAIN_S):
                            await done.wait()
                    if heard.nobody and (why := self.line.denied(kind)):
                        raise InquiryError(why)
                    for key in heard.busy if kind == "act" else heard.due:
                        await self.line.ask(kind, *key, number, question)
        except TimeoutError:
            pass
        finally:
            self.line.forget(number)
        return heard

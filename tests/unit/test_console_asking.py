"""A question to the edges: when it is asked, and when it is not asked again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from console.asking import GAP_MS, Asked, Asking
from regions.inquiries.asker import Asker
from relay.tasks import Tasks

EVERY_MS = 3_000


class Looker:
    """Somebody who looks at one question, at a clock of their own."""

    def __init__(self) -> None:
        self.now_ms = 1_000
        self.asked: list[int] = []  # the rows of each time
        self.answers = asyncio.Event()
        self.answers.set()
        self.tasks = Tasks("console")
        self._asking = Asking(self._open, self.tasks, lambda: self.now_ms, lambda: None)
        self._question = Asked[int](EVERY_MS)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Asker]:
        yield cast("Asker", None)

    def look(self, rows: int, key: str = "all") -> None:
        """Look once."""

        async def ask(_: Asker) -> int:
            self.asked.append(rows)
            await self.answers.wait()
            return rows

        self._question.look(self._asking, key, ask, rows=rows)

    async def settled(self) -> None:
        """Everything that can happen has."""
        for _ in range(20):
            await asyncio.sleep(0)


async def test_two_looks_before_anybody_was_asked_ask_once() -> None:
    looker = Looker()
    looker.look(17)
    looker.now_ms += GAP_MS
    looker.look(17)  # the task has not begun yet
    await looker.settled()
    looker.now_ms += GAP_MS
    looker.look(17)
    await looker.settled()
    assert looker.asked == [17]
    looker.now_ms += EVERY_MS
    looker.look(17)
    await looker.settled()
    assert looker.asked == [17, 17]
    await looker.tasks.close()


async def test_more_rows_are_asked_for_as_soon_as_may_be_and_fewer_when_it_is_time() -> None:
    looker = Looker()
    looker.answers.clear()
    looker.look(17)
    await looker.settled()
    looker.now_ms += GAP_MS
    looker.look(34)  # an answer is waited for: one question at a time
    await looker.settled()
    assert looker.asked == [17]
    looker.answers.set()
    await looker.settled()
    looker.look(34)
    await looker.settled()
    looker.look(17)
    looker.now_ms += GAP_MS
    looker.look(17)
    await looker.settled()
    assert looker.asked == [17, 34]
    await looker.tasks.close()


async def test_another_question_is_asked_at_once_but_not_faster_than_edges_like() -> None:
    looker = Looker()
    looker.look(17)
    await looker.settled()
    looker.look(17, "user=ana")
    await looker.settled()
    assert looker.asked == [17]
    looker.now_ms += GAP_MS
    looker.look(17, "user=ana")
    await looker.settled()
    assert looker.asked == [17, 17]
    await looker.tasks.close()

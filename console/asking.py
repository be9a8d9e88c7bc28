"""Edges are asked while somebody looks: one way to them, and questions that are asked again."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from console.look import Look
from console.model import Freshness
from regions.errors import InquiryError
from regions.inquiries.asker import Asker
from regions.inquiries.fleet import FleetClient, FleetClients, FleetRoom, FleetRooms
from regions.inquiries.gathering import Missing
from regions.steering.health import EdgeKey
from relay.core.telemetry import ENDED
from relay.errors import RelayError
from relay.tasks import Tasks

T = TypeVar("T")
F = TypeVar("F", FleetClients, FleetClient, FleetRooms, FleetRoom)
Open = Callable[[], AbstractAsyncContextManager[Asker]]

IDLE_S = 30.0  # without a question, the way to the edges is closed
GAP_MS = 250  # between two questions, however fast keys are pressed


class Asking:
    """Keeps one way to the edges open while questions are asked.

    Args:
        open_: opens it; None: there is none.
        tasks: in which it is kept.
        now_ms: steady clock.
        changed: is called whenever an answer has come.
    """

    def __init__(
        self,
        open_: Open | None,
        tasks: Tasks,
        now_ms: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        self.tasks = tasks
        self.now_ms = now_ms
        self._open = open_
        self._changed = changed
        self._used = asyncio.Event()
        self._visit: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Asker] | None = None

    @property
    def is_possible(self) -> bool:
        """Whether there is a way to ask edges at all."""
        return self._open is not None

    async def asker(self) -> Asker:
        """Who asks, as soon as the way is open.

        Raises:
            InquiryError: there is none, or no region answers.
        """
        if self._open is None:
            raise InquiryError("this console has no way to ask edges")
        self._used.set()
        if self._visit is None or self._visit.done() or self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            self._visit = self.tasks.spawn(self._stay(self._open, self._opened), "asker")
        return await asyncio.shield(self._opened)

    def drop(self) -> None:
        """The way was of no use: the next question opens another."""
        if self._visit is not None:
            self._visit.cancel()
            self._visit = None

    def tell(self) -> None:
        """Something was answered."""
        with suppress(RuntimeError):  # the screen may be gone by now
            self._changed()

    async def _stay(self, open_: Open, opened: "asyncio.Future[Asker]") -> None:
        try:
            async with open_() as asker:
                if not opened.done():
                    opened.set_result(asker)
                while await self._is_used():
                    self._used.clear()
        except (RelayError, OSError) as error:
            if not opened.done():
                opened.set_exception(error)
                opened.exception()  # who asked may have looked away
        finally:
            opened.cancel()

    async def _is_used(self) -> bool:
        try:
            async with asyncio.timeout(IDLE_S):
                await self._used.wait()
        except TimeoutError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What was answered, to what, and when."""

    value: T
    key: object
    at_ms: int  # steady clock


class Asked(Generic[T]):
    """A question, asked again and again while it is looked at; one at a time.

    Args:
        every_ms: from one time to the next.
    """

    def __init__(self, every_ms: int) -> None:
        self.answer: Answer[T] | None = None
        self.error = ""  # why the last time gave none
        self._every_ms = every_ms
        self._key: object = None
        self._begun_ms = -GAP_MS
        self._due_ms = 0
        self._rows = 0  # that were asked for last
        self._task: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an answer is waited for."""
        return self._task is not None and not self._task.done()

    @property
    def is_current(self) -> bool:
        """Whether the answer is one to what is asked now."""
        return self.answer is not None and self.answer.key == self._key

    def waits_ms(self, now_ms: int) -> int:
        """For how long an answer is waited for already."""
        return now_ms - self._begun_ms if self.is_busy else 0

    def age_ms(self, now_ms: int) -> int | None:
        """How old the answer is; None: there is none."""
        return None if self.answer is None else max(0, now_ms - self.answer.at_ms)

    def forget(self) -> None:
        """What is asked from now on has nothing to do with what was."""
        self.leave()
        self.answer, self.error, self._key = None, "", None

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def look(
        self,
        asking: Asking,
        key: object,
        ask: Callable[[Asker], Awaitable[T]],
        *,
        again: bool = False,
        rows: int = 0,
    ) -> None:
        """Somebody looks: ask, where it is time to.

        Args:
            asking: the way to the edges.
            key: what names the question: another one is asked at once.
            ask: asks it.
            again: whether it is time to, whatever the time.
            rows: that it asks for: it is time to as well where they were fewer the last time.
        """
        now_ms = asking.now_ms()
        if key != self._key:
            self.leave()
            self._key, self.error, self._due_ms = key, "", now_ms
        if again or rows > self._rows:
            self._due_ms = now_ms
        if self.is_busy or now_ms < max(self._due_ms, self._begun_ms + GAP_MS):
            return
        self._begun_ms, self._due_ms, self._rows = now_ms, now_ms + self._every_ms, rows
        self._task = asking.tasks.spawn(self._ask(asking, key, ask), "ask")

    async def _ask(self, asking: Asking, key: object, ask: Callable[[Asker], Awaitable[T]]) -> None:
        try:
            value = await ask(await asking.asker())
        except (RelayError, OSError) as error:
            self.error = str(error)
            asking.drop()
        else:
            self.answer, self.error = Answer(value, key, asking.now_ms()), ""
        asking.tell()


def asked_edges(look: Look) -> list[EdgeKey] | None:
    """The edges that are heard now, of the regions that are looked at; None: none is."""
    if all(edge.freshness is Freshness.GONE for edge in look.view.edges):
        return None
    return [
        EdgeKey(edge.region, edge.name)
        for edge in look.view.edges
        if edge.freshness is not Freshness.GONE and edge.state != ENDED and look.wants(edge.region)
    ]


def whole(found: F, look: Look) -> F:
    """What was found, with edges that were not asked, since they are not heard, among the missing.

    Args:
        found: what those said that were asked.
        look: at which they were.
    """
    missing: list[Missing] = list(found.missing)
    named = {each.key for each in missing}
    silent = [
        Missing(
            edge.region,
            edge.name,
            "never heard" if edge.age_ms is None else f"not heard for {edge.age_ms // 1000} s",
        )
        for edge in look.view.edges
        if edge.freshness is Freshness.GONE and edge.state != ENDED and look.wants(edge.region)
    ]
    missing += [each for each in silent if each.key not in named]
    return msgspec.structs.replace(found, missing=missing)

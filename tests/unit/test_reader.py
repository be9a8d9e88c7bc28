"""Pages that come in slowly, in parts, or not at all."""

import asyncio
from typing import Any, cast

import pytest

from relay.bus.connection import STATUS, Headers
from relay.bus.events import SEQUENCE
from relay.bus.reader import LONGEST, QUESTIONS, Reader
from relay.errors import UnavailableError
from relay.tasks import Tasks

TIMEOUT_S = 0.1
END = {STATUS: "204", "Nats-Num-Pending": "0", "Nats-Last-Sequence": ""}


class Link:
    """Brings one message in so many seconds; the last one ends the page, if it comes."""

    def __init__(self, messages: int, every_s: float, *, ends: bool = True) -> None:
        self._messages, self._every_s, self._ends = messages, every_s, ends
        self._sink: Any = None
        self._tasks = Tasks("link")

    def open(self, sink: Any) -> str:
        self._sink = sink
        return "reply"

    def close(self, _reply: str) -> None:
        self._sink = lambda _headers, _data: None

    async def send(self, *_: object) -> None:
        self._tasks.spawn(self._bring(), "bring")

    async def _bring(self) -> None:
        for seq in range(1, self._messages + 1):
            await asyncio.sleep(self._every_s)
            last = str(seq - 1)
            self._sink({SEQUENCE: str(seq), "Nats-Last-Sequence": last}, b"{}")
        if self._ends:
            await asyncio.sleep(self._every_s)
            self._sink(END | {"Nats-Last-Sequence": str(self._messages)}, b"")


def reader(link: Link) -> Reader:
    return Reader(cast("Any", link), 4, TIMEOUT_S)


async def test_a_page_is_waited_for_as_long_as_it_comes_in() -> None:
    page = await reader(Link(6, TIMEOUT_S / 2)).page("EV_us", 1, batch=6)
    assert page.last == 6


async def test_questions_are_counted_and_only_so_many_are_asked_at_once() -> None:
    asked: list[str] = []
    answer = asyncio.Event()

    async def request(subject: str, _body: bytes, _timeout_s: float) -> tuple[Headers, bytes]:
        asked.append(subject)
        await answer.wait()
        return {}, b'{"error": {"err_code": 10037}}'

    link = Link(0, 0.0)
    link.request = request  # type: ignore[attr-defined]
    reads = reader(link)
    async with asyncio.TaskGroup() as group:
        for number in range(QUESTIONS + 5):
            group.create_task(reads.last_seq(f"EV_{number}", ">"))
        await asyncio.sleep(0.01)
        assert len(asked) == reads.reads == QUESTIONS
        answer.set()
    assert reads.reads == QUESTIONS + 5


@pytest.mark.parametrize(
    "link",
    [
        Link(0, 60.0),  # nothing at all
        Link(3, TIMEOUT_S / 20, ends=False),  # it breaks off
        Link(10 * LONGEST, TIMEOUT_S / 2),  # too slow for a page of this size
    ],
)
async def test_it_is_not_waited_for_for_ever(link: Link) -> None:
    async with asyncio.timeout(3 * LONGEST * TIMEOUT_S):
        with pytest.raises(UnavailableError, match="no answer"):
            await reader(link).page("EV_us", 1, batch=10 * LONGEST)

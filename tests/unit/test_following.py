"""What came next in a room: one read for all who ask the same."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from relay.bus.following import Following
from relay.bus.reader import Reader
from relay.core.event import Event
from relay.errors import UnavailableError

EVENT = Event("us", 1, 5, "default", "a", 0, "u", "i", "s", b"1")


class _Leader:
    """Answers with these sequences, in turn; None: the room has nothing further."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int, str]] = []

    async def next_seq(self, stream: str, seq: int, subject: str) -> int | None:
        self.asked.append((stream, seq, subject))
        await asyncio.sleep(0)
        if not self.answers:
            raise UnavailableError("nobody is there")
        return self.answers.pop(0)


@pytest.fixture
def leader() -> _Leader:
    return _Leader()


@pytest.fixture
async def following(leader: _Leader) -> AsyncIterator[Following]:
    one = Following(cast("Reader", leader))
    yield one
    await one.close()


async def test_a_herd_asks_once(leader: _Leader, following: Following) -> None:
    leader.answers = [12]
    answers = await asyncio.gather(*(following.within(EVENT, 9, upto) for upto in range(9, 15)))
    assert answers == [False, False, False, True, True, True]
    assert leader.asked == [("EV_us", 10, "ev.us.default.0.a")]
    assert await following.within(EVENT, 9, 12), "what was found is kept"
    assert following.reads == 1


async def test_that_nothing_follows_is_asked_again(leader: _Leader, following: Following) -> None:
    leader.answers = [None, 11]
    assert not await following.within(EVENT, 9, 20)
    assert await following.within(EVENT, 9, 20)


async def test_no_answer_is_none_for_all_who_wait_and_not_kept(
    leader: _Leader, following: Following
) -> None:
    waiting = (following.within(EVENT, 9, 20) for _ in range(3))
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(answer, UnavailableError) for answer in answers)
    leader.answers = [11]
    assert await following.within(EVENT, 9, 20)
    assert following.reads == 2


async def test_an_empty_stretch_is_not_asked_for(leader: _Leader, following: Following) -> None:
    assert not await following.within(EVENT, 9, 9)
    assert leader.asked == []

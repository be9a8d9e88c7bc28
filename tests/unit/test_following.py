"""What came next in a room: one read for all who ask the same."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from relay.bus.following import Following
from relay.bus.reader import API, remote_api
from relay.core.event import Event
from relay.errors import UnavailableError

EVENT = Event("us", 1, 5, "default", "a", "u", "i", 0, b"1")


class _Leader:
    """Answers with these sequences, in turn; None: the room has nothing further."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int, str]] = []
        self.behind = False
        self.emptied = False  # this region's copy is being filled anew
        self.last = 100  # that is stored where it is read

    async def next_seq(self, stream: str, seq: int, subject: str, *, api: str) -> int | None:
        assert api == (remote_api("us") if self.behind else API)
        self.asked.append((stream, seq, subject))
        await asyncio.sleep(0)
        if not self.answers:
            raise UnavailableError("nobody is there")
        return self.answers.pop(0)


@dataclass
class _Copies:
    """This region's copy has what its leader holds, or the origin is to be asked."""

    leader: _Leader

    async def source(self, origin: str, after: int, upto: int) -> str:
        assert (origin, after < upto) == ("us", True)
        return remote_api("us") if self.leader.behind else API

    async def last_at(self, origin: str, api: str) -> int:
        assert (origin, api) == ("us", remote_api("us") if self.leader.behind else API)
        return self.leader.last

    async def whole(self, origin: str, after: int, upto: int) -> bool:
        assert (origin, after < upto) == ("us", True)
        return not self.leader.emptied


@pytest.fixture
def leader() -> _Leader:
    return _Leader()


@pytest.fixture
async def following(leader: _Leader) -> AsyncIterator[Following]:
    one = Following(cast("Any", leader), cast("Any", _Copies(leader)))
    yield one
    await one.close()


async def test_a_herd_asks_once(leader: _Leader, following: Following) -> None:
    leader.answers = [12]
    answers = await asyncio.gather(*(following.within(EVENT, 9, upto) for upto in range(9, 15)))
    assert answers == [0, 0, 0, 12, 12, 12]
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


async def test_where_the_copy_is_behind_the_origin_is_asked(
    leader: _Leader, following: Following
) -> None:
    leader.behind, leader.answers = True, [None, 11]
    assert not await following.within(EVENT, 9, 20)
    assert await following.within(EVENT, 9, 20)


async def test_a_stream_that_lost_its_end_does_not_say_that_nothing_follows(
    leader: _Leader, following: Following
) -> None:
    leader.behind, leader.answers, leader.last = True, [None, None], 19
    with pytest.raises(UnavailableError, match="holds less"):
        await following.within(EVENT, 9, 20)
    leader.last = 20
    assert not await following.within(EVENT, 9, 20)


async def test_a_mirror_that_is_being_filled_anew_does_not_say_that_nothing_follows(
    leader: _Leader, following: Following
) -> None:
    leader.answers, leader.emptied = [None, 9], True
    with pytest.raises(UnavailableError):
        await following.within(EVENT, 5, 10)
    assert await following.within(EVENT, 5, 10), "what it shows is there"

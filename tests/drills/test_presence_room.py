"""A room of 600 in which ten come and ten go each second: what it costs, and whether all see it."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import pytest

from tests.raw import ClosedError, Raw, token
from tests.views import SOON_S, View, looking
from tests.world import World

ROOM = "crowd:room"
MEMBERS = 600
TURNOVER = 10  # who come, and who go, in a second
FOR_S = 30
WINDOW_S = 2.0
PAGES = 3  # of a list of so many, 250 a page
AT_ONCE = 25  # who connect at one time, when the room fills

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions of two edges."""
    world = World(tmp_path_factory.mktemp("room") / "state")
    try:
        yield world.launch()
    finally:
        world.clean()
    assert not world.leftovers()


class Member:
    """One who is in the room, and looks at it."""

    def __init__(self, user: str, raw: Raw) -> None:
        self.user = user
        self.view = View(raw, ROOM)
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        with suppress(ClosedError):
            while True:
                await self.view.raw.receive(timeout_s=60)
                self.view.catch_up()

    def sees(self, users: set[str]) -> bool:
        """Whether these are who is there, in his view."""
        return set(self.view.online) == users and self.view.total == len(users)

    def batches(self) -> list[int]:
        """The windows of the frames that he was sent since he was told all."""
        return [frame["window"] for frame in self.view.frames if not frame.get("first")]

    def lists(self) -> int:
        """The frames of the list that he was sent first."""
        return sum(1 for frame in self.view.frames if frame.get("first"))

    async def leave(self) -> None:
        """Close, as a client does that is done."""
        await self.view.raw.ws.close(1000)
        await self._reading


async def test_a_room_of_600_costs_each_member_one_frame_in_two_seconds(three: World) -> None:
    urls = [edge.url for edge in three.edges.values()]
    numbers = count()

    async def come() -> Member:
        number = next(numbers)
        raw = await Raw(urls[number % len(urls)]).__aenter__()
        await raw.identify(token(three, f"u{number}"), looking(ROOM))
        return Member(f"u{number}", raw)

    async def all_see(began_s: float, within_s: float) -> float:
        users = {member.user for member in members}
        while wrong := [member.user for member in members if not member.sees(users)]:
            assert time.monotonic() - began_s < within_s, (
                f"{len(wrong)} views are wrong: {wrong[:5]}"
            )
            await asyncio.sleep(0.02)
        return time.monotonic() - began_s

    members: list[Member] = []
    gone: list[Member] = []
    while len(members) < MEMBERS:
        members += await asyncio.gather(*(come() for _ in range(AT_ONCE)))
    await all_see(time.monotonic(), 30)
    before = sum(len(member.batches()) for member in members)
    listed = sum(member.lists() for member in members)
    choice = random.Random(1)
    began_s = changed_s = time.monotonic()
    for second in range(1, FOR_S + 1):
        going = [members.pop(choice.randrange(len(members))) for _ in range(TURNOVER)]
        come_in, _ = await asyncio.gather(
            asyncio.gather(*(come() for _ in range(TURNOVER))),
            asyncio.gather(*(member.leave() for member in going)),
        )
        members += come_in
        gone += going
        changed_s = time.monotonic()
        await asyncio.sleep(max(0.0, began_s + second - time.monotonic()))
    took_s = time.monotonic() - began_s
    frames = sum(len(member.batches()) for member in members + gone) - before
    lists = sum(member.lists() for member in members + gone) - listed
    seen_s = await all_see(changed_s, SOON_S)

    everybody = members + gone
    print(f"{MEMBERS} members, {len(gone)} came and went in {took_s:.1f} s:", end=" ")
    print(f"{frames / took_s:.0f} frames/s, and {lists / took_s:.0f}/s of first lists;", end=" ")
    print(f"all views right {seen_s:.2f} s after the last change")
    assert all(len(set(windows)) == len(windows) for windows in map(Member.batches, everybody))
    assert frames <= (MEMBERS + TURNOVER) * (took_s / WINDOW_S + 1)
    assert lists <= TURNOVER * FOR_S * PAGES, "who comes is told the room once"
    assert frames >= MEMBERS * (took_s / WINDOW_S - 2), "there was a change in each window"
    await asyncio.gather(*(member.leave() for member in members))

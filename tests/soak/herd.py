"""A herd: many members of one edge, in one process, that leave and come back together."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass

from tests.soak.member import Member, Tally

IN_S = 240.0


@dataclass(frozen=True)
class Plan:
    """Members and their rooms; `seed` says who is where and comes when."""

    token: str
    rooms: int
    rooms_each: int = 1
    seed: int = 1

    @property
    def names(self) -> list[str]:
        """The rooms."""
        return [f"herd:{number}" for number in range(self.rooms)]


class Herd:
    """Members `first` to `first + count` of a plan."""

    def __init__(self, plan: Plan, first: int, count: int) -> None:
        self.tally = Tally()
        self._dice = random.Random(plan.seed + first)
        names = plan.names
        self.members = [
            Member(
                plan.token,
                [names[(one + step * 7) % len(names)] for step in range(plan.rooms_each)],
                self.tally,
            )
            for one in range(first, first + count)
        ]

    async def come(self, url: str, spread_s: float) -> None:
        """All connect (again), each at some time within `spread_s`.

        Raises:
            TimeoutError: some did not get in.
        """
        async with asyncio.timeout(spread_s + IN_S):
            await asyncio.gather(
                *(member.come(url, self._dice.uniform(0, spread_s)) for member in self.members)
            )

    async def go(self) -> None:
        """All connections are cut."""
        await asyncio.gather(*(member.go() for member in self.members))

    def behind(self, said: Mapping[tuple[str, str], int]) -> int:
        """How many events the members still lack of what was said: (room, origin) -> how many."""
        return sum(
            max(count - member.next.get((room, origin), 0), 0)
            for member in self.members
            for (room, origin), count in said.items()
            if room in member.rooms
        )

    async def caught_up(self, said: Mapping[tuple[str, str], int]) -> int:
        """Wait until nobody lacks anything; how many events are lacking when the time is up."""
        deadline = asyncio.get_running_loop().time() + IN_S
        while (lacking := self.behind(said)) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
        return lacking

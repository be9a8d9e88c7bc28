"""What a herd misses: numbers said in every room, from several regions."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType

from relay.client import Client, connect
from tests.raw import token
from tests.world import World

AT_ONCE = 32
_PAD = "x" * 160


class Talk:
    """Talkers, one in each region: `async with Talk(world, {"us": url, …}) as talk`."""

    def __init__(self, world: World, urls: dict[str, str]) -> None:
        self._world = world
        self._urls = urls
        self._stack = AsyncExitStack()
        self._clients: dict[str, Client] = {}
        self.said: Counter[tuple[str, str]] = Counter()  # (room, origin) -> how many

    async def __aenter__(self) -> "Talk":
        for origin, url in self._urls.items():
            self._clients[origin] = await self._stack.enter_async_context(
                connect(url, token=token(self._world, f"talker-{origin}"), listen=False)
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    async def say(self, rooms: Sequence[str], times: int) -> None:
        """Say `times` numbers in each room, in each region; returns when all are stored."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def in_room(origin: str, room: str) -> None:
            for _ in range(times):
                async with slots:
                    ack = await self._clients[origin].publish(
                        room, {"n": self.said[room, origin], "pad": _PAD}
                    )
                assert ack.origin == origin
                self.said[room, origin] += 1

        await asyncio.gather(*(in_room(origin, room) for origin in self._clients for room in rooms))

"""An operator at a world: `jetrelay ctl` as a process, the books, and clients that watch."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from regions.operations.book import Book
from regions.operations.station import open_stations
from regions.stats.reading import open_past
from relay.client import Client, Message, connect
from relay.core.orders import Order
from relay.tasks import Tasks
from tests.places import three
from tests.raw import token
from tests.ready import serving
from tests.world import World

TOPOLOGY = three(2, 2, 1)
ROOM = "operated"


class Ctl:
    """`jetrelay ctl ARGUMENTS` as a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    async def said(self, text: str) -> str:
        """The first line from here on that has `text` in it."""
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            while line := (await self._process.stdout.readline()).decode():
                self.lines.append(line.rstrip())
                if text in line:
                    return line
        raise AssertionError(f"{text!r} was not said: {self.lines}")

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def end(self) -> tuple[int, str]:
        """Its exit code, and all that it said."""
        async with asyncio.timeout(60):
            out, err = await self._process.communicate()
        self.lines += out.decode().splitlines()
        code = self._process.returncode
        assert code is not None
        return code, "\n".join(self.lines) + err.decode()


async def begin(world: World, *arguments: str) -> Ctl:
    program = str(Path(sys.executable).with_name("jetrelay"))
    state = ("--state", str(world.state_dir))
    return Ctl(
        await asyncio.create_subprocess_exec(
            program, "ctl", *arguments, *state,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    )  # fmt: skip


async def ctl(world: World, code: int, *arguments: str) -> str:
    """What a command said that ends with this exit code."""
    ended, said = await (await begin(world, *arguments)).end()
    assert ended == code, said
    return said


@asynccontextmanager
async def books(world: World) -> AsyncIterator[Book]:
    """All books, without a command."""
    async with open_stations(world.found().doors("control")) as stations:
        book = Book(stations, list(world.regions))
        await book.set_clock()
        yield book


async def orders(world: World) -> dict[str, Order]:
    """What is wanted, by scope."""
    async with books(world) as book:
        return {str(order.scope): order for order in await book.orders() if not order.idle}


async def open_all(world: World) -> None:
    """Nothing is wanted of anybody any more."""
    async with books(world) as book:
        for order in [each for each in await book.orders() if not each.idle]:
            at_ms = book.stamp_ms(order.at_ms)
            await book.give(Order(region=order.region, edge=order.edge, at_ms=at_ms, by="the test"))
    for edge in world.edges:
        await serving(world, edge)
    # Plans are made from what edges say of themselves, once a second.
    async with open_past(world.found().doors("console")) as past, asyncio.timeout(30):
        while True:
            frames = await past.newest_frames()
            if {each.frame.edge for each in frames if each.frame.state == "ready"} == {
                *world.edges
            }:
                return
            await asyncio.sleep(0.1)


async def readiness(world: World, edge: str) -> tuple[int, str]:
    """What `/readyz` says: its status, and why."""
    url = f"{world.edges[edge].http}/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        body = await answer.json()
    return answer.status, body.get("error", {}).get("message", "")


class Crowd:
    """Clients in a room, one of which publishes numbers; what each of them got."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.got: list[list[tuple[str, int]]] = []  # of each: origin and number, as they came
        self.published = 0
        self._tasks = Tasks("crowd")
        self._stop = False

    async def _listen(self, client: Client, got: list[tuple[str, int]]) -> None:
        async for event in client:
            if isinstance(event, Message):
                got += [(event.origin, int(event.data))]

    async def _publish(self, client: Client) -> None:
        while not self._stop:
            await client.publish(ROOM, self.published)
            self.published += 1
            await asyncio.sleep(0.02)

    @classmethod
    @asynccontextmanager
    async def at(cls, world: World, edges: tuple[str, ...], each: int) -> AsyncIterator["Crowd"]:
        """So many clients at each of these edges."""
        crowd = cls()
        async with AsyncExitStack() as stack:
            for number in range(each * len(edges)):
                url = world.edges[edges[number % len(edges)]].url
                client = await stack.enter_async_context(
                    connect(
                        [url], token=token(world, f"user{number}"), rooms=[ROOM],
                        home_after_s=1.0,
                    )
                )  # fmt: skip
                crowd.clients.append(client)
                crowd.got.append([])
                crowd._tasks.spawn(crowd._listen(client, crowd.got[-1]), "listen")
            await asyncio.sleep(1.2)  # each edge says once a second how many it has
            publishing = crowd._tasks.spawn(crowd._publish(crowd.clients[0]), "publish")
            yield crowd
            crowd._stop = True
            await publishing
            async with asyncio.timeout(10):
                while any(len(got) < crowd.published for got in crowd.got):
                    await asyncio.sleep(0.05)
            await crowd._tasks.close()
        for got in crowd.got:
            assert sorted(n for _, n in got) == list(range(crowd.published)), "all, once"
            for origin in world.regions:
                there = [n for where, n in got if where == origin]
                assert there == sorted(there), "in order, from each origin"

    def regions(self) -> set[str | None]:
        """Where they are."""
        return {client.region for client in self.clients}

    async def arrive(self, *regions: str) -> None:
        """Wait until all are in these regions."""
        async with asyncio.timeout(30):
            while not self.regions() <= set(regions):
                await asyncio.sleep(0.1)

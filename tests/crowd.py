"""People in every region: some talk, some listen, and what each of them has."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise

from relay.client import Ack, Client, Gap, Lost, Message, Resumed, RoomRefused, Signal, connect
from tests.copies import Stored
from tests.raw import token
from tests.world import World

ROOMS = tuple(f"crowd:{number}" for number in range(5))
PAUSE_S = 0.02  # between two publishes of one talker


@dataclass
class Talker:
    """Somebody who says numbers, in one room after the other."""

    client: Client
    acks: list[Ack] = field(default_factory=list)
    acked_s: list[float] = field(default_factory=list)  # when each ACK came

    async def talk(self, quiet: asyncio.Event) -> None:
        """Publish until `quiet` is set."""
        for number in count():
            if quiet.is_set():
                return
            ack = await self.client.publish(ROOMS[number % len(ROOMS)], number)
            self.acks.append(ack)
            self.acked_s.append(time.monotonic())
            await asyncio.sleep(PAUSE_S)

    async def more(self, more: int, timeout_s: float) -> None:
        """Wait until `more` further publishes are acknowledged."""
        wanted = len(self.acks) + more
        await until(lambda: len(self.acks) >= wanted, timeout_s, "acknowledged publishes")

    def longest_silence_s(self, since_s: float) -> float:
        """The longest time without an ACK since then."""
        times = [since_s, *(at for at in self.acked_s if at >= since_s)]
        return max(later - earlier for earlier, later in pairwise(times))


@dataclass
class Listener:
    """Somebody who hears every room, and keeps what came in the order in which it came."""

    client: Client
    heard: list[Message] = field(default_factory=list)
    resumed: list[Resumed] = field(default_factory=list)
    wrong: list[object] = field(default_factory=list)  # gaps, lost sessions
    seqs: dict[str, int] = field(default_factory=dict)

    async def listen(self) -> None:
        """Hear until the client is closed."""
        async for event in self.client:
            match event:
                case Message():
                    self.heard.append(event)
                    self.seqs[event.origin] = event.seq
                case Resumed():
                    self.resumed.append(event)
                case Gap() | Lost() | RoomRefused() | Signal():
                    self.wrong.append(event)

    def of(self, origin: str) -> list[Message]:
        """What came of one origin."""
        return [message for message in self.heard if message.origin == origin]

    async def drop(self) -> None:
        """Break the connection; returns when the session has gone on over another one."""
        wanted = len(self.resumed) + 1
        assert self.client._connection is not None
        self.client._connection._socket.transport.abort()
        await until(lambda: len(self.resumed) >= wanted, 15, "a resumed session")


async def until(fits: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait until `fits`."""
    deadline = time.monotonic() + timeout_s
    while not fits():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        await asyncio.sleep(0.02)


@dataclass
class Crowd:
    """A talker and a listener in each region, and one more listener to be dropped."""

    talkers: dict[str, Talker]
    talks: list[asyncio.Task[None]]
    listeners: dict[str, Listener]
    roamer: Listener
    quiet: asyncio.Event

    @property
    def ears(self) -> list[Listener]:
        """All who listen."""
        return [*self.listeners.values(), self.roamer]

    @property
    def acked(self) -> dict[str, int]:
        """How many publishes of each region's talker are acknowledged."""
        return {region: len(talker.acks) for region, talker in self.talkers.items()}

    @property
    def said(self) -> dict[str, int]:
        """The sequence of each region's newest acknowledged publish."""
        return {region: talker.acks[-1].seq or 0 for region, talker in self.talkers.items()}

    async def hush(self) -> None:
        """Let the talkers end, with an answer to all they said."""
        self.quiet.set()
        async with asyncio.timeout(30):
            await asyncio.gather(*self.talks)

    async def all_heard(self, said: dict[str, int], timeout_s: float) -> float:
        """Wait until everybody has heard each origin up to these sequences; how long it took."""
        began_s = time.monotonic()

        def missing() -> list[str | None]:
            return [
                ear.client.user
                for ear in self.ears
                if any(ear.seqs.get(origin, 0) < seq for origin, seq in said.items())
            ]

        while missing():
            assert time.monotonic() < began_s + timeout_s, f"{missing()} lack some of {said}"
            await asyncio.sleep(0.02)
        return time.monotonic() - began_s

    def check(self, events: dict[str, Stored]) -> None:
        """All that was acknowledged is stored once, and was heard by everybody once, in order."""
        for region, talker in self.talkers.items():
            check_acknowledged(talker, events[region])
        for listener in self.ears:
            check_heard(listener, self.talkers)


@asynccontextmanager
async def crowd(world: World, regions: Sequence[str], roamer_region: str) -> AsyncIterator[Crowd]:
    """Talkers talk and listeners hear, until the block ends."""
    async with AsyncExitStack() as stack:

        async def enter(region: str, user: str, *, listen: bool) -> Client:
            urls = [edge.url for edge in world.regions[region].edges]
            return await stack.enter_async_context(
                connect(
                    urls, token=token(world, user), rooms=ROOMS if listen else (),
                    listen=listen, states=True, home_after_s=3_600,
                )
            )  # fmt: skip

        listeners = {
            region: Listener(await enter(region, f"listener-{region}", listen=True))
            for region in regions
        }
        roamer = Listener(await enter(roamer_region, "roamer", listen=True))
        talkers = {
            region: Talker(await enter(region, f"talker-{region}", listen=False))
            for region in regions
        }
        quiet = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            hearing = [group.create_task(one.listen()) for one in (*listeners.values(), roamer)]
            talks = [group.create_task(talker.talk(quiet)) for talker in talkers.values()]
            try:
                yield Crowd(talkers, talks, listeners, roamer, quiet)
            finally:
                for task in (*hearing, *talks):
                    task.cancel()


def check_acknowledged(talker: Talker, home: Stored) -> None:
    """What was acknowledged is stored, once, in the order in which it was said."""
    assert [ack.origin for ack in talker.acks] == [talker.client.region] * len(talker.acks)
    said = [ack.seq for ack in talker.acks if ack.seq is not None]
    assert said == sorted(set(said))
    assert len(said) == len(talker.acks)
    for number, seq in enumerate(said):
        assert home[seq][1] == str(number).encode()
    user = talker.client.user
    held = [seq for seq, (headers, _) in home.items() if headers.get("Jr-User") == user]
    assert set(said) <= set(held)
    assert len(held) == len(said), "a publish is stored twice"


def all_heard(listener: Listener) -> set[tuple[str, int]]:
    """The (origin, seq) of all that came."""
    return {(message.origin, message.seq) for message in listener.heard}


def check_heard(listener: Listener, talkers: dict[str, Talker]) -> None:
    """Each event once, in order per origin, none missing; nothing was dropped as a repeat."""
    gaps = [told for told in listener.wrong if isinstance(told, Gap)]
    heard_too = sum((gap.origin, gap.first) in all_heard(listener) for gap in gaps)
    assert not listener.wrong, (
        f"{len(listener.wrong)} such as {listener.wrong[:3]}; {heard_too} of {len(gaps)} gaps "
        "begin with an event that was heard"
    )
    for origin, talker in talkers.items():
        heard = [(message.seq, message.data) for message in listener.of(origin)]
        said = [(ack.seq, number) for number, ack in enumerate(talker.acks)]
        missing = sorted(set(said) - set(heard))
        assert not missing, f"{listener.client.user} lacks {missing[:5]} and so on of {origin}"
        assert heard == said
    assert listener.client.stats.duplicates == 0

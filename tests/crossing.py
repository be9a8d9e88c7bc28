"""What gets from one region to another: requests and messages across their leaf link."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from regions.permissions import User, inbox
from relay.core import names
from tests.world import World


class Crossing:
    """Asks `there` from `here`, and hears in `here` what is said `there`."""

    def __init__(
        self, here: str, there: str, asker: Client, listener: Client, speaker: Client
    ) -> None:
        """`asker` and `listener` are connected to `here`, `speaker` to `there`."""
        self.here, self.there = here, there
        self._asker, self._listener, self._speaker = asker, listener, speaker
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(self) -> None:
        """Hear from now on."""

        async def hear(message: Msg) -> None:
            self._heard.put_nowait(message.data)

        await self._listener.subscribe(names.below("tele", self.there), cb=hear)
        await self._listener.flush()

    async def trip_ms(self, timeout_s: float = 1.0) -> float | None:
        """How long a question to the other region's stream and its answer take; None: for ever."""
        api = f"$JS.{self.there}.API.DIRECT.GET.{names.events_stream(self.there)}"
        began_s = time.monotonic()
        try:
            await self._asker.request(api, b'{"seq":1}', timeout_s)
        except (TimeoutError, NoRespondersError):
            return None
        return (time.monotonic() - began_s) * 1000

    async def is_open(self, within_s: float = 15.0) -> bool:
        """Whether an answer comes, now or soon."""
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            if await self.trip_ms() is not None:
                return True
        return False

    async def hears(self, text: bytes, timeout_s: float = 2.0) -> bool:
        """Whether what is said there, again and again, is heard here."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            await self._speaker.publish(f"tele.{self.there}.test", text)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    while await self._heard.get() != text:
                        pass
                    return True
        return False


@asynccontextmanager
async def crossing(world: World, here: str, there: str) -> AsyncIterator[Crossing]:
    """A crossing between two regions of a world."""
    async with (
        _connected(world, here, "edge") as asker,
        _connected(world, here, "console") as listener,
        _connected(world, there, "edge") as speaker,
    ):
        made = Crossing(here, there, asker, listener, speaker)
        await made.listen()
        yield made


@asynccontextmanager
async def _connected(world: World, region: str, user: User) -> AsyncIterator[Client]:
    config, client = world.nats_config(region, user), Client()
    await client.connect(
        servers=config.servers, user=config.user, password=config.password,
        inbox_prefix=inbox(user),
    )  # fmt: skip
    try:
        yield client
    finally:
        await client.close()

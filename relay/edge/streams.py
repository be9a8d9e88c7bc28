"""The region's streams as they stand: epoch, first and last sequence, kept fresh for resumes."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from relay.bus.copies import Copies
from relay.bus.home import EPOCH
from relay.bus.reader import API, Reader
from relay.bus.records import newest_epochs
from relay.core.copy import Copy
from relay.core.cursor import Position
from relay.core.limits import TokenBucket
from relay.core.names import events_stream
from relay.core.resume import StreamState
from relay.edge import clock
from relay.edge.feeds import RESTART_S
from relay.errors import BusError
from relay.tasks import Tasks

# Looks for those who come back: at once while they are few, and five a second in a herd, all of
# whom wait for the next one.
LOOKS, LOOKS_PER_S = 20, 5.0

_Look = dict[str, Copy] | BusError


class Streams:
    """Asks for the state of every origin's stream."""

    def __init__(
        self, reader: Reader, copies: Copies, region: str, silent_s: Callable[[str], float]
    ) -> None:
        """Ask through `copies`; `silent_s` says for how long an origin was not heard."""
        self._reader = reader
        self._copies = copies
        self._region = region
        self._silent_s = silent_s
        self._tasks = Tasks("streams")
        self._running: asyncio.Task[_Look] | None = None
        self._asking: dict[str, asyncio.Task[Copy]] = {}  # shared by those who ask meanwhile
        self._next: asyncio.Task[_Look] | None = None  # begins when the one that runs is done
        self._pace = TokenBucket.full(LOOKS_PER_S, LOOKS, clock.now().mono_s)
        self._hurry = asyncio.Event()  # somebody waits who is not one of a herd

    async def close(self) -> None:
        """End what is being asked."""
        await self._tasks.close()

    async def epochs(self) -> dict[str, int]:
        """The epoch of every origin's stream, as this region's copies tell it.

        Raises:
            UnavailableError: NATS did not answer.
        """
        found: dict[str, int] = {}
        for origin in self._copies.origins:
            stream = events_stream(origin)
            if origin == self._region:
                found[origin] = int((await self._reader.info(stream)).metadata.get(EPOCH, "1"))
                continue
            found[origin] = await self._copies.epoch_at(origin, API)
        if any(epoch == 1 for epoch in found.values()):
            # A mirror whose origin is long gone holds nothing that says it any more.
            for origin, epoch in (await newest_epochs(self._reader, self._region)).items():
                if origin in found and origin != self._region:
                    found[origin] = max(found[origin], epoch)
        return found

    async def states(
        self, epochs: Mapping[str, int], *, at_once: bool = True
    ) -> Mapping[str, StreamState]:
        """The state of every stream, read after the call was made.

        One look at a time: who asks while one is under way shares the next with all who do.

        Args:
            epochs: of every origin's stream, as the feeds know them.
            at_once: begin as soon as may be; else looks are paced.

        Raises:
            UnavailableError: NATS did not answer.
        """
        if self._next is None:
            self._next = self._tasks.spawn(self._look(self._running), "look")
        if at_once:
            self._hurry.set()
        copies = await asyncio.shield(self._next)
        if isinstance(copies, BusError):
            raise copies
        # A new epoch at home stands in the stream before the feed tells of it.
        known = {**epochs, self._region: max(epochs[self._region], self._copies.home_epoch)}
        return {
            origin: StreamState(
                known[origin],
                copy.oldest,
                copy.last,
                home=origin == self._region,
                gone=self._silent_s(origin) >= RESTART_S,
            )
            for origin, copy in copies.items()
        }

    async def states_since(
        self, epochs: Mapping[str, int], presented: Mapping[str, Position]
    ) -> Mapping[str, StreamState]:
        """The state of every stream, for who has been sent what came before these positions. Many
        may come back at once: looks are paced.

        Only where one lies before all that this region holds is its origin asked what it has. One
        that does not answer, and is not long gone, may be back soon: the state is `unsure` then.

        Raises:
            UnavailableError: this region's NATS did not answer.
        """
        states = dict(await self.states(epochs, at_once=False))
        before = [
            origin
            for origin, position in presented.items()
            if origin in states and position.seq + 1 < self._copies.known(origin).first
        ]
        for origin, copy in zip(before, await asyncio.gather(*map(self._ask, before)), strict=True):
            unsure = copy.origin_first is None and self._silent_s(origin) < RESTART_S
            states[origin] = replace(states[origin], first=copy.oldest, unsure=unsure)
        return states

    async def _ask(self, origin: str) -> Copy:
        asking = self._asking.get(origin)
        if asking is None:
            asking = self._tasks.spawn(self._copies.begins(origin), "begins")
            self._asking[origin] = asking
            asking.add_done_callback(lambda _: self._asking.pop(origin))
        return await asyncio.shield(asking)

    async def _look(self, before: asyncio.Task[_Look] | None) -> _Look:
        if before is not None:
            await asyncio.wait([before])
        await self._turn()
        self._running, self._next = self._next, None
        self._hurry.clear()
        try:
            return await self._copies.look_at_all()
        except BusError as error:
            return error  # for all who wait

    async def _turn(self) -> None:
        """Wait until a look is due, or somebody hurries."""
        while (wait_s := self._pace.take(clock.now().mono_s)) > 0 and not self._hurry.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._hurry.wait()

"""Canaries: what is published through one region's doors, and when it arrives in the others.

Every try of a door publishes to a room that is listened to in all regions. The time between is
measured by one clock, that of this process. The listeners go through public doors as clients do.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import msgspec

from regions.issuer import DOOR_ROOM, DOOR_USER, Issuer
from regions.steering.health import EdgeKey, Flight, Flights, Said, Try
from relay.client import Client, Message, State, connect
from relay.core.grants import Act, RoomGrant
from relay.errors import RelayError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.steering")

TOKEN_S = 3_600
AGAIN_S = 2.0  # after a listener's session ended for good
PAUSE_S = 10.0  # what was said longer ago is another period


class _Note(msgspec.Struct):
    """What a try publishes."""

    by: str
    at_s: float  # monotonic, by the clock of `by`


class Canaries:
    """Listens in every region for what this process's tries publish.

    Args:
        issuer: who makes the tokens.
        urls: where the doors of edges are; of each region there is a listener at one of them.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        issuer: Issuer,
        urls: Mapping[EdgeKey, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._urls: dict[str, list[str]] = {}  # by region
        for edge, url in urls.items():
            self._urls.setdefault(edge.region, []).append(url)
        self._clock = clock
        self._by = secrets.token_hex(8)
        self._tasks = Tasks("canaries")
        self._clients: dict[str, Client] = {}
        self._listening: dict[str, float] = {}
        self._said: dict[str, Said] = {}
        self._arrived: dict[tuple[str, str], Flight] = {}

    async def __aenter__(self) -> "Canaries":
        for region, urls in self._urls.items():
            self._tasks.keep(partial(self._listen, region, urls), f"canary.{region}")
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._tasks.close()

    @property
    def flights(self) -> Flights:
        """What was said and what arrived, as it is now."""
        now_s = self._clock()
        for region in self._urls:
            client = self._clients.get(region)
            # One that its own region has no place for listens in another one.
            if client is not None and client.state is State.READY and client.region == region:
                self._listening.setdefault(region, now_s)
            else:
                self._listening.pop(region, None)
        return Flights(dict(self._listening), dict(self._said), dict(self._arrived))

    def note(self) -> dict[str, Any]:
        """What a try is to publish now."""
        note: dict[str, Any] = msgspec.to_builtins(_Note(self._by, self._clock()))
        return note

    def take(self, tries: Mapping[EdgeKey, Try]) -> None:
        """Doors were gone through, or not: what was said there is to arrive."""
        for key, tried in tries.items():
            if tried.passed:
                self._say(key.region, tried.at_s)

    def _say(self, region: str, at_s: float) -> None:
        known = self._said.get(region)
        fresh = known is None or at_s - known.last_s > PAUSE_S
        since_s = at_s if fresh or known is None else known.since_s
        self._said[region] = Said(since_s, at_s)

    async def settled(self, patience_s: float) -> None:
        """Wait until all that was said has arrived wherever somebody listens, at most so long."""
        deadline_s = self._clock() + patience_s
        while self._clock() < deadline_s:
            flights = self.flights
            pairs = {(one, other) for one in flights.said for other in flights.listening}
            if pairs <= flights.arrived.keys():
                return
            await asyncio.sleep(0.05)

    async def _listen(self, region: str, urls: Sequence[str]) -> None:
        grants = (RoomGrant(DOOR_ROOM, frozenset({Act.SUBSCRIBE}), False),)

        def token() -> str:
            return self._issuer.token(DOOR_USER, grants, TOKEN_S)

        while True:
            try:
                async with connect(urls, token=token, rooms=[DOOR_ROOM]) as client:
                    self._clients[region] = client
                    async for event in client:
                        if isinstance(event, Message) and client.region == region:
                            self._hear(region, event)
            except (OSError, RelayError) as error:
                _log.info("nobody listens in %s: %s", region, error)
            self._clients.pop(region, None)
            await asyncio.sleep(AGAIN_S)

    def _hear(self, region: str, event: Message) -> None:
        try:
            note = msgspec.convert(event.data, _Note)
        except msgspec.ValidationError:
            return  # of somebody else
        if note.by == self._by:
            now_s = self._clock()
            took_ms = max(now_s - note.at_s, 0.0) * 1000
            self._arrived[event.origin, region] = Flight(now_s, took_ms)

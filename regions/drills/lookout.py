"""Watches clients and telemetry while something is broken, and says what is seen first.

Detect, decide, reconnect and converge as they look from outside, while it happens. The exact times,
client by client, come from the ledger afterwards (`phases`).
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from regions.drills.signs import Watchman
from regions.drills.timeline import StageName
from regions.ledger.crowd import Crowd
from regions.ledger.orders import Status

LOOK_S = 0.2
Say = Callable[[StageName, str, float | None], None]


@dataclass(slots=True)
class _Episode:
    """One disturbance."""

    at_s: float
    base: Status
    planned: bool
    healed_s: float | None = None
    said: set[StageName] = field(default_factory=set)


class Lookout:
    """Looks, once told that something was disturbed.

    Args:
        crowd: the clients.
        watchman: who hears the telemetry.
        say: called with each finding: what, and how long after the disturbance.
    """

    def __init__(self, crowd: Crowd, watchman: Watchman, say: Say) -> None:
        self._crowd = crowd
        self._watchman = watchman
        self._say = say
        self._episode: _Episode | None = None
        self.moved = 0  # the most clients that were in another region than their home

    async def begin(self, *, planned: bool = False) -> None:
        """Something is about to be disturbed; `planned`: clients are asked to move."""
        self._watchman.remember()
        self._episode = _Episode(_now(), await self._crowd.status(), planned)

    def disturbed(self, at_s: float) -> None:
        """It is, since then."""
        if self._episode is not None:
            self._episode.at_s = at_s

    def healed(self, at_s: float) -> None:
        """It is over, since then."""
        if self._episode is not None:
            self._episode.healed_s = at_s

    async def rest(self, seconds: float) -> None:
        """Look for so long."""
        deadline_s = _now() + seconds
        while (left_s := deadline_s - _now()) > 0:
            await self.look()
            await asyncio.sleep(min(LOOK_S, max(0.0, left_s)))

    async def recover(self, timeout_s: float) -> str | None:
        """Look until every client is connected and every mirror current; else what is not."""
        begin_s = _now()
        while True:
            status = await self.look()
            why = None
            if status.ready < status.clients - status.ended:
                why = f"{status.clients - status.ended - status.ready} clients are not connected"
            why = why or self._watchman.unwell(_now(), begin_s)
            if why is None:
                break
            if _now() - begin_s > timeout_s:
                return why
            await asyncio.sleep(LOOK_S)
        episode = self._episode
        if episode is not None:
            text = "every client connected, every mirror current"
            if episode.healed_s is not None:
                text += ", since healing"
            since_s = episode.at_s if episode.healed_s is None else episode.healed_s
            self._say("converge", text, _now() - since_s)
            self._episode = None
        return None

    async def home(self, timeout_s: float) -> str | None:
        """Look until every client is in its home region; what is not, in the end."""
        begin_s = _now()
        while True:
            status = await self.look()
            if status.ready == status.clients - status.ended and not status.away:
                self._say("home", "every client is in its home region", _now() - begin_s)
                return None
            if _now() - begin_s > timeout_s:
                return f"{status.away} clients are away from home"
            await asyncio.sleep(LOOK_S)

    async def look(self) -> Status:
        """Look once."""
        status = await self._crowd.status()
        self.moved = max(self.moved, status.away)
        episode = self._episode
        if episode is None:
            return status
        downs = status.downs - episode.base.downs
        tries = status.tries - episode.base.tries
        signs = self._watchman.signs(_now())
        if downs or signs:
            what = f"{_clients(downs)} lost the connection" if downs else signs[0]
            self._first("detect", what)
        if tries > 0:
            self._first("decide", f"{_clients(tries)} chose where to go")
        moving = episode.planned and episode.healed_s is None  # they go one after the other
        if downs and not moving and status.ready == status.clients - status.ended:
            where = f", {status.away} of all in another region" if status.away else ""
            self._first("reconnect", f"{_clients(downs)} back{where}")
        return status

    def _first(self, name: StageName, text: str) -> None:
        assert self._episode is not None
        if name not in self._episode.said:
            self._episode.said.add(name)
            self._say(name, text, self._since())

    def _since(self) -> float:
        assert self._episode is not None
        return max(0.0, _now() - self._episode.at_s)


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def _now() -> float:
    return time.monotonic()

"""Somebody who looks at rooms, and writes down what he is told."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

from websockets.exceptions import WebSocketException

from relay.core.log import session_key
from tests.churn.crowd import Entry
from tests.churn.judge import Seen
from tests.raw import ClosedError, Payload, Raw
from tests.views import looking

AGAIN_S = 0.5
BEAT_S, SILENT_S = 3.0, 9.0


class Viewer:
    """Looks at rooms from one edge; when that goes away, from the next.

    Args:
        number: below zero.
        urls: of edges, best first.
        token: with which it looks.
        rooms: at which.
    """

    def __init__(self, number: int, urls: Sequence[str], token: str, rooms: Sequence[str]) -> None:
        self._number = number
        self._urls = list(urls)
        self._token = token
        self.rooms = list(rooms)
        self.seen: dict[str, list[Seen]] = {room: [] for room in rooms}
        self.frames = 0
        self.ledger: list[Entry] = []
        self.at: list[tuple[float, str]] = []  # since when it looks from where
        self.downs: list[tuple[float, float]] = []  # without a connection
        self._shown: dict[str, set[int]] = {room: set() for room in rooms}

    async def look(self) -> None:
        """For ever."""
        while True:
            with contextlib.suppress(
                OSError, ClosedError, TimeoutError, AssertionError, WebSocketException
            ):
                async with Raw(self._urls[0]) as raw:
                    ready = await raw.identify(self._token, *map(looking, self.rooms))
                    key = session_key(ready["d"]["session_id"]).hex()
                    self.at.append((time.time(), self._urls[0]))
                    if self.downs:
                        self.downs[-1] = (self.downs[-1][0], time.time())
                    self.ledger.append(Entry(time.time(), self._number, 1, "open", key))
                    beating = asyncio.get_running_loop().create_task(self._beat(raw))
                    try:
                        while True:
                            self._take(await raw.receive(timeout_s=SILENT_S))
                            raw.seen.clear()
                    finally:
                        self.downs.append((time.time(), time.time() + 3600))
                        self.ledger.append(Entry(time.time(), self._number, -1, "lost", key))
                        beating.cancel()
            self._urls.append(self._urls.pop(0))
            await asyncio.sleep(AGAIN_S)

    async def _beat(self, raw: Raw) -> None:
        with contextlib.suppress(WebSocketException, OSError):
            while True:
                await asyncio.sleep(BEAT_S)
                await raw.send(1, None)

    def _take(self, payload: Payload) -> None:
        if payload["t"] != "PRESENCE_BATCH":
            return
        d, now_s = payload["d"], time.time()
        room = d["room"]
        self.frames += 1
        shown = self._shown[room]
        here = {int(user[1:]) for user in d["online"] if user[1:].isdigit()}
        gone = {int(user[1:]) for user in d["offline"] if user[1:].isdigit()}
        if d.get("first") and d["page"] == 1:
            gone |= shown - here
        for user in sorted(here - shown):
            self.seen[room].append(Seen(now_s, user, online=True))
        for user in sorted(gone & shown):
            self.seen[room].append(Seen(now_s, user, online=False))
        shown |= here
        shown -= gone

"""What a client was told of who is in a room."""

import asyncio
import time
from typing import Any

from tests.raw import Raw

SOON_S = 4.0  # from a change to every viewer
LEEWAY_S = 2.0  # for a busy machine


def looking(room: str) -> dict[str, Any]:
    """A room in IDENTIFY or SUBSCRIBE, of which who is there is told."""
    return {"room": room, "presence": True}


class View:
    """What one client was told of a room, frame by frame."""

    def __init__(self, raw: Raw, room: str) -> None:
        self.raw = raw
        self.room = room
        self.online: dict[str, str] = {}
        self.custom: dict[str, Any] = {}
        self.total = 0
        self.frames: list[dict[str, Any]] = []
        self._read = 0

    def catch_up(self) -> None:
        """Take in what has come."""
        for payload in self.raw.seen[self._read :]:
            if payload["t"] == "PRESENCE_BATCH" and payload["d"]["room"] == self.room:
                self._take(payload["d"])
        self._read = len(self.raw.seen)

    def _take(self, d: dict[str, Any]) -> None:
        if d.get("first") and d["page"] == 1:
            self.online.clear()
        self.frames.append(d)
        for user, status in d["online"].items():
            self.online[user] = status
            self.custom.pop(user, None)
        self.custom |= d.get("custom", {})
        for user in d["offline"]:
            self.online.pop(user, None)
            self.custom.pop(user, None)
        self.total = d["total"]

    async def until(self, online: dict[str, str], within_s: float = SOON_S + LEEWAY_S) -> float:
        """Read until the view is this; the seconds it took."""
        began_s = time.monotonic()
        while True:
            self.catch_up()
            if self.online == online:
                assert self.total == len(online)
                return time.monotonic() - began_s
            left_s = within_s - (time.monotonic() - began_s)
            assert left_s > 0, (self.online, online, self.frames)
            await self.read_for(min(left_s, 0.2))

    async def read_for(self, seconds: float) -> None:
        """Let come what comes."""
        try:
            async with asyncio.timeout(seconds):
                await self.raw.until(lambda _payload: False, timeout_s=60)
        except TimeoutError:
            pass
        self.catch_up()

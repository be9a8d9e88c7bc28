"""A client that is in rooms, and checks what it hears there."""

import time
from collections.abc import Sequence

from regions.swarm.client import Client, Ground, Payload, Phase
from regions.swarm.figures import (
    BYTES,
    DECLARED,
    DELIVERED,
    DELIVERY,
    LOOKED_INTO,
    MISSING,
    REPEATED,
)
from regions.swarm.line import Line
from regions.swarm.orders import Spoken
from relay.core.codes import EventName

REPLAY = "replay"  # what comes with a RESUME: its time is that of the outage


class Listener(Client):
    """One who listens.

    Args:
        ground, user, urls, rooms: as of any client.
        ears: whether it looks into each event; else it counts frames, at a fraction of the cost.
        slow: whether it hardly reads.
    """

    __slots__ = ("_heard", "ears", "slow")

    def __init__(
        self,
        ground: Ground,
        user: str,
        urls: Sequence[str],
        rooms: Sequence[str],
        *,
        ears: bool,
        slow: bool,
    ) -> None:
        super().__init__(ground, user, urls, rooms)
        self.ears = ears and not slow
        self.slow = slow
        # (room, voice) -> which of its events came last
        self._heard: dict[tuple[str, str], int] = {}

    def heard(self, line: Line, body: bytes) -> None:
        """A message came."""
        coding = self.ground.coding
        if (
            not self.ears
            and self.phase is Phase.LIVE
            and body.startswith(coding.dispatch, coding.dispatch_at)
            and line is self._line
        ):
            counts = self.ground.tally.counts
            counts[DELIVERED] += 1
            counts[BYTES] += len(body)
            self._newest = body
            return
        self.ground.tally.counts[BYTES] += len(body)
        super().heard(line, body)

    def event(self, payload: Payload) -> None:
        """A DISPATCH of the session."""
        counts = self.ground.tally.counts
        if payload.t == EventName.GAP:
            counts[DECLARED] += 1
            self._heard.clear()  # it does not say which voices' events are in it
            return
        if payload.t != EventName.MESSAGE:
            return
        counts[DELIVERED] += 1
        if not self.ears:
            return
        counts[LOOKED_INTO] += 1
        message = self.ground.coding.message(payload.d)
        said = message.data
        place = (message.room, said.v)
        before = self._heard.get(place)
        if before is not None and said.n != before + 1:
            if said.n <= before:
                counts[REPEATED] += 1
                return
            counts[MISSING] += said.n - before - 1
        self._heard[place] = said.n
        name = f"{DELIVERY} {message.origin}>{self.region}"
        if self.phase is not Phase.LIVE:
            name = REPLAY
        self.ground.tally.time(name).add((time.monotonic_ns() - said.t) // 1000)

    def unheard(self) -> None:
        """The session was lost: what came meanwhile does not come."""
        self._heard.clear()

    def forget(self) -> None:
        """The session is over."""
        super().forget()
        self._heard.clear()

    def short_of(self, spoken: Spoken) -> int:
        """How many events it should have of these voices, and does not."""
        if not self.ears or self.phase is not Phase.LIVE:
            return 0
        return sum(
            max(spoken.get(voice, {}).get(room, 0) - last, 0)
            for (room, voice), last in self._heard.items()
        )

"""Stops what feeds a mirror, so that nothing in NATS looks wrong.

The mirror's durable consumer at the origin is paused: it delivers no event, and its heartbeats go
on. So the mirror says lag 0, active within a second, no error, and stands still.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from regions.jetstream import JetStream
from relay.config import NatsConfig
from relay.core import names
from relay.errors import RelayError
from relay.tasks import Tasks

LEASE_S = 15.0  # a supervisor that is killed leaves no wedge behind for longer
RENEW_S = 4.0


class Wedge:
    """One mirror of a region's events that is not fed."""

    def __init__(self, origin: str, region: str, nats: NatsConfig) -> None:
        """`nats`: the origin's, as user `control`."""
        self._origin = origin
        self._stream = names.events_stream(origin)
        self._consumer = names.mirror_consumer(self._stream, region)
        self._nats = nats
        self._tasks = Tasks("wedge")

    async def begin(self) -> None:
        """Pause the consumer, and keep it paused.

        Raises:
            RelayError: the origin does not answer.
        """
        await self._pause(LEASE_S)
        self._tasks.spawn(self._renew(), "renew")

    async def end(self) -> None:
        """Let it deliver again.

        Raises:
            RelayError: the origin does not answer; it delivers again after `LEASE_S`.
        """
        await self._tasks.close()
        await self._pause(0.0)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._pause(LEASE_S)
            except RelayError:
                continue  # the origin is down: it delivers nothing anyway

    async def _pause(self, for_s: float) -> None:
        js = await JetStream.connect(self._origin, self._nats)
        try:
            until = datetime.now(UTC) + timedelta(seconds=for_s)
            await js.pause_consumer(self._stream, self._consumer, until if for_s else None)
        finally:
            await js.close()

"""The loop that keeps the streams of a running world as declared."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from regions.apply import Report, apply, silent_mirrors
from regions.topology import Topology
from relay.config import NatsConfig

_log = logging.getLogger("jetrelay.keeper")

EVERY_S = 3.0


class StreamKeeper:
    """Applies the table again after each start of a nats-server, and every 3 s.

    A nats-server that stands alone forgets its streams in memory when it restarts, and a mirror
    may have skipped events when its link came back.

    Args:
        topology: the world.
        nats: region -> how to reach it.
        tell: hears what was changed, and failures.
        keep: a directory for what only a diverged mirror holds.
        only: the region whose streams are kept; None: every one's. Two keepers must not keep the
            same ones.
    """

    def __init__(
        self,
        topology: Topology,
        nats: Mapping[str, NatsConfig],
        tell: Callable[[Report], None],
        keep: Path | None = None,
        only: str | None = None,
    ) -> None:
        self._topology = topology
        self._nats = nats
        self._tell = tell
        self._keep = keep
        self._only = only
        self._due = asyncio.Event()
        self._last_failures: list[str] = []
        self.rounds = 0  # that ended
        self.errors = 0  # rounds that ended with an error that nobody foresaw

    def hurry(self) -> None:
        """Apply soon: a nats-server came up."""
        self._due.set()

    async def settle(self, timeout_s: float) -> Report:
        """Apply until everything is as declared, or time is over; the last round's report."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            report = await apply(self._topology, self._nats, self._keep, self._only)
            if not report.failures or asyncio.get_running_loop().time() > deadline:
                return report
            await asyncio.sleep(0.25)

    async def mirrors_heard(self, timeout_s: float) -> list[str]:
        """Wait until every mirror has heard of its origin; those that have not in time."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            silent = await silent_mirrors(self._topology, self._nats)
            if not silent or asyncio.get_running_loop().time() > deadline:
                return silent
            await asyncio.sleep(0.25)

    async def run(self) -> None:
        """Keep on; tells what was changed, and failures when they are others than before."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._due.wait()
            self._due.clear()
            try:
                await self._round()
            except Exception:
                # A mirror that is not filled anew any more loses events: the next round goes on.
                self.errors += 1
                _log.exception("the streams could not be looked after")

    async def _round(self) -> None:
        report = await apply(self._topology, self._nats, self._keep, self._only)
        self.rounds += 1
        failures = [failure.error for failure in report.failures]
        if report.changes or failures != self._last_failures:
            self._tell(report)
        self._last_failures = failures

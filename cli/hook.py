"""Telling the outside of alerts: an HTTP POST of JSON, again until it is taken."""

import asyncio
import logging
import time
from collections.abc import Sequence

import aiohttp
import msgspec

from regions.news import AlertNews
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.hook")

PATIENCE_S = 10.0  # of one attempt
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)  # between attempts; the last one goes on
AGAIN_S = 4 * 3600.0  # what fires for that long is told again, unless somebody looks after it
MOST = 500  # alerts that were told and may have to be taken back
# Who takes over says as well what was over so shortly before: the one before may have told of it
# while it fired, and died.
HANDOVER_S = 30.0

Key = tuple[str, str]


class Told(msgspec.Struct, frozen=True):
    """The body of a request."""

    version: int
    by: str  # the keeper's region
    status: str  # firing | resolved
    alerts: list[AlertNews]


class Hook:
    """Posts what fires, and what is over, to one address.

    What can't be delivered is tried again; meanwhile the newest state is what is told: an alert
    that came and went while nobody answered is not.

    Args:
        url: where to.
        by: the keeper's region.
    """

    def __init__(self, url: str, by: str) -> None:
        self._url = url
        self._by = by
        self._tasks = Tasks("hook")
        self._firing: dict[Key, AlertNews] = {}
        self._told: dict[Key, tuple[float, AlertNews]] = {}  # when, monotonic
        self._ended: dict[Key, tuple[float, AlertNews]] = {}  # likewise, a while ago
        self._chief = False
        self._fails = False
        self._due = asyncio.Event()
        self.delivered = 0
        self.failed = 0  # attempts

    def start(self) -> None:
        """Begin, and go on until it is closed."""
        self._tasks.keep(self._run, "post")

    async def close(self) -> None:
        """Tell no more."""
        await self._tasks.close()

    @property
    def works(self) -> bool:
        """Whether what was told last was taken."""
        return not self._fails

    def stand(self, standing: Sequence[AlertNews], *, chief: bool) -> None:
        """The alerts that stand now, as any keeper sees it.

        Args:
            standing: they.
            chief: whether it is this keeper that tells what begins. What it told itself, it takes
                back in any case.
        """
        now_s, before = time.monotonic(), self._firing
        self._firing = {(a.name, a.on): a for a in standing if a.state == "firing"}
        self._ended |= {key: (now_s, each) for key, each in before.items()}
        self._ended = {
            key: told
            for key, told in self._ended.items()
            if key not in self._firing and now_s - told[0] <= HANDOVER_S
        }
        if chief and not self._chief:
            self._told = self._ended | self._told
        self._chief = chief
        if self._new() or self._over():
            self._due.set()

    def _new(self) -> list[AlertNews]:
        if not self._chief:
            return []
        now_s = time.monotonic()
        return [
            alert
            for key, alert in self._firing.items()
            if key not in self._told
            or (now_s - self._told[key][0] > AGAIN_S and not alert.acked_by)
        ]

    def _over(self) -> list[AlertNews]:
        return [
            msgspec.structs.replace(alert, state="resolved")
            for key, (_, alert) in self._told.items()
            if key not in self._firing
        ]

    async def _run(self) -> None:
        failures = 0
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S), trust_env=True
        ) as session:
            while True:
                await self._due.wait()
                self._due.clear()
                told = [
                    await self._post(session, status, alerts)
                    for status, alerts in (("firing", self._new()), ("resolved", self._over()))
                    if alerts
                ]
                if all(told):
                    failures = 0
                    continue
                self._due.set()
                await asyncio.sleep(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
                failures += 1

    async def _post(
        self, session: aiohttp.ClientSession, status: str, alerts: list[AlertNews]
    ) -> bool:
        body = msgspec.json.encode(Told(1, self._by, status, alerts))
        headers = {"Content-Type": "application/json"}
        try:
            async with session.post(self._url, data=body, headers=headers) as answer:
                taken = answer.status < 300
                why = f"HTTP {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            taken, why = False, str(error) or type(error).__name__
        self._fails = not taken
        if not taken:
            self.failed += 1
            _log.warning("alerts are not taken: %s", why)
            return False
        self.delivered += len(alerts)
        for alert in alerts:
            key = alert.name, alert.on
            if status == "firing" and len(self._told) < MOST:
                self._told[key] = time.monotonic(), alert
            elif status == "resolved":
                self._told.pop(key, None)
                self._ended.pop(key, None)
        return True

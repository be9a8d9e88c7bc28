"""Tells all consoles what a drill does: each stage, and how it ended."""

import time
from collections.abc import Mapping

from regions.drills.timeline import Stage
from regions.herald import Herald
from regions.news import DrillNews
from relay.config import NatsConfig

LAST_S = 3.0  # in which the last word is told, or not


class Crier:
    """Tells of one drill. What can't be told is no reason to end it.

    Args:
        nats: region -> how to reach it as `control`.
        run: the drill's run.
        drill: its name.
        by: who runs it.
    """

    def __init__(self, nats: Mapping[str, NatsConfig], run: str, drill: str, by: str) -> None:
        self._nats = nats
        self._run = run
        self._drill = drill
        self._by = by
        self._number = 0
        self._at_s = 0.0
        self._herald: Herald | None = None
        self._late: list[DrillNews] = []  # stages that were over while nothing was told

    def start(self) -> None:
        """Begin to tell."""
        self._herald = self._made()

    async def close(self) -> None:
        """Tell no more, for now."""
        if self._herald is not None:
            await self._herald.delivered(LAST_S)
            await self._herald.close()
            self._herald = None

    def say(self, stage: Stage) -> None:
        """A stage is over, or something was seen."""
        self._at_s = stage.at_s
        news = self._news(stage.name, stage.text, stage.took_s)
        if self._herald is not None:
            self._herald.say(news)
        else:
            self._late.append(news)

    async def end(self, word: str, text: str, report: str) -> None:
        """How it ended, in one word; why; and where its report is."""
        herald = self._made()
        try:
            for news in (*self._late, self._news("end", text, None, word, report)):
                herald.say(news)
            await herald.delivered(LAST_S)
        finally:
            await herald.close()

    def _made(self) -> Herald:
        herald = Herald(self._nats, lambda: (), streams=False)
        herald.start()
        return herald

    def _news(
        self, stage: str, text: str, took_s: float | None, word: str = "", report: str = ""
    ) -> DrillNews:
        self._number += 1
        return DrillNews(
            at_ms=int(time.time() * 1000),
            run=self._run,
            drill=self._drill,
            by=self._by,
            number=self._number,
            stage=stage,
            at_s=self._at_s,
            text=text,
            took_s=took_s,
            word=word,
            report=report,
        )

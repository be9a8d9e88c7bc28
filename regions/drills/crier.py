"""Tells all consoles what a drill does: each stage, and how it ended."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from regions.drills.timeline import Stage
from regions.drills.verdict import Verdict
from regions.herald import Herald
from regions.news import BoundNews, DrillNews, FoundNews
from relay.config import NatsConfig

LAST_S = 3.0  # in which the last word is told, or not
TEXT = 1_000  # characters of one text that is told


@dataclass(frozen=True, slots=True)
class About:
    """What is the same in all that is told of a drill."""

    run: str
    drill: str  # its name
    by: str  # who runs it
    why: str
    report: str  # where it will be


class Crier:
    """Tells of one drill. What can't be told is no reason to end it.

    Args:
        nats: region -> how to reach it as `control`.
        about: the drill.
    """

    def __init__(self, nats: Mapping[str, NatsConfig], about: About) -> None:
        self._nats = nats
        self._about = about
        self._number = 0
        self._at_s = 0.0
        self._herald: Herald | None = None
        self._late: list[DrillNews] = []  # stages that were over while nothing was told

    @property
    def began(self) -> bool:
        """Whether anything was told."""
        return self._number > 0

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
        news = self._news(stage.name, stage.text, took_s=stage.took_s)
        if self._herald is not None:
            self._herald.say(news)
        else:
            self._late.append(news)

    async def end(self, word: str, text: str, found: FoundNews | None = None) -> None:
        """How it ended, in one word; why; and what it found, where that was judged."""
        herald = self._made()
        try:
            for news in (*self._late, self._news("end", text, word=word, found=found)):
                herald.say(news)
            await herald.delivered(LAST_S)
        finally:
            await herald.close()

    def _made(self) -> Herald:
        herald = Herald(self._nats, lambda: (), streams=False)
        herald.start()
        return herald

    def _news(
        self,
        stage: str,
        text: str,
        *,
        took_s: float | None = None,
        word: str = "",
        found: FoundNews | None = None,
    ) -> DrillNews:
        self._number += 1
        about = self._about
        return DrillNews(
            at_ms=int(time.time() * 1000),
            run=about.run,
            drill=about.drill,
            by=about.by,
            number=self._number,
            stage=stage,
            at_s=self._at_s,
            text=text[:TEXT],
            took_s=took_s,
            why=about.why[:TEXT],
            word=word,
            report=about.report,
            found=found,
        )


def found_by(verdict: Verdict) -> FoundNews | None:
    """What consoles are told that a drill found; None: it was not judged."""
    if not verdict.judged:
        return None
    phases = verdict.phases
    back = [fault.times.reconnect for fault in verdict.faults if fault.times.reconnect.count]
    return FoundNews(
        clients=verdict.clients,
        lost=verdict.lost + verdict.missing,
        repeated=verdict.repeated,
        detect_s=None if phases is None else phases.detect_s,
        decide_s=None if phases is None else phases.decide_s,
        reconnect_p99_s=round(max(each.p99 for each in back) / 1000, 3) if back else None,
        current_s=None if phases is None else phases.current_s,
        bounds=[
            BoundNews(each.text, each.why or each.said, each.bound, each.met)
            for each in verdict.objectives
        ],
    )

"""A world in which drills are run by a few lines of Python, and what is told of them."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import structs

from regions.drills.catalogue import DRILLS
from regions.drills.prospect import Check, Prospect
from regions.drills.run import Order
from regions.drills.site import Site
from regions.news import BoundNews, DrillNews, FoundNews
from tests.console.scenario import START_MS

# Each is given its report, and says "ready" into its log as soon as it can be interrupted.
_END = """
import json, pathlib, signal, sys
report = pathlib.Path(sys.argv[1])
def end(word, why, code):
    report.mkdir(parents=True)
    verdict = {"drill": "herd", "seed": 1, "verdict": word, "why": why, "started": "", "took_s": 1}
    (report / "verdict.json").write_text(json.dumps(verdict))
    sys.exit(code)
signal.signal(signal.SIGINT, lambda *_: end("interrupted", ["what was broken is healed"], 130))
print("ready", file=sys.stderr, flush=True)
"""
PASSES = _END + "end('pass', [], 0)"
MISSES = _END + "end('missed', ['far too late'], 1)"
WAITS = _END + "sys.stdin.read()"
HEALS = (
    _END
    + """
import time
def heal(*_):
    time.sleep(1)
    end("interrupted", ["what was broken is healed"], 130)
signal.signal(signal.SIGINT, heal)
sys.stdin.read()
"""
)
CANNOT = "import sys; sys.exit('jetrelay: us-1 is starting')"
CRASHES = "import os; os.kill(os.getpid(), 9)"

CUT = "this world's links are direct: start it with `jetrelay up --links relay`"
GOOD = Prospect((Check("the fault can be made in this world"),), "kill eu-1", 12.0, 60.0, False)
BAD = replace(GOOD, checks=(Check("nothing is broken", "something is broken already: kill x"),))


@dataclass(frozen=True, slots=True)
class PlayedSite(Site):
    """One that is played."""

    script: str = PASSES
    prospect: Prospect = GOOD
    why_not: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        return True

    async def hindrances(self) -> Mapping[str, str | None]:
        return {drill.name: self.why_not.get(drill.name) for drill in DRILLS}

    async def look_ahead(self, order: Order) -> Prospect:
        del order
        return self.prospect

    def report(self, drill: object) -> Path:
        del drill
        return self.state / "drills" / "herd-1"

    def command(self, order: Order) -> list[str]:
        return [sys.executable, "-c", self.script, str(order.report)]


class GoneSite(PlayedSite):
    """Whose world has ended since."""

    @property
    def is_up(self) -> bool:
        return False


class LostSite(PlayedSite):
    """Whose command is not there."""

    def command(self, order: Order) -> list[str]:
        del order
        return [str(self.state / "no-such-command")]


Row = tuple[float, str, str, float | None]
ROWS: tuple[Row, ...] = (
    (2.1, "preflight", "the world is healthy", 2.0),
    (5.0, "start", "300 clients in 30 rooms, 200/s", 2.9),
    (5.0, "calm", "nothing is broken for 6 s", None),
    (11.1, "fault", "kill eu-1", None),
    (11.1, "detect", "10 clients lost the connection", 0.021),
    (11.2, "decide", "10 clients chose where to go", 0.022),
    (12.3, "reconnect", "10 clients back", 1.2),
    (13.2, "heal", "up again: eu-1", 2.1),
    (15.5, "converge", "every client connected, every mirror current, since healing", 2.3),
    (22.0, "scan", "every copy of every stream is read", 0.4),
)
SLOW = BoundNews("gap of a client, p99: connection lost", "7.3 s", "at most 5 s", met=False)
FOUND = FoundNews(
    clients=300, lost=0, repeated=2, detect_s=0.021, decide_s=0.022, reconnect_p99_s=1.18,
    current_s=0.4, bounds=[SLOW, BoundNews("every client current", "0.4 s", "at most 5 s", True)],
)  # fmt: skip
MISSED = f"{SLOW.text}: {SLOW.said}, {SLOW.bound} (edge_killed_gap_p99_s)"


def told(run: str, drill: str, began_s: float, rows: int, word: str = "") -> list[DrillNews]:
    """What is told of a drill: its first `rows` stages, and with a word that it ended so."""

    def news(number: int, at_s: float, stage: str, text: str, took_s: float | None) -> DrillNews:
        return DrillNews(
            at_ms=START_MS + int((began_s + at_s) * 1000), run=run, drill=drill, by="ann@ops-1",
            number=number, stage=stage, at_s=at_s, text=text, took_s=took_s, why="OPS-7",
            report=f"/srv/drills/{run}",
        )  # fmt: skip

    stages = [news(number, *row) for number, row in enumerate(ROWS[:rows], 1)]
    if word:
        end = news(rows + 1, ROWS[rows - 1][0], "end", MISSED if word == "missed" else "", None)
        stages.append(structs.replace(end, word=word, found=FOUND))
    return stages

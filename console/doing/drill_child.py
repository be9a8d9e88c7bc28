"""A drill that runs as a child of the console.

It is interrupted when the console ends, however that comes: its stdin ends with it. For its stderr
it has a log instead of a pipe, so it can heal and report when nobody listens to it any more.
"""

import asyncio
import signal
from collections.abc import Sequence
from subprocess import DEVNULL, PIPE, Popen

from regions.drills.run import Order
from regions.drills.verdict import read_verdict
from regions.errors import LedgerError

POLL_S = 0.1
TAIL_BYTES = 4_096


class DrillChild:
    """One run.

    Args:
        order: what is run.
        command: how it is started.

    Raises:
        OSError: it can't be started.
    """

    def __init__(self, order: Order, command: Sequence[str]) -> None:
        self.order = order
        self.interrupted = False
        self.word = ""  # its verdict; `failed` also where there is none. Empty: it runs
        self.why = ""
        self._log = order.report.with_name(f"{order.report.name}.log")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process: Popen[bytes] = Popen(  # noqa: S603  the command is ours
                command, stdin=PIPE, stdout=DEVNULL, stderr=log
            )

    @property
    def name(self) -> str:
        """The drill's."""
        return self.order.drill.name

    @property
    def report(self) -> str:
        """Where its report will be: what is told of it names it, too."""
        return str(self.order.report)

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return bool(self.word)

    @property
    def code(self) -> int | None:
        """Its exit code; negative: the signal that ended it."""
        code: int | None = self._process.returncode
        return code

    def interrupt(self) -> None:
        """Let it heal what it broke, and end (SIGINT); once, and not if it has ended."""
        if self._process.poll() is None and not self.interrupted:
            self.interrupted = True
            self._process.send_signal(signal.SIGINT)

    async def followed(self) -> None:
        """Wait until it is over, and see how it ended."""
        while self._process.poll() is None:  # noqa: ASYNC110 (asyncio's own is killed at its end)
            await asyncio.sleep(POLL_S)
        if self._process.stdin is not None:
            self._process.stdin.close()
        code = self._process.returncode
        if code < 0:
            self.word = "failed"
            self.why = f"ended by signal {-code}; the supervisor heals what it broke"
            return
        try:
            verdict = read_verdict(self.order.report)
        except LedgerError:
            self.why = self._last_words()
            self.word = "failed"
            return
        self.why = "; ".join(verdict.why)
        self.word = verdict.verdict

    def _last_words(self) -> str:
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - TAIL_BYTES))
                lines = log.read().decode(errors="replace").strip().splitlines()
        except OSError as error:
            return f"{self._log}: {error.strerror}"
        return lines[-1].removeprefix("jetrelay: ") if lines else "it said nothing"

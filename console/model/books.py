"""What operators ordered and did, as the books of the regions say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from console.model.timeline import Happening, Weight
from regions.operations.entry import Entry, Run
from regions.operations.holder import Holder
from relay.core.orders import Order

_WEIGHTS: Mapping[str, Weight] = {"done": "good", "failed": "bad", "aborted": "warn"}


STALE_MS = 5_000  # they are read every second


@dataclass(frozen=True, slots=True)
class Books:
    """What they held when they were read last."""

    read_ms: int | None = None  # our steady clock; None: they were not yet
    runs: tuple[Run, ...] = ()  # operations of the last day, oldest first
    # Those that stand, and want something; None: which did is not kept.
    orders: tuple[Order, ...] | None = ()
    holders: Mapping[str, Holder] = field(default_factory=dict)  # who is at work, by region

    def stale_ms(self, now_ms: int) -> int | None:
        """How old they are, where they can't be read any more; None: they are, or never were.

        Args:
            now_ms: our steady clock.
        """
        if self.read_ms is None or now_ms - self.read_ms <= STALE_MS:
            return None
        return now_ms - self.read_ms

    @property
    def unfinished(self) -> tuple[Run, ...]:
        """Operations that have not ended."""
        return tuple(run for run in self.runs if run.end is None)


def of_operations(before: Books, after: Books) -> list[Happening]:
    """The entries that were not there before."""
    known = {run.name: len(run.entries) for run in before.runs}
    return [
        _happening(run, entry)
        for run in after.runs
        if len(run.entries) != known.get(run.name)
        for entry in run.entries
    ]


def _happening(run: Run, entry: Entry) -> Happening:
    what = f"{run.request.verb} {run.request.scope}"
    text = f"{entry.by}: {what} {entry.what}"
    if entry.what == "submitted" and run.request.why:
        text += f", {run.request.why}"
    elif entry.text:
        text += f", {entry.text}"
    weight = _WEIGHTS.get(entry.what, "plain")
    return Happening(entry.at_ms, "operation", run.request.scope, text, weight)

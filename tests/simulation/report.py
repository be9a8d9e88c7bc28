"""What many seeds showed, as text."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.faults import KINDS
from tests.simulation.run import Outcome


@dataclass(slots=True)
class Report:
    """Sums over seeds."""

    seeds: int = 0
    steps: int = 0
    fewest_steps: int = 0
    fewest_faults: int = 0
    failed: list[int] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    virtual_s: float = 0.0
    healed_s: list[float] = field(default_factory=list)
    _history: "hashlib.blake2b" = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def add(self, outcome: Outcome) -> None:
        """One more seed, in the order of the seeds."""
        faults = sum(outcome.faults.values())
        self.seeds += 1
        self.steps += outcome.steps
        if outcome.violations:
            self.failed.append(outcome.seed)
        else:
            first = self.seeds == 1
            self.fewest_steps = outcome.steps if first else min(self.fewest_steps, outcome.steps)
            self.fewest_faults = faults if first else min(self.fewest_faults, faults)
            self.healed_s.append(outcome.healed_s)
        self.faults += outcome.faults
        self.effects += outcome.effects
        self.counts += outcome.counts
        self.virtual_s += outcome.virtual_s
        self._history.update(outcome.history.encode())

    @property
    def history(self) -> str:
        """A hash of all that all clients were told: the same for the same seeds and code."""
        return self._history.hexdigest()

    def text(self, took_s: float) -> str:
        """The tables."""
        healed = sorted(self.healed_s) or [0.0]
        at = {name: healed[int(len(healed) * share)] for name, share in
              (("p50", 0.5), ("p99", 0.99), ("max", 0.999999))}  # fmt: skip
        faults = sum(self.faults.values())
        steps = f"{self.steps} steps (at least {self.fewest_steps} a seed)"
        healed_text = ", ".join(f"{name} {value:.1f} s" for name, value in at.items())
        lines = [
            f"{self.seeds} seeds, {len(self.failed)} failed",
            f"{steps}, {faults} faults (at least {self.fewest_faults})",
            f"{self.virtual_s / 3600:.1f} h of virtual time in {took_s:.0f} s",
            f"all current after the last fault: {healed_text}",
            f"history {self.history}",
        ]
        lines += _table("faults", {kind: self.faults[kind] for kind in KINDS})
        lines += _table("what came of them", self.effects)
        lines += _table("clients", self.counts)
        if self.failed:
            lines.append(f"failed seeds: {', '.join(map(str, self.failed))}")
        return "\n".join(lines)


def _table(title: str, rows: "dict[str, int] | Counter[str]") -> list[str]:
    ordered = sorted(rows.items(), key=lambda row: -row[1])
    return ["", f"{title}:", *(f"  {count:>9}  {name}" for name, count in ordered), ""]

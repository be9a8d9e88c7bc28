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
    fewest_steps: int | None = None  # of a seed that is clean
    fewest_faults: int | None = None
    failed: list[int] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    virtual_s: float = 0.0
    took_s: float = 0.0
    healed: Counter[int] = field(default_factory=Counter)  # tenths of a second to how many seeds
    history: str = ""  # a hash of all that all clients were told: the same for the same seeds

    def add(self, outcome: Outcome) -> None:
        """One more seed, in the order of the seeds."""
        faults = sum(outcome.faults.values())
        self.seeds += 1
        self.steps += outcome.steps
        if outcome.violations:
            self.failed.append(outcome.seed)
        else:
            self.fewest_steps = _least(self.fewest_steps, outcome.steps)
            self.fewest_faults = _least(self.fewest_faults, faults)
            self.healed[round(outcome.healed_s * 10)] += 1
        self.faults += outcome.faults
        self.effects += outcome.effects
        self.counts += outcome.counts
        self.virtual_s += outcome.virtual_s
        self.history = _chained(self.history, outcome.history)

    def include(self, part: "Report") -> None:
        """The seeds of another report, which follow these."""
        self.seeds += part.seeds
        self.steps += part.steps
        if part.fewest_steps is not None and part.fewest_faults is not None:
            self.fewest_steps = _least(self.fewest_steps, part.fewest_steps)
            self.fewest_faults = _least(self.fewest_faults, part.fewest_faults)
        self.failed += part.failed
        self.faults += part.faults
        self.effects += part.effects
        self.counts += part.counts
        self.virtual_s += part.virtual_s
        self.took_s += part.took_s
        self.healed += part.healed
        self.history = _chained(self.history, part.history)

    def text(self) -> str:
        """The tables."""
        healed = sorted(self.healed.elements()) or [0]
        at = {name: healed[int(len(healed) * share)] for name, share in
              (("p50", 0.5), ("p99", 0.99), ("max", 0.999999))}  # fmt: skip
        faults = sum(self.faults.values())
        steps = f"{self.steps} steps (at least {self.fewest_steps or 0} a seed)"
        healed_text = ", ".join(f"{name} {tenths / 10:.1f} s" for name, tenths in at.items())
        lines = [
            f"{self.seeds} seeds, {len(self.failed)} failed",
            f"{steps}, {faults} faults (at least {self.fewest_faults or 0})",
            f"{self.virtual_s / 3600:.1f} h of virtual time in {self.took_s:.0f} s",
            f"all current after the last fault: {healed_text}",
            f"history {self.history}",
        ]
        lines += _table("faults", {kind: self.faults[kind] for kind in KINDS})
        lines += _table("what came of them", self.effects)
        lines += _table("clients", self.counts)
        if self.failed:
            lines.append(f"failed seeds: {', '.join(map(str, self.failed))}")
        return "\n".join(lines)


def _least(known: int | None, value: int) -> int:
    return value if known is None else min(known, value)


def _chained(history: str, following: str) -> str:
    return hashlib.blake2b((history + following).encode(), digest_size=16).hexdigest()


def _table(title: str, rows: "dict[str, int] | Counter[str]") -> list[str]:
    ordered = sorted(rows.items(), key=lambda row: -row[1])
    return ["", f"{title}:", *(f"  {count:>9}  {name}" for name, count in ordered), ""]

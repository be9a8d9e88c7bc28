"""A file of seeds that have run, so that a long run can be ended at any time and be continued.

It holds what each stretch of seeds showed, and of which code: the edge's modules that the
simulation runs, and its own. It says nothing of other code, and is not continued with it.
"""

import hashlib
import json
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path

from tests.simulation.report import Report

PART = 1_000  # seeds are kept by so many


class OtherCodeError(Exception):
    """The file is about other code, or about seeds that were thrown otherwise."""


class Record:
    """Reads and writes the file.

    Args:
        path: of the file, which need not exist.
        steps: of a seed.
        kinds: of faults.

    Raises:
        OtherCodeError: what the file says is not of this code, these steps and these faults.
        ValueError: the file is no record.
    """

    def __init__(self, path: Path, steps: int, kinds: tuple[str, ...]) -> None:
        self._path = path
        self._about = {"code": fingerprint(), "steps": steps, "faults": sorted(kinds)}
        self._stretches: dict[int, Report] = {}  # by their first seed
        if not path.exists():
            return
        said = json.loads(path.read_text())
        if not isinstance(said, dict) or not isinstance(said.get("seeds"), dict):
            raise ValueError(f"{path}: no record of seeds")
        for name, value in self._about.items():
            if said.get(name) != value:
                raise OtherCodeError(f"{path}: the {name} is another: move it away to begin anew")
        try:
            self._stretches = {int(at): _report(part) for at, part in said["seeds"].items()}
        except (TypeError, AttributeError) as error:
            raise ValueError(f"{path}: {error}") from None

    def __contains__(self, seed: int) -> bool:
        return any(first <= seed < first + of.seeds for first, of in self._stretches.items())

    def keep(self, first: int, report: Report) -> None:
        """What the seeds from `first` on showed."""
        for at, stretch in self._stretches.items():
            if at + stretch.seeds == first:
                stretch.include(report)
                break
        else:
            self._stretches[first] = Report()
            self._stretches[first].include(report)
        parts = {at: _said(self._stretches[at]) for at in sorted(self._stretches)}
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._about | {"seeds": parts}, indent=1) + "\n")
        new.replace(self._path)

    def total(self) -> Report:
        """What all of them showed, in the order of the seeds."""
        total = Report()
        for first in sorted(self._stretches):
            total.include(self._stretches[first])
        return total


def fingerprint() -> str:
    """A hash of the code that is simulated: the same for the same text of the same modules."""
    digest = hashlib.blake2b(digest_size=16)
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == "relay" or name.startswith("tests.simulation."):
            path = getattr(module, "__file__", None)
            if path and Path(path).name != "__main__.py":
                digest.update(f"{name}\0".encode() + Path(path).read_bytes() + b"\0")
    return digest.hexdigest()


def _said(report: Report) -> dict[str, object]:
    said = {each.name: getattr(report, each.name) for each in fields(Report)}
    said["healed"] = dict(sorted(report.healed.items()))
    return said


def _report(said: dict[str, object]) -> Report:
    report = Report(**said)  # type: ignore[arg-type]
    for each in fields(Report):
        value = getattr(report, each.name)
        if isinstance(value, dict):
            setattr(report, each.name, Counter(value))
    report.healed = Counter({int(tenths): seeds for tenths, seeds in report.healed.items()})
    return report

"""When sessions began that were open when what is read of the log begins.

Only their own comings are looked for, further and further back: what else is in the log there is
read and forgotten.
"""

from collections.abc import Iterable

from regions.audit.rebuild import LifeKey, Rule, Stretch
from relay.core.log import Batch, Came, Entry

_Key = tuple[LifeKey, bytes]


class Beginnings:
    """Looks for the comings of some sessions, each at its edge.

    Args:
        stretches: of which those are looked for whose beginning is not known; they are changed.
    """

    def __init__(self, stretches: Iterable[Stretch]) -> None:
        self._wanted: dict[_Key, Stretch] = {
            ((one.region, one.edge, one.epoch), one.key): one
            for one in stretches
            if one.began is Rule.BEFORE
        }
        self._found: dict[_Key, tuple[int, Came]] = {}

    def __len__(self) -> int:
        return len(self._wanted)

    def add(self, stored_ms: int, entry: Entry) -> None:
        """An entry of a part of the log, as the stream has it next: the newest coming counts."""
        if not isinstance(entry, Batch):
            return
        life = (entry.region, entry.edge, entry.epoch)
        for record in entry.records:
            if isinstance(record, Came) and (life, record.key) in self._wanted:
                self._found[life, record.key] = (stored_ms - record.ago_ms, record)

    def part_read(self) -> None:
        """All regions' entries of that part were added: an earlier one follows."""
        for key, (at_ms, came) in self._found.items():
            self._wanted.pop(key).came(at_ms, came)
        self._found = {}

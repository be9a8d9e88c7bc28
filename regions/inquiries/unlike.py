"""In what edges are set up differently. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from regions.inquiries.fleet import SettingsAt
from regions.steering.health import EdgeKey

LACKING = ""  # the value where an edge says nothing of a setting: it is of another version


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, with the edges that have each value of it."""

    name: str
    values: tuple[tuple[str, tuple[EdgeKey, ...]], ...]  # what most have is first

    @property
    def usual(self) -> str:
        """What most have."""
        return self.values[0][0]

    @property
    def differs(self) -> bool:
        """Whether not all have the same."""
        return len(self.values) > 1


def compare(edges: Sequence[SettingsAt]) -> list[Setting]:
    """All settings that any of them tells, by name."""
    names = sorted({name for each in edges for name in each.settings})
    return [_setting(name, edges) for name in names]


def _setting(name: str, edges: Sequence[SettingsAt]) -> Setting:
    having: dict[str, list[EdgeKey]] = {}
    for each in edges:
        value = each.settings.get(name, LACKING)
        having.setdefault(value, []).append(EdgeKey(each.region, each.edge))
    ordered = sorted(having.items(), key=lambda item: (-len(item[1]), item[0]))
    return Setting(name, tuple((value, tuple(keys)) for value, keys in ordered))

"""Who is in one scope, as the edges say: their union, and what of it was not passed on yet."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

from relay.core.presence import Changes, Shown, most_present, visible


class _Unsure(Enum):
    UNSURE = 0  # not everybody was told the same of this user


@dataclass(slots=True, eq=False)
class Roster:
    """One scope. What an edge says touches its own entries only: nothing is merged.

    `now`: the union. `told`: per user who changed since he was last passed on, what was then.
    `version`: grows with each change of `now`.
    """

    now: dict[str, Shown] = field(default_factory=dict)
    told: dict[str, Shown | _Unsure | None] = field(default_factory=dict)
    version: int = 0
    _listed: int = 0  # the version at the last `listed`
    _parts: dict[Hashable, dict[str, Shown]] = field(default_factory=dict)

    def apply(self, source: Hashable, changes: Mapping[str, Shown | None]) -> None:
        """An edge says what changed."""
        part = self._parts.setdefault(source, {})
        for user, shown in changes.items():
            if shown is None:
                part.pop(user, None)
            else:
                part[user] = shown
            self._unite(user)
        if not part:
            del self._parts[source]

    def replace(self, source: Hashable, members: Mapping[str, Shown]) -> None:
        """An edge says who is there, all of them."""
        gone = self._parts.get(source, {}).keys() - members.keys()
        self.apply(source, {**dict.fromkeys(sorted(gone)), **members})

    def drop(self, source: Hashable) -> None:
        """An edge is gone, and all that it said."""
        self.replace(source, {})

    def _unite(self, user: str) -> None:
        now = most_present(part.get(user) for part in self._parts.values())
        before = self.now.get(user)
        if now == before:
            return
        self.version += 1
        self.told.setdefault(user, before)
        if now is None:
            del self.now[user]
        else:
            self.now[user] = now

    def listed(self) -> None:
        """Somebody was told `now`. Who was told before has something else of those in `told`: what
        holds of them in the end is passed on to all, even if that is what it was.
        """
        if self._listed == self.version:
            return
        self._listed = self.version
        for user, before in self.told.items():
            if before is not _Unsure.UNSURE and visible(before) != visible(self.now.get(user)):
                self.told[user] = _Unsure.UNSURE

    def take(self, most: int | None = None) -> Changes:
        """What is to be passed on: the net change of up to `most` users who changed first."""
        users = list(self.told if most is None else islice(self.told, most))
        changes: Changes = {}
        for user in users:
            before, now = self.told.pop(user), self.now.get(user)
            if before is _Unsure.UNSURE or visible(before) != visible(now):
                changes[user] = now
        return changes

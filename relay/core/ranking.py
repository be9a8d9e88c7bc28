"""The first of many things, by one of their figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from relay.core.query import Field, Value, field_named

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranking(Generic[T]):
    """By which field, and whether the largest come first."""

    by: Field[T]
    largest_first: bool

    def ranked(self, things: Iterable[T]) -> list[T]:
        """All of them in order; of which it is not known, last. Equal ones stay as they are."""
        return [thing for _, thing in self.order([(self.by.get(thing), thing) for thing in things])]

    def order(self, valued: Iterable[tuple[Value, T]]) -> list[tuple[Value, T]]:
        """The same, with values that were looked at before."""
        known, unknown = list[tuple[Value, T]](), list[tuple[Value, T]]()
        for each in valued:
            (unknown if each[0] is None else known).append(each)
        known.sort(key=_key, reverse=self.largest_first)
        return known + unknown


def _key(valued: tuple[Value, object]) -> tuple[str, float]:
    value = valued[0]
    return (value.casefold(), 0.0) if isinstance(value, str) else ("", float(value or 0))


def read_ranking(sort: str, fields: Sequence[Field[T]]) -> Ranking[T]:
    """Read what to sort by: a field, numbers the largest first and texts from A; `-` turns it.

    Raises:
        QueryError: there is no such field.
    """
    turned = sort.startswith("-")
    by = field_named(sort[turned:], fields)
    return Ranking(by, (by.unit != "text") != turned)


@dataclass(slots=True)
class First(Generic[T]):
    """The first `limit` of things that come one by one, without keeping all."""

    ranking: Ranking[T]
    limit: int
    matched: int = 0
    _kept: list[tuple[Value, T]] = field(default_factory=list)

    def add(self, thing: T) -> None:
        """One more."""
        self.matched += 1
        self._kept.append((self.ranking.by.get(thing), thing))
        if len(self._kept) > 4 * self.limit:
            self._cut()

    def _cut(self) -> None:
        self._kept = self.ranking.order(self._kept)[: self.limit]

    def take(self) -> list[T]:
        """They, in order."""
        self._cut()
        return [thing for _, thing in self._kept]

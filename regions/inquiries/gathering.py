"""The answers to one question, as they come: whose are there, and whose are still missing."""

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

import msgspec

from regions.steering.health import EdgeKey
from relay.core.inquiry_answers import Answer, Refused, Told

T = TypeVar("T", bound=Answer)
SILENT = "no answer"


class Missing(msgspec.Struct, frozen=True):
    """An edge whose answer is not among the others."""

    region: str
    edge: str
    why: str

    @property
    def key(self) -> EdgeKey:
        """Which."""
        return EdgeKey(self.region, self.edge)


class Gathering:
    """The answers to one question.

    Args:
        expected: edges that should answer.
        on_done: is called when all of them have.
    """

    def __init__(self, expected: Collection[EdgeKey], on_done: Callable[[], None]) -> None:
        self._expected = tuple(expected)
        self._on_done = on_done
        self._answers: dict[EdgeKey, Answer] = {}
        self._dark: dict[EdgeKey, str] = {}

    def hear(self, told: Told) -> None:
        """An edge answers; the first time counts, but one that was busy may answer later."""
        key = EdgeKey(told.region, told.edge)
        known = self._answers.get(key)
        if known is None or isinstance(known, Refused):
            self._answers[key] = told.answer
        if not self.due:
            self._on_done()

    @property
    def due(self) -> list[EdgeKey]:
        """Who may answer still: they have said nothing, or that they are busy."""
        return [key for key in self._expected if key not in self._answers] + self.busy

    @property
    def busy(self) -> list[EdgeKey]:
        """Who has said so, and did not do what was asked."""
        return [key for key, answer in self.of(Refused) if answer.busy]

    def of(self, kind: type[T]) -> list[tuple[EdgeKey, T]]:
        """The answers of this kind, by edge."""
        return [(k, a) for k, a in sorted(self._answers.items()) if isinstance(a, kind)]

    def name(self, dark: Iterable[Missing]) -> None:
        """Edges that nobody waited for: they are missing as well, unless they have answered."""
        self._dark |= {each.key: each.why for each in dark if each.key not in self._answers}

    @property
    def nobody(self) -> bool:
        """Whether no edge has answered but to refuse."""
        return all(isinstance(answer, Refused) for answer in self._answers.values())

    @property
    def missing(self) -> list[Missing]:
        """Who has not answered, or has refused to."""
        refused = {key: answer.why for key, answer in self.of(Refused)}
        silent = {key: SILENT for key in self._expected if key not in self._answers}
        every = self._dark | refused | silent
        return [Missing(*key, why) for key, why in sorted(every.items())]

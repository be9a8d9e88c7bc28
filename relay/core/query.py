"""Queries over things that have named figures: `region=ap and rtt>200`.

One language for edges that are asked about their clients, for the rules of alerts and for the
console's filters. A figure that is not known satisfies nothing, and nothing that is denied of it.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Generic, Literal, NamedTuple, TypeVar

from relay.errors import RelayError

T = TypeVar("T")
Value = str | float | None  # None: not known
Unit = Literal["text", "number", "ms", "bytes", "share"]
Truth = bool | None  # None: it can't be said
Test = Callable[[T], Truth]

MAX_QUERY = 500  # characters
MAX_DEPTH = 20  # of brackets and denials

_FACTORS: Mapping[Unit, Mapping[str, float]] = {
    "number": {"": 1, "k": 1e3, "M": 1e6, "G": 1e9},
    "ms": {"": 1, "ms": 1, "s": 1e3, "m": 6e4, "h": 3.6e6, "d": 8.64e7},
    "bytes": {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4},
    "share": {"": 1, "%": 0.01},
}
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<bracket>[()])
      | (?P<compare><=|>=|!=|=|<|>|~)
      | (?P<deny>!)
      | "(?P<quoted>(?:[^"\\]|\\.)*)"
      | (?P<word>[^\s()<>=~!"]+)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)([A-Za-z%]*)")


class QueryError(RelayError):
    """A query that says nothing; the text names what is wrong with it."""


@dataclass(frozen=True)
class Field(Generic[T]):
    """A figure of a thing, by the name that queries know it by."""

    name: str
    unit: Unit
    get: Callable[[T], Value]
    meaning: str = ""


class _Token(NamedTuple):
    kind: str  # bracket | compare | deny | quoted | word
    text: str


@dataclass(frozen=True)
class Query(Generic[T]):
    """What was asked, and how to tell what it is true of."""

    text: str
    test: Test[T]

    def matches(self, thing: T) -> bool:
        """Whether it is true of `thing`: not where that can't be said."""
        return self.test(thing) is True


def parse_query(text: str, fields: Iterable[Field[T]]) -> Query[T]:
    """Read a query.

    `field=value`, `!=`, `<`, `<=`, `>`, `>=`, and `~` (contains); `and` (or nothing between two),
    `or`, `not` or `!`, brackets. A word alone is looked for in every text. Texts are compared
    without regard to case; numbers take a unit: `1.5k`, `200ms`, `2s`, `64M`, `80%`.

    Args:
        text: the query; empty: everything.
        fields: what things have.

    Raises:
        QueryError: it is not one; the text says where.
    """
    if len(text) > MAX_QUERY:
        raise QueryError(f"a query has at most {MAX_QUERY} characters")
    tokens = _tokens(text)
    if not tokens:
        return Query("", lambda _thing: True)
    parser = _Parser(tokens, {field.name: field for field in fields})
    return Query(text.strip(), parser.whole())


def field_named(name: str, fields: Iterable[Field[T]]) -> Field[T]:
    """The field of this name.

    Raises:
        QueryError: there is none; the text says which there are.
    """
    known = {field.name: field for field in fields}
    if name in known:
        return known[name]
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise QueryError(f"no field {name!r}: {hint}")


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise QueryError(f"what is {text[at:].strip()[:20]!r}? A quote that does not end?")
        word = match[match.lastgroup]
        if match.lastgroup == "quoted":
            word = re.sub(r"\\(.)", r"\1", word)
        found.append(_Token(match.lastgroup, word))
        at = match.end()
    return found


class _Parser(Generic[T]):
    def __init__(self, tokens: Sequence[_Token], fields: Mapping[str, Field[T]]) -> None:
        self._tokens = tokens
        self._fields = fields
        self._at = 0
        self._depth = 0

    def whole(self) -> Test[T]:
        test = self._either()
        if self._at < len(self._tokens):
            raise QueryError(f"{self._tokens[self._at].text!r} stands where nothing was expected")
        return test

    def _peek(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _Token("end", "the end")

    def _takes(self, kind: str, text: str) -> bool:
        token = self._peek()
        if token.kind == kind and token.text.lower() == text:
            self._at += 1
            return True
        return False

    def _either(self) -> Test[T]:
        tests = [self._all()]
        while self._takes("word", "or"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda thing: _any(test(thing) for test in tests)

    def _all(self) -> Test[T]:
        tests = [self._one()]
        while True:
            token = self._peek()
            if token.kind == "end" or token == ("bracket", ")"):
                break
            if token.kind == "word" and token.text.lower() == "or":
                break
            self._takes("word", "and")
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda thing: _every(test(thing) for test in tests)

    def _one(self) -> Test[T]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QueryError(f"brackets and denials go at most {MAX_DEPTH} deep")
        try:
            if self._takes("deny", "!") or self._takes("word", "not"):
                inner = self._one()
                return lambda thing: None if (truth := inner(thing)) is None else not truth
            if self._takes("bracket", "("):
                inner = self._either()
                if not self._takes("bracket", ")"):
                    raise QueryError(f"a bracket is not closed before {self._peek().text!r}")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Test[T]:
        first = self._peek()
        if first.kind not in ("word", "quoted"):
            raise QueryError(f"a field or a word was expected, not {first.text!r}")
        self._at += 1
        compare = self._peek()
        if first.kind == "quoted" or compare.kind != "compare":
            return self._anywhere(first.text)
        field = self._field(first.text)
        self._at += 1
        value = self._peek()
        if value.kind not in ("word", "quoted"):
            raise QueryError(f"{field.name} {compare.text} what? A value was expected")
        self._at += 1
        if field.unit == "text":
            return _text_test(field, compare.text, value.text)
        return _number_test(field, compare.text, value.text)

    def _field(self, name: str) -> Field[T]:
        return field_named(name, self._fields.values())

    def _anywhere(self, word: str) -> Test[T]:
        texts = [field for field in self._fields.values() if field.unit == "text"]
        wanted = word.casefold()
        return lambda thing: any(wanted in str(f.get(thing) or "").casefold() for f in texts)


def _text_test(field: Field[T], compare: str, wanted: str) -> Test[T]:
    wanted, get = wanted.casefold(), field.get
    tests: Mapping[str, Callable[[str], bool]] = {
        "=": lambda text: text == wanted,
        "!=": lambda text: text != wanted,
        "~": lambda text: wanted in text,
    }
    if compare not in tests:
        raise QueryError(f"{field.name} is a text: =, != or ~, not {compare}")
    test = tests[compare]
    return lambda thing: None if (v := get(thing)) is None else test(str(v).casefold())


def _number_test(field: Field[T], compare: str, text: str) -> Test[T]:
    if compare not in _COMPARE:
        raise QueryError(f"{field.name} is a number: {compare} is for texts")
    wanted, test, get = _number(field, text), _COMPARE[compare], field.get
    return lambda thing: None if (v := get(thing)) is None else test(float(v), wanted)


def _number(field: Field[T], text: str) -> float:
    factors = _FACTORS[field.unit]
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in factors:
        units = ", ".join(unit for unit in factors if unit)
        raise QueryError(f"{field.name}: {text!r} is no number; units: {units}")
    return float(match[1]) * factors[match[2]]


def _any(truths: Iterable[Truth]) -> Truth:
    found: Truth = False
    for truth in truths:
        if truth:
            return True
        if truth is None:
            found = None
    return found


def _every(truths: Iterable[Truth]) -> Truth:
    found: Truth = True
    for truth in truths:
        if truth is False:
            return False
        if truth is None:
            found = None
    return found

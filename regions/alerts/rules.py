"""The rules of alerts: TOML, checked as it is read. Pure but for reading the file."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from regions.errors import AlertError
from regions.news import Severity
from relay.core.query import Field, Query, QueryError, parse_query

Kind = Literal[
    "edge", "region", "pair", "stream", "store", "flight", "door", "certificate", "fleet"
]
Fields = Mapping[str, Sequence[Field[Any]]]  # by kind

MAX_RULES = 200
BUILTIN = Path(__file__).with_name("rules.toml")
_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h)")
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
_PLACE = re.compile(r"\{([a-z_]*)\}")


class _Rule(msgspec.Struct, forbid_unknown_fields=True, rename={"for_": "for"}):
    name: str
    each: Kind | None = None
    when: str | None = None
    for_: str = "0s"
    severity: Severity = "ticket"
    text: str = ""
    runbook: str = ""
    unless: list[str] = []
    off: bool = False


class _File(msgspec.Struct, forbid_unknown_fields=True):
    alert: list[_Rule] = []


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on each thing of a kind, and what is said where it is met."""

    name: str
    each: Kind
    query: Query[Any]
    for_s: float  # that it has to last
    severity: Severity
    text: str  # with `{field}`
    runbook: str
    unless: tuple[str, ...]  # rules that say it already, where they are met by the same region
    fields: Mapping[str, Field[Any]]

    def about(self, thing: Any) -> str:
        """What a thing is called; nothing where it is the fleet."""
        names = ("region", "name") if self.each == "stream" else ("name",)
        return "/".join(
            str(self.fields[name].get(thing) or "") for name in names if name in self.fields
        )

    def places(self, thing: Any) -> set[str]:
        """What a thing is, or is of: its own name, and those of its regions."""
        names = [name for name in ("name", "region", "origin") if name in self.fields]
        return {str(self.fields[name].get(thing) or "") for name in names}

    def said(self, thing: Any) -> str:
        """The text, with the figures of `thing`."""
        return _PLACE.sub(lambda match: shown(self.fields[match[1]], thing), self.text)


def shown(field: Field[Any], thing: Any) -> str:
    """A figure for people."""
    value = field.get(thing)
    if value is None:
        return "unknown"
    if isinstance(value, str):
        return value
    match field.unit:
        case "share":
            return f"{value:.0%}"
        case "ms":
            return _time(value)
        case "bytes":
            return _size(value)
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def read_rules(path: Path | None, fields: Fields) -> list[Rule]:
    """The built-in rules, with those of a file: one of the same name stands for the built-in one,
    and `off = true` takes it away.

    Args:
        path: of the file; None: only what is built in.
        fields: the figures of each kind of thing.

    Raises:
        AlertError: the file can't be read, or a rule in it means nothing.
    """
    rules = {rule.name: rule for rule in parse_rules(_read(BUILTIN), BUILTIN.name, {}, fields)}
    if path is None:
        return list(rules.values())
    return parse_rules(_read(path), str(path), rules, fields)


def parse_rules(text: str, where: str, known: Mapping[str, Rule], fields: Fields) -> list[Rule]:
    """The rules in a text, over those that are known.

    Raises:
        AlertError: it is no TOML, or a rule means nothing; the message names it.
    """
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise AlertError(f"{where}: {error}") from error
    rules, seen = dict(known), set[str]()
    for raw in file.alert:
        if raw.name in seen:
            raise AlertError(f"{where}: {raw.name}: stands twice")
        seen.add(raw.name)
        if raw.off:
            if raw.name not in rules:
                raise AlertError(f"{where}: {raw.name}: no such rule to switch off")
            del rules[raw.name]
            continue
        try:
            rules[raw.name] = _rule(raw, fields)
        except ValueError as error:
            raise AlertError(f"{where}: {raw.name}: {error}") from error
    if len(rules) > MAX_RULES:
        raise AlertError(f"{where}: more than {MAX_RULES} rules")
    return in_order(list(rules.values()), where)


def in_order(rules: Sequence[Rule], where: str) -> list[Rule]:
    """The rules, each after those that it leaves to speak first.

    Raises:
        AlertError: two leave each other, or one of itself.
    """
    done: dict[str, Rule] = {}
    left = list(rules)
    while left:
        names = {rule.name for rule in left}
        free = [rule for rule in left if names.isdisjoint(rule.unless)]
        if not free:
            raise AlertError(f"{where}: {', '.join(sorted(names))}: `unless` goes in a circle")
        done |= {rule.name: rule for rule in free}
        left = [rule for rule in left if rule.name not in done]
    return list(done.values())


def _rule(raw: _Rule, fields: Fields) -> Rule:
    if not _NAME.fullmatch(raw.name):
        raise ValueError("a name is a capital letter, and letters and digits")
    if raw.each is None or raw.when is None or not raw.text:
        lacking = [key for key in ("each", "when", "text") if not getattr(raw, key)]
        raise ValueError(f"{', '.join(lacking)}: missing")
    mine = {field.name: field for field in fields[raw.each]}
    unknown = [name for name in _PLACE.findall(raw.text) if name not in mine]
    if unknown:
        raise ValueError(f"text: no field {unknown[0]!r}: there are {', '.join(mine)}")
    try:
        query = parse_query(raw.when, mine.values())
    except QueryError as error:
        raise ValueError(f"when: {error}") from error
    if not query.text:
        raise ValueError("when: says nothing")
    return Rule(
        raw.name, raw.each, query, _seconds(raw.for_), raw.severity, raw.text, raw.runbook,
        tuple(raw.unless), mine,
    )  # fmt: skip


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"for: {text!r} is no time: 10s, 2m, 1h")
    return float(match[1]) * _UNIT_S[match[2]]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AlertError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _time(ms: float) -> str:
    for unit, size in (("d", 8.64e7), ("h", 3.6e6), ("min", 6e4), ("s", 1e3)):
        if abs(ms) >= 2 * size:
            return f"{ms / size:.0f} {unit}"
    return f"{ms:.0f} ms"


def _size(count: float) -> str:
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"

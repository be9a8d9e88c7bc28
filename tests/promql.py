"""PromQL in tests: which metrics and labels an expression names, and what promtool says of it."""

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not in PATH: on Debian it is in the package prometheus",
)

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_RANGE = re.compile(r"\[[^\]]*\]")
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_BRACES = re.compile(r"(?P<metric>[A-Za-z_:][\w:]*)?\{(?P<matchers>[^}]*)\}")
_MATCHED = re.compile(r"([A-Za-z_]\w*)\s*(?:=~|!~|!=|=)")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_:][\w:]*")
_CALL = re.compile(r"\s*\(")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})


def metrics_of(text: str) -> set[str]:
    """Every metric that an expression names."""
    rest = _LABELS.sub(" ", _RANGE.sub(" ", _STRING.sub('""', text)))
    rest = re.sub(r"\{[^}]*\}", " ", rest)
    return {
        match[0]
        for match in _NAME.finditer(rest)
        if match[0].lower() not in _WORDS and not _CALL.match(rest, match.end())
    }


def matched_in(text: str) -> Iterator[tuple[str, str]]:
    """Each (metric, label) that a selector in braces asks for."""
    for braces in _BRACES.finditer(_STRING.sub('""', text)):
        for label in _MATCHED.findall(braces["matchers"]):
            yield braces["metric"] or "", label


def grouped_in(text: str) -> set[str]:
    """The labels that results are grouped or joined by."""
    lists = _LABELS.findall(_STRING.sub('""', text))
    return {label.strip() for each in lists for label in each.split(",") if label.strip()}


def shown_in(template: str) -> set[str]:
    """The labels that a legend or a summary names."""
    return set(re.findall(r"\{\{\s*(?:\$labels\.)?([a-z]\w*)\s*\}\}", template))


def promtool(*words: str) -> str:
    """Run `promtool`; what it said. Fails where it finds something wrong."""
    done = subprocess.run(
        ["promtool", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

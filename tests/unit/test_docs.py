"""The documentation: generated pages are fresh, links lead somewhere, commands and examples work.

What a page names must exist: files, anchors, commands, options, make targets.
"""

import asyncio
import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from cli.main import app
from relay.core import wire
from relay.core.codes import Op
from relay.tasks import Tasks
from tests.unit.client_gateway import Peer, gateway

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted(DOCS.glob("*.md")),
]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]

_LINK = re.compile(r"\]\((?P<to>[^)\s]+)\)")
_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`(?P<text>[^`]+)`")
_FILE = re.compile(
    r"(relay|regions|console|cli|tests|docs)/[\w./-]*\w\.(py|md|svg|toml|txt|jsonl)\Z"
)
_MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")


def script(name: str) -> ModuleType:
    """A program of docs/, as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [
        match["text"]
        for match in _BLOCK.finditer(page.read_text(encoding="utf-8"))
        if match["language"] == language
    ]


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    found = set()
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", line.strip().lower())
        found.add(kept.replace(" ", "-"))
    return found


def code(page: Path) -> Iterator[str]:
    """Lines of code blocks, and code spans of the text."""
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        yield from match["text"].replace("\\\n", " ").splitlines()
    rest = _BLOCK.sub("", text)
    for line in rest.splitlines():
        if line.startswith("    "):
            yield line.strip()
    for match in _SPAN.finditer(rest):
        yield " ".join(match["text"].split())


def commands(page: Path) -> Iterator[list[str]]:
    """The words after each `jetrelay` of a page's code, up to what ends a shell command."""
    for line in code(page):
        for part in re.split(r"[|&;]|\$\(|\)", line.partition(" #")[0]):
            words = part.strip().removeprefix("$ ")
            if re.match(r"(\S*/)?jetrelay [a-z-]", words):
                try:
                    yield shlex.split(words)[1:]
                except ValueError:
                    yield words.split()[1:]


def unknown_in(words: list[str]) -> str | None:
    """The first word that the command line does not know."""
    command: click.Command = app
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            return rest[0]
        command = found
        rest.pop(0)
    context = click.Context(command, help_option_names=["-h", "--help"])
    known = {name for option in command.get_params(context) for name in option.opts}
    for word in rest:
        option = re.match(r"--[a-z][a-z-]*", word)
        if option is not None and option[0] not in known:
            return option[0]
    return None


def test_the_table_of_codes_is_what_its_generator_gives() -> None:
    generate = script("generate_codes")
    assert generate.PAGE.read_text(encoding="utf-8") == generate.page(), (
        "run `.venv/bin/python docs/generate_codes.py`"
    )


def test_the_page_of_keys_is_made_from_the_code() -> None:
    generate = script("generate_keys")
    assert generate.PAGE.read_text(encoding="utf-8") == generate.page(), (
        "run `.venv/bin/python docs/generate_keys.py`"
    )


def test_the_page_of_figures_is_made_from_the_code() -> None:
    generate = script("generate_figures")
    assert generate.PAGE.read_text(encoding="utf-8") == generate.page(), (
        "run `.venv/bin/python docs/generate_figures.py`"
    )


def test_every_module_stands_in_the_table_of_modules() -> None:
    generate = script("generate_modules")
    page = generate.PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(\.\./([\w/]+\.py)\)", page))
    there = {
        path.relative_to(ROOT).as_posix()
        for package in generate.PACKAGES
        for path in generate.modules(package)
    }
    assert named == there, "run `.venv/bin/python docs/generate_modules.py`"


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    broken = []
    for match in _LINK.finditer(page.read_text(encoding="utf-8")):
        where, _, anchor = match["to"].partition("#")
        if ":" in where:
            continue  # another site
        target = (page.parent / where) if where else page
        if not target.exists() or (anchor and anchor not in slugs(target)):
            broken.append(match["to"])
    assert not broken


def test_the_readme_names_every_page() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = [page.name for page in (ROOT / "docs").glob("*.md")]
    assert [name for name in pages if f"(docs/{name})" not in readme] == []


@pytest.mark.parametrize("name", NAMES)
def test_commands_and_their_options_exist(name: str) -> None:
    wrong = {" ".join(words): bad for words in commands(ROOT / name) if (bad := unknown_in(words))}
    assert not wrong


def test_the_check_of_commands_finds_what_is_wrong() -> None:
    assert unknown_in(["tail", "--room", "a", "--last", "3"]) is None
    assert unknown_in(["ctl", "hold", "us-1"]) is None
    assert unknown_in(["ctl", "explode", "us-1"]) == "explode"
    assert unknown_in(["tail", "--rooms", "a"]) == "--rooms"
    readme = [" ".join(words) for words in commands(ROOT / "README.md")]
    assert "ctl hold eu-1" in readme
    assert "token --user ana --room chat:*" in readme


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_and_files_named_in_code_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    missing = []
    for text in code(ROOT / name):
        missing += [
            target
            for target in _MAKE.findall(text)
            if not re.search(rf"(?m)^(?:[\w-]+ )*{target}(?: [\w-]+)*:", makefile)
        ]
        missing += [
            word
            for word in text.split()
            if _FILE.match(word) and "*" not in word and not (ROOT / word).exists()
        ]
    assert not missing


async def test_the_readmes_python_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    [source] = blocks(ROOT / "README.md", "python")
    said: asyncio.Queue[str] = asyncio.Queue()
    example: dict[str, Any] = {"print": lambda *words: said.put_nowait(" ".join(map(str, words)))}
    exec(compile(source.replace("asyncio.run(main())", ""), "README.md", "exec"), example)

    async def serve(peer: Peer) -> None:
        await peer.welcome()
        publish = await peer.hear(Op.PUBLISH)
        ack = {"nonce": publish["nonce"], "id": publish["id"], "origin": "eu", "epoch": 1, "seq": 7}
        await peer.say(Op.ACK, ack)
        await peer.message(7, "chat:lobby")
        await peer.stay()

    tasks = Tasks("docs")
    async with gateway(serve) as edge:
        monkeypatch.setenv("URL", edge.url)
        monkeypatch.setenv("TOKEN", "T")
        tasks.spawn(example["main"](), "example")
        assert await said.get() == "stored: eu 7"
        assert await said.get() == "bob {'n': 7}"
        await tasks.close()


REQUESTS: dict[int, type] = {
    Op.IDENTIFY: wire.Identify,
    Op.RESUME: wire.Resume,
    Op.SUBSCRIBE: wire.Subscribe,
    Op.UNSUBSCRIBE: wire.Unsubscribe,
    Op.PUBLISH: wire.Publish,
    Op.HISTORY: wire.History,
    Op.REFRESH: wire.Refresh,
}


def payloads(page: Path) -> Iterator[dict[str, Any]]:
    """Every JSON object in a page's JSON blocks, and those that stand in its text."""
    decoder = json.JSONDecoder()
    rest = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    spans = [match["text"] for match in _SPAN.finditer(rest) if match["text"].startswith('{"op"')]
    for text in [*blocks(page, "json"), *spans]:
        left = text.strip()
        while left:
            value, end = decoder.raw_decode(left)
            yield value
            left = left[end:].strip()


def test_the_protocols_examples_are_payloads() -> None:
    examples = list(payloads(DOCS / "protocol.md"))
    shown = {example["op"] for example in examples if "op" in example}
    assert set(REQUESTS) <= shown
    for example in examples:
        request = REQUESTS.get(example.get("op", -1))
        if request is not None:
            frame = json.dumps(example).encode()
            wire.JSON.read(wire.JSON.envelope(frame).d, request)

"""What the commands print, whatever clients put into it."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cli import demo, publish, tail, token
from cli.main import app
from cli.publish import ack_line, parse_data
from cli.tail import describe, human_line, json_line, narrate
from cli.target import find_target
from cli.text import clean, short
from cli.token import grant, parse_ttl
from relay.client import Ack, Disconnected, Gap, Lost, Message, Signal
from relay.errors import ConfigError, RelayError


def message(data: object, user: str = "ana") -> Message:
    return Message("chat:a", data, user, "id", "eu", 1, 7, 1_517_363_399_650)


@given(st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner)), st.text())
def test_no_data_and_no_name_can_control_a_terminal(data: object, user: str) -> None:
    assert human_line(message(data, user)).isprintable()
    assert json_line(message(data, user)).isascii()
    assert json.loads(json_line(message(data, user)))["data"] == data
    assert len(short(data)) <= 160


def test_escapes_are_shown_as_text() -> None:
    assert clean("a\x1b[31m\r\n\u202eb") == "a\\x1b[31m\\r\\n\\u202eb"
    assert "é ü 漢" in clean("é ü 漢")


def test_a_quake_is_said_as_people_say_it() -> None:
    quake = {
        "id": "us1", "time_ms": 1_517_364_031_800, "mag": 5.3, "lat": 1.0, "lon": 2.0,
        "place": "50km NNW of\x1b Sangiang", "depth_km": 15.2,
    }  # fmt: skip
    assert describe(quake).startswith("M 5.3  50km NNW of\\x1b Sangiang  15 km deep  2018-0")
    assert describe({"mag": "big"}) == '{"mag": "big"}'


def test_ephemeral_events_are_marked() -> None:
    assert "ana  ~ hi" in human_line(Signal("chat:a", "hi", "ana"))


def test_what_is_missing_is_said() -> None:
    assert narrate(Gap("eu", 1, 3, 9, "retention")) == "gap: eu 3 to 9 will not come: retention"
    assert narrate(Gap("eu", 1, 3, None, "epoch")) == "gap: eu from 3 on will not come: epoch"
    assert "expired" in (narrate(Lost("expired", {"eu": (3, 9)}, "c")) or "")
    assert narrate(Disconnected(4021, "")) == "disconnected: 4021"
    assert narrate(message(1)) is None


def test_data_is_json_or_else_text() -> None:
    assert parse_data('{"a": [1, null]}') == {"a": [1, None]}
    assert parse_data("hello world") == "hello world"
    assert parse_data("NaN") == "NaN"
    assert parse_data("") == ""
    assert parse_data("[" * 100_000) == "[" * 100_000


def test_an_ack_is_origin_and_sequence_or_json() -> None:
    ack = Ack("p1", "eu", 1, 42, duplicate=True)
    assert ack_line("a", ack, as_json=False) == "eu 42 duplicate"
    assert json.loads(ack_line("a", ack, as_json=True)) == {
        "room": "a", "id": "p1", "origin": "eu", "epoch": 1, "seq": 42, "duplicate": True,
    }  # fmt: skip
    assert ack_line("a", Ack("p1"), as_json=False) == "sent p1"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172_800)]
)
def test_lifetimes_have_a_unit(text: str, seconds: int) -> None:
    assert parse_ttl(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "0s", "-1h", "1w", "1.5h", "1h\n"])
def test_other_lifetimes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        parse_ttl(text)


def test_grants_are_checked_before_a_token_is_made() -> None:
    assert grant("*", ("publish",), auto=False).covers("anything")
    assert grant("chat:*", ("publish",), auto=False).match == "chat:*"
    assert grant("chat:a", ("subscribe",), auto=True).auto
    for bad in ("", "a b", "a*b", "**", "a.b", "a\n"):
        with pytest.raises(ValueError, match="1 to 128"):
            grant(bad, ("publish",), auto=False)
    with pytest.raises(ValueError, match="--auto"):
        grant("chat:*", ("subscribe",), auto=True)


def test_an_address_needs_a_token_and_excludes_a_region(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    from pathlib import Path

    state = Path(str(tmp_path))
    monkeypatch.delenv("JETRELAY_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="JETRELAY_TOKEN"):
        find_target(state, None, "ws://h/gateway", None, "u")
    with pytest.raises(ConfigError, match="exclude"):
        find_target(state, "eu", "ws://h/gateway", "T", "u")
    monkeypatch.setenv("JETRELAY_TOKEN", "E")
    assert find_target(state, None, "ws://h/gateway", None, "u").token == "E"
    monkeypatch.delenv("JETRELAY_TOKEN")
    with pytest.raises(RelayError, match="jetrelay up"):
        find_target(state / "none", None, None, None, "u")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["token", "--user", "a b", "--room", "*"], "--user 'a b'"),
        (["token", "--user", "a", "--room", "*", "--ttl", "x"], "is no time"),
        (["tail", "--room", "a b"], "--room 'a b'"),
        (["tail", "--room", "a", "--since", "c", "--last", "3"], "exclude"),
        (["publish", "--room", "a", "-", "--id", "x"], "--id"),
        (["demo", "quakes", "--speed", "nan"], "neither a factor nor max"),
    ],
)
def test_mistakes_are_named_and_end_with_2(args: list[str], said: str) -> None:
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize("module", [token, tail, publish, demo])
def test_every_command_has_help(module: object) -> None:
    command = module.command  # type: ignore[attr-defined]
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0

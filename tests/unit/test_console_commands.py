"""One table of commands: each has a key of its own, a handler, and a way to be said."""

from collections import Counter

import pytest

from console.app import ConsoleApp
from console.commands import BY_NAME, COMMANDS, parse
from console.errors import ConsoleError
from console.feed import Silence
from regions.operations.acts import ACTS, OPERATIONS


def test_every_command_has_a_handler_and_every_handler_a_command() -> None:
    app = ConsoleApp(Silence(), {})
    assert set(app.handlers) == set(BY_NAME)


def test_no_two_commands_share_a_name_or_a_key() -> None:
    assert max(Counter(command.name for command in COMMANDS).values()) == 1
    keys = Counter(command.key for command in COMMANDS if command.key)
    assert [key for key, number in keys.items() if number > 1] == []


def test_acts_are_bound_only_while_the_console_is_armed() -> None:
    changing = {act.name for act in ACTS.values() if act.impact != "reading"}
    assert {each.name for each in COMMANDS if each.when == "armed"} == changing
    disruptive = [act for act in OPERATIONS if act.impact == "disruptive"]
    assert all(act.key.isupper() for act in disruptive)


def test_a_line_is_a_command_and_what_follows_it() -> None:
    assert parse(":drain eu-1 within=60") == (BY_NAME["drain"], "eu-1 within=60")
    assert parse("  go 12:03 ") == (BY_NAME["go"], "12:03")
    assert parse("evac eu")[0] is BY_NAME["evacuate"]  # what begins only one


@pytest.mark.parametrize("line", ["", ":", "nothing at all", "e"])
def test_what_is_no_command_is_said_to_be_none(line: str) -> None:
    with pytest.raises(ConsoleError):
        parse(line)


def test_a_slip_is_answered_with_what_may_have_been_meant() -> None:
    with pytest.raises(ConsoleError, match="drain"):
        parse("drian eu-1")

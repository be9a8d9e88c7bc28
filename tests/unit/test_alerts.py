"""Alerts: rules as they are read, and how they stand while their condition comes and goes."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from console.model.fields import FIELDS
from regions.alerts.board import KEEP_MS, MAX_STANDING, Board
from regions.alerts.rules import BUILTIN, Rule, parse_rules, read_rules
from regions.errors import AlertError
from relay.core.query import Field


class Thing(NamedTuple):
    name: str
    loop: float | None


EDGE: tuple[Field[Any], ...] = (
    Field("name", "text", lambda thing: thing.name),
    Field("loop", "ms", lambda thing: thing.loop),
)
KINDS = {"edge": EDGE, "fleet": (Field[Any]("open", "number", lambda number: number),)}
RULE = """
[[alert]]
name = "LoopLate"
each = "edge"
when = "loop>250ms"
for = "10s"
severity = "page"
text = "{name} is {loop} late"
runbook = "docs/x.md"
"""


def rules(text: str = RULE) -> list[Rule]:
    return parse_rules(text, "rules.toml", {}, KINDS)


def look(board: Board, at_s: float, *things: Thing) -> list[tuple[str, str, str]]:
    changes = board.look({"edge": things}, int(at_s * 1000))
    return [(each.alert.name, each.alert.on, each.alert.state) for each in changes]


SLOW, QUICK = Thing("eu-1", 4_000.0), Thing("eu-1", 3.0)


def test_a_condition_has_to_last() -> None:
    board = Board(rules())
    assert look(board, 0, SLOW) == []
    (pending,) = board.standing
    assert (pending.state, pending.text, pending.severity) == (
        "pending", "eu-1 is 4 s late", "page",
    )  # fmt: skip
    assert look(board, 9.9, SLOW) == []
    assert look(board, 10, SLOW) == [("LoopLate", "eu-1", "firing")]
    assert look(board, 11, SLOW) == []
    (firing,) = board.standing
    assert (firing.state, firing.since_ms) == ("firing", 0)


def test_one_that_ends_before_was_nothing() -> None:
    board = Board(rules())
    look(board, 0, SLOW)
    assert look(board, 1, QUICK) == []
    assert board.standing == []
    look(board, 2, SLOW)
    assert look(board, 11, SLOW) == []
    assert look(board, 12, SLOW) == [("LoopLate", "eu-1", "firing")]


def test_it_is_over_when_the_condition_was_not_met_for_a_while() -> None:
    board = Board(rules())
    look(board, 0, SLOW)
    look(board, 10, SLOW)
    assert look(board, 12, QUICK) == []
    assert look(board, 13, SLOW) == []  # it comes and goes: one alert
    assert look(board, 13 + KEEP_MS / 1000 - 0.1, QUICK) == []
    over = board.look({"edge": [QUICK]}, 13_000 + KEEP_MS)
    assert [(each.alert.state, each.alert.since_ms) for each in over] == [("resolved", 13_000)]
    assert board.standing == []


def test_what_is_not_known_or_gone_meets_no_condition() -> None:
    board = Board(rules())
    look(board, 0, SLOW)
    look(board, 10, SLOW)
    look(board, 11, Thing("eu-1", None))
    assert look(board, 20) == [("LoopLate", "eu-1", "resolved")]


def test_who_is_deaf_takes_nothing_for_over() -> None:
    """Once it hears again, it is the same alert."""
    board = Board(rules())
    look(board, 0, SLOW)
    look(board, 10, SLOW)
    for at_s in (11, 20, 30):
        assert board.look({"edge": []}, at_s * 1000, deaf=True) == []
    assert look(board, 31, SLOW) == []
    (alert,) = board.standing
    assert (alert.state, alert.since_ms) == ("firing", 0)
    assert board.look({"edge": []}, 40_000, deaf=True) == []
    assert look(board, 41) == [("LoopLate", "eu-1", "resolved")]


def test_each_thing_has_its_own() -> None:
    board = Board(rules())
    look(board, 0, SLOW, Thing("eu-2", 900.0))
    assert look(board, 10, SLOW, Thing("eu-2", 900.0)) == [
        ("LoopLate", "eu-1", "firing"),
        ("LoopLate", "eu-2", "firing"),
    ]


def test_no_more_stand_than_a_keeper_can_tell() -> None:
    board = Board(rules())
    many = [Thing(f"e-{number}", 999.0) for number in range(MAX_STANDING + 7)]
    look(board, 0, *many)
    assert (len(board.standing), board.left_out) == (MAX_STANDING, 7)
    look(board, 1, *many)
    assert (len(board.standing), board.left_out) == (MAX_STANDING, 7)


def test_a_clock_that_is_set_back_ends_nothing() -> None:
    board = Board(rules())
    look(board, 100, SLOW)
    look(board, 110, SLOW)
    assert look(board, 50, SLOW) == []
    assert [each.state for each in board.standing] == ["firing"]


def test_who_looks_after_it_stands_with_it_until_it_is_over() -> None:
    board = Board(rules())
    look(board, 0, SLOW)
    look(board, 10, SLOW)
    board.acknowledge("LoopLate", "eu-2", "ops", "another edge")
    board.acknowledge("Other", "eu-1", "ops", "another alert")
    assert board.standing[0].acked_by == ""
    board.acknowledge("LoopLate", "eu-1", "ops", "on my way")
    assert (board.standing[0].acked_by, board.standing[0].acked_why) == ("ops", "on my way")
    look(board, 11, SLOW)
    assert board.standing[0].acked_by == "ops"
    look(board, 30, QUICK)
    look(board, 31, SLOW)
    assert board.standing[0].acked_by == ""


def test_a_keeper_that_begins_anew_learns_from_others_who_looks_after_it() -> None:
    first, second = Board(rules()), Board(rules())
    look(first, 0, SLOW)
    look(second, 5, SLOW)
    first.acknowledge("LoopLate", "eu-1", "ops", "on my way")
    second.adopt(first.standing)
    assert second.standing[0].acked_by == "ops"
    first.acknowledge("LoopLate", "eu-1", "night", "took it over")
    second.adopt(first.standing)
    assert second.standing[0].acked_by == "ops"  # it was told itself, then


def test_the_fleet_has_no_name() -> None:
    text = '[[alert]]\nname = "Shut"\neach = "fleet"\nwhen = "open=0"\ntext = "all is shut"\n'
    (change,) = Board(rules(text)).look({"fleet": [0]}, 5)
    assert (change.alert.name, change.alert.on, change.alert.state) == ("Shut", "", "firing")


def test_the_built_in_rules_are_sound_and_their_runbooks_are_there() -> None:
    found = read_rules(None, FIELDS)
    assert len(found) > 15
    root = Path(__file__).parents[2]
    for rule in found:
        page, _, heading = rule.runbook.partition("#")
        lines = (root / page).read_text(encoding="utf-8").splitlines()
        headings = {
            line.lstrip("#").strip().lower().replace(" ", "-").replace(",", "").replace("`", "")
            for line in lines
            if line.startswith("#")
        }
        assert heading in headings, rule.runbook


def test_a_file_changes_adds_and_takes_away(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(
        '[[alert]]\nname = "LoopLate"\neach = "edge"\nwhen = "loop>2s"\ntext = "late"\n'
        '[[alert]]\nname = "Mine"\neach = "region"\nwhen = "connections<5"\ntext = "{name}"\n'
        '[[alert]]\nname = "EdgeBusy"\noff = true\n'
    )
    builtin, found = read_rules(None, FIELDS), read_rules(path, FIELDS)
    by_name = {rule.name: rule for rule in found}
    assert set(by_name) == {rule.name for rule in builtin} - {"EdgeBusy"} | {"Mine"}
    assert by_name["LoopLate"].query.text == "loop>2s"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('"LoopLate"', '"loop late"'), "loop late: a name is a capital letter"),
        (('"edge"', '"edges"'), "Invalid enum value 'edges'"),
        (("loop>250ms", "lop>1"), "LoopLate: when: no field 'lop': did you mean loop"),
        (("loop>250ms", ""), "LoopLate: when: says nothing"),
        (('each = "edge"\n', ""), "LoopLate: each: missing"),
        (("loop>250ms", " "), "LoopLate: when: says nothing"),
        (('"10s"', '"10"'), "LoopLate: for: '10' is no time"),
        (("{loop} late", "{lop} late"), "LoopLate: text: no field 'lop'"),
        (('"page"', '"wake"'), "Invalid enum value 'wake'"),
        (("runbook", "runbok"), "unknown field `runbok`"),
        (("[[alert]]", "[[alert"), "rules.toml: "),
    ],
)
def test_a_rule_that_means_nothing_is_named(change: tuple[str, str], why: str) -> None:
    with pytest.raises(AlertError, match=why):
        rules(RULE.replace(*change))


def test_so_are_two_of_one_name_and_one_to_switch_off_that_is_not_there() -> None:
    with pytest.raises(AlertError, match="LoopLate: stands twice"):
        rules(RULE + RULE)
    with pytest.raises(AlertError, match="Nobody: no such rule to switch off"):
        rules('[[alert]]\nname = "Nobody"\noff = true\n')
    with pytest.raises(AlertError, match="No such file"):
        read_rules(Path("/nowhere/alerts.toml"), FIELDS)
    assert BUILTIN.is_file()


INHIBITED = """
[[alert]]
name = "Door"
each = "edge"
when = "loop>1"
text = "x"
unless = ["Dark", "Silent"]
[[alert]]
name = "Silent"
each = "edge"
when = "loop>100"
text = "x"
unless = ["Dark"]
[[alert]]
name = "Dark"
each = "region"
when = "loop>1000"
text = "x"
"""


class Placed(NamedTuple):
    name: str
    loop: float
    region: str = ""


def test_what_a_larger_one_says_already_is_not_said_again() -> None:
    fields = (*EDGE, Field[Any]("region", "text", lambda thing: thing.region))
    board = Board(parse_rules(INHIBITED, "rules.toml", {}, {"edge": fields, "region": EDGE}))

    def met(eu: float, *edges: Placed) -> set[tuple[str, str]]:
        board.look({"region": [Placed("eu", eu)], "edge": edges}, 1_000)
        found = {(each.name, each.on) for each in board.standing}
        board.look({}, 900_000)
        return found

    one, other = Placed("eu-1", 500, "eu"), Placed("us-1", 50, "us")
    assert met(0, one, other) == {("Silent", "eu-1"), ("Door", "us-1")}
    assert met(5_000, one, other) == {("Dark", "eu"), ("Door", "us-1")}


def test_rules_that_wait_for_each_other_are_named() -> None:
    text = RULE.replace('runbook = "docs/x.md"', 'unless = ["Other"]')
    other = text.replace("LoopLate", "Other").replace('["Other"]', '["LoopLate"]')
    with pytest.raises(AlertError, match="LoopLate, Other: `unless` goes in a circle"):
        rules(text + other)
    assert len(rules(text)) == 1, "one that is not there is waited for by nobody"

"""Screens, tables, the picture and time: what keys and lines do that change no fleet."""

import csv
from pathlib import Path

import pytest
from textual.events import Key
from textual.pilot import Pilot

from cli.backing import recording
from console.backing import Backing
from console.commands import parse
from console.look import Mode
from console.past.file import FilePast
from console.svg import screen_text
from console.theme_names import NAMES
from console.views.edges import EdgeTable
from console.views.prompt import Prompt
from tests.console.scenario import EDGES, START_MS, quiet, troubled
from tests.console.stage import Stage, settle, until
from tests.console.test_past import recorder, write

NOW_MS = 79_600


def said(stage: Stage) -> str:
    return "\n".join(note.message for note in stage.app._notifications)


async def line(stage: Stage, pilot: Pilot[None], text: str) -> None:
    """Type a command."""
    await pilot.press("colon")
    await pilot.press(*("space" if char == " " else char for char in text), "enter")
    await pilot.pause()


async def test_screens_are_reached_by_key_line_and_row_and_left_again() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(troubled(80))
        await settle(stage, pilot, NOW_MS)
        await pilot.press("2", "down", "enter")
        await settle(stage, pilot, NOW_MS)
        assert "us-2 of us" in screen_text(stage.app.screen)
        await line(stage, pilot, "edge eu-2")
        await settle(stage, pilot, NOW_MS)
        text = screen_text(stage.app.screen)
        assert "eu-2 of eu" in text
        assert "ready → draining" in text
        await pilot.press("8")
        assert stage.app.navigation.shown == "pane-events"
        for shown in ("edge", "edge", "edges", "fleet", "fleet"):
            await pilot.press("escape")
            assert stage.app.navigation.shown == f"pane-{shown}"
        await line(stage, pilot, "edge nowhere")
        assert "no edge 'nowhere'" in said(stage)
        await line(stage, pilot, "fliet")
        assert "fleet?" in said(stage)


async def test_a_table_is_filtered_sorted_followed_copied_and_written(tmp_path: Path) -> None:
    stage = Stage(EDGES, backing=Backing(folder=tmp_path))
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(troubled(80))
        await settle(stage, pilot, NOW_MS)
        table = stage.app.query_one(EdgeTable)

        async def names() -> list[str]:
            await pilot.pause()
            stage.app.repaint()
            return [edge.name for edge in table.items]

        await pilot.press("slash", *"conns", "escape")
        assert await names() == ["us-1", "us-2", "eu-1", "eu-2", "ap-1", "ap-2"]
        await pilot.press("slash", *"!us", "enter")
        assert await names() == ["eu-1", "eu-2", "ap-1", "ap-2"]
        stage.app.tell(*parse("filter connections>9000"))
        assert await names() == ["us-2", "eu-2"]
        stage.app.tell(*parse("filter connections>many"))
        await pilot.pause()
        assert "'many' is no number" in said(stage)
        stage.app.tell(*parse("filter"))
        stage.app.tell(*parse("region eu"))
        assert await names() == ["eu-1", "eu-2"]
        await pilot.press("g")
        assert await names() == ["ap-1", "ap-2"]
        await pilot.press("G")
        await pilot.press("s", "s", "s", "s")  # connections, most first; who has none is last
        assert await names() == ["us-2", "eu-2", "eu-1", "ap-2", "ap-1", "us-1"]
        await pilot.press("o")
        assert await names() == ["ap-1", "ap-2", "eu-1", "eu-2", "us-2", "us-1"]
        await pilot.press("down", "F", "o")
        await names()
        assert table.current is not None
        assert table.current.name == "ap-2"
        await pilot.press("y")
        assert stage.app.clipboard.startswith("ap-2  ap  ● ready  6,356")
        stage.app.tell(*parse(f"export {tmp_path}/edges"))
        with (tmp_path / "edges.csv").open(encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert rows[0][:3] == ["edge", "region", "state"]
        assert [row[0] for row in rows[1:]] == await names()
        stage.app.tell(*parse(f"export {tmp_path}/edges"))
        await pilot.pause()
        assert "File exists" in said(stage)
        for name in ("/", "~nobody-of-that-name/edges"):
            stage.app.tell(*parse(f"export {name}"))
            await pilot.pause()
            assert "names no file" in said(stage)


async def test_what_comes_with_the_colon_belongs_to_the_line() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        await settle(stage, pilot, 1_000)
        for key in (":", "f", ":", "q"):  # in one packet, as over a slow line
            stage.app.post_message(Key("colon" if key == ":" else key, key))
        await pilot.pause()
        await pilot.pause()
        assert stage.app.query_one(Prompt).value == "f:q"
        assert stage.app.scene.mode is Mode.LIVE


async def test_the_picture_is_held_alone_hidden_recoloured_and_kept(tmp_path: Path) -> None:
    stage = Stage(EDGES, backing=Backing(folder=tmp_path))
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(quiet(70))
        await settle(stage, pilot, 69_600)
        await pilot.press("f")
        stage.play(arrival for arrival in quiet(80) if arrival.at_ms >= 70_000)
        await settle(stage, pilot, NOW_MS)
        text = screen_text(stage.app.screen)
        assert "FROZEN for 10s" in text
        assert "11:07:49Z" in text
        await pilot.press("f")
        await settle(stage, pilot, NOW_MS)
        assert "11:07:59Z" in screen_text(stage.app.screen)
        await pilot.press("z")
        await settle(stage, pilot, NOW_MS)
        assert "Mirror lag" not in screen_text(stage.app.screen)
        await pilot.press("escape")
        await settle(stage, pilot, NOW_MS)
        assert "Mirror lag" in screen_text(stage.app.screen)
        for theme in (*NAMES[1:], NAMES[0]):
            await pilot.press("t")
            assert stage.app.theme == theme
        await pilot.press("p")
        assert stage.app.scene.look().name("alice") != "alice"
        assert stage.app.scene.look().name("alice") == stage.app.scene.look().name("alice")
        await pilot.press("S")
        await pilot.pause()
        (svg,) = tmp_path.glob("console-*.svg")
        assert "us-2" in svg.read_text(encoding="utf-8")
        assert "us-2" in svg.with_suffix(".txt").read_text(encoding="utf-8")


async def test_a_row_is_pointed_at_and_opened_with_the_mouse() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(quiet(80))
        await settle(stage, pilot, NOW_MS)
        table = stage.app.query_one(EdgeTable)
        await pilot.click(table, offset=(4, 4))  # border, header, then rows
        assert table.current is not None
        assert table.current.name == "eu-1"
        await pilot.press("2")
        await settle(stage, pilot, NOW_MS)
        await pilot.click("#wide-edges", offset=(4, 3), times=2)
        await settle(stage, pilot, NOW_MS)
        assert "us-2 of us" in screen_text(stage.app.screen)


async def test_the_past_is_gone_through_and_left(tmp_path: Path) -> None:
    path = write(tmp_path / "r.gz", list(troubled(80)))
    past = recording(FilePast(path)).past
    stage = Stage(EDGES, backing=Backing(past=past))
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(quiet(80))
        await settle(stage, pilot, NOW_MS)

        async def arrives(at_s: int) -> None:
            place_ms = START_MS + at_s * 1000
            await until(pilot, lambda: (p := stage.app.scene.place) is not None
                        and not p.busy and p.at_ms == place_ms)  # fmt: skip
            await settle(stage, pilot, NOW_MS)

        await pilot.press("comma", "n")  # nothing: this is now
        assert stage.app.scene.mode is Mode.LIVE
        await pilot.press("T")
        await until(pilot, lambda: stage.app.scene.mode is Mode.PAST)
        await line(stage, pilot, "go 11:07:55")
        await arrives(75)
        text = screen_text(stage.app.screen)
        assert "REPLAY 2026-11-18 11:07:55Z" in text
        assert "eu-2       eu      ◑ draining" in text  # as it was then, not as it is now
        await pilot.press("less_than_sign")
        await arrives(15)
        assert "◑ draining" not in screen_text(stage.app.screen)
        await pilot.press("full_stop", "full_stop")
        await arrives(17)
        await pilot.press("plus", "plus", "space")
        await until(pilot, lambda: (p := stage.app.scene.place) is not None
                    and p.speed == 4 and p.at_ms >= START_MS + 19_000)  # fmt: skip
        await pilot.press("space")
        await pilot.press("n")
        await until(pilot, lambda: "no alert after" in said(stage))
        await line(stage, pilot, "go 2026-11-17T12:00Z")
        await until(pilot, lambda: "nothing is kept of that time" in said(stage))
        await pilot.press("W")  # nothing can be changed there
        assert len(stage.app.screen_stack) == 1
        await pilot.press("L")
        await settle(stage, pilot, NOW_MS)
        assert "● link us" in screen_text(stage.app.screen)


async def test_the_other_keys_of_time_and_the_bell(tmp_path: Path) -> None:
    past = recording(FilePast(write(tmp_path / "r.gz", list(quiet(80))))).past
    stage = Stage(EDGES, backing=Backing(past=past))
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(quiet(80))
        await settle(stage, pilot, NOW_MS)
        heard = []
        for _ in range(2):
            await pilot.press("b")
            heard.append(stage.app.rings)
        assert heard == [False, True]
        await pilot.press("T")
        await until(pilot, lambda: stage.app.scene.mode is Mode.PAST)
        await line(stage, pilot, "go 11:06:45")
        place_ms = START_MS + 5_000

        def stands(at_ms: int) -> bool:
            place = stage.app.scene.place
            return place is not None and not place.busy and place.at_ms == at_ms

        await until(pilot, lambda: stands(place_ms))
        await pilot.press("greater_than_sign")  # a minute on
        await until(pilot, lambda: stands(place_ms + 60_000))
        await pilot.press("N")
        await until(pilot, lambda: "no alert before" in said(stage))
        await pilot.press("plus", "plus", "minus")
        await until(pilot, lambda: (p := stage.app.scene.place) is not None and p.speed == 2)


async def test_enter_on_an_event_goes_to_its_time(tmp_path: Path) -> None:
    path = write(tmp_path / "r.gz", list(troubled(80)))
    stage = Stage(EDGES, backing=Backing(past=recording(FilePast(path)).past))
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(troubled(80))
        await settle(stage, pilot, NOW_MS)
        await pilot.press("8", "enter")
        await until(pilot, lambda: (p := stage.app.scene.place) is not None and not p.busy)
        place = stage.app.scene.place
        assert place is not None
        assert place.at_ms == START_MS + 61_000 - 5_000


async def test_a_recording_is_all_there_is(tmp_path: Path) -> None:
    past = FilePast(write(tmp_path / "r.gz", list(quiet(60))))
    stage = Stage(EDGES, backing=recording(past))
    async with stage.app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: (p := stage.app.scene.place) is not None and not p.busy)
        await pilot.press("L")
        await until(pilot, lambda: "a recording has no now" in said(stage))
        await pilot.press("q")
        await until(pilot, lambda: not stage.app.is_running)


@pytest.mark.parametrize("kept", ["nothing", "damage"])
async def test_a_past_that_can_not_be_read_is_said_so(kept: str, tmp_path: Path) -> None:
    backing = Backing()
    if kept == "damage":
        made = recorder(tmp_path / "r.gz")
        made.message(START_MS, "tele.us.us-1", b"{}")
        made.close()
        past = FilePast(tmp_path / "r.gz")
        (tmp_path / "r.gz").unlink()
        backing = Backing(past=recording(past).past)
    stage = Stage(EDGES, backing=backing)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        await pilot.press("T")
        why = "no past is kept here" if kept == "nothing" else "the past can't be read"
        await until(pilot, lambda: why in said(stage))
        await until(pilot, lambda: stage.app.scene.mode is Mode.LIVE)

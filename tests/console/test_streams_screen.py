"""Screen 5: every stream, its copies side by side, and what to do where something is wrong."""

from collections.abc import Callable
from typing import Any

import msgspec
from textual.pilot import Pilot

from console.app import ConsoleApp
from console.commands import parse
from console.feed import NewsHeard
from console.svg import screen_text
from regions.news import Peer
from tests.console import told
from tests.console.scenario import EDGES, quiet
from tests.console.stage import SIZES, Stage, settle

Golden = Callable[[ConsoleApp, str], None]
NOW_MS = 79_600

# us lost one server of three, and its mirror of ap stands still; eu's mirror of us diverged.
GONE: dict[str, Any] = {
    "peers": [Peer(name="us-n2", current=True), Peer(name="us-n3", current=False, offline=True)]
}
ALARM = "the mirror of us in eu is diverged, from 1203998 on"


def play(stage: Stage) -> None:
    stage.connect()
    for arrival in told.heard(quiet(3, start=77)):
        frame = arrival.frame
        if frame.region == "eu":
            mirrors = frame.mirrors | {"us": "diverged"}
            frame = msgspec.structs.replace(frame, mirrors=mirrors, alarms=[ALARM])
        if frame.region == "us":
            mirrors, lag = frame.mirrors | {"ap": "wedged"}, frame.lag_events | {"ap": 402}
            frame = msgspec.structs.replace(frame, mirrors=mirrors, lag_events=lag)
        if frame.region == "ap":
            frame = msgspec.structs.replace(frame, epochs=frame.epochs | {"eu": 2}, watching=False)
        stage.hear(frame, arrival.at_ms)
    names = ("EV_us", "EV_eu", "LOG_us")
    tell(stage, "us", 77_000, **dict.fromkeys(names, GONE))
    tell(stage, "eu", 77_000, OPS_eu={"bytes": 1 << 30})


def tell(stage: Stage, region: str, at_ms: int, **changed: dict[str, Any]) -> None:
    stage.time.now_ms = at_ms
    stage.app.hear(NewsHeard(region, told.streams(region, **changed)))


async def visit(stage: Stage, pilot: Pilot[None], *keys: str) -> str:
    for key in keys:
        await pilot.press(key)
        await pilot.pause()
    await settle(stage, pilot, NOW_MS)
    return screen_text(stage.app.screen)


async def test_streams_and_their_copies_at_three_sizes(golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(80, 24)) as pilot:
        play(stage)
        await visit(stage, pilot, "5")
        for name, size in SIZES.items():
            await pilot.resize_terminal(*size)
            await visit(stage, pilot)
            golden(stage.app, f"streams-{name}")
        assert "Copies of EV_us" in screen_text(stage.app.screen)
        await pilot.press("end")
        await pilot.pause()
        text = screen_text(stage.app.screen)
        assert "Copies of TELE" in text, "at once, not with the next repaint"
        assert "Copies of EV_us" not in text


async def test_enter_opens_a_stream_and_escape_goes_back(golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        play(stage)
        text = await visit(stage, pilot, "5", "enter")
        golden(stage.app, "stream-120x36")
        assert "us-n3 is offline" in text
        assert "next: start us-n3" in text
        assert ALARM in text, "what the edges say of the copies"
        assert "Streams (28)" in await visit(stage, pilot, "escape")


async def test_filter_region_and_a_stream_by_its_name() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        play(stage)
        await visit(stage, pilot, "5")
        stage.app.tell(*parse("streams state!=ok"))
        assert "Streams (6 of 28) · /state!=ok" in await visit(stage, pilot)
        stage.app.tell(*parse("region eu"))
        text = await visit(stage, pilot)
        assert "Streams (2 of 14)" in text
        assert "✗ diverged" in text
        assert "▲ full" in text
        stage.app.tell(*parse("stream EV_us eu"))
        assert "EV_us in eu, the mirror of us" in await visit(stage, pilot)
        stage.app.tell(*parse("stream EV_us"))
        assert "EV_us in us, at home" in await visit(stage, pilot)
        for line in ("stream EV_xx", "stream EV_us ap", "stream TELE", "stream"):
            stage.app.tell(*parse(line))
        await pilot.pause()
        said = [toast.message for toast in stage.app._notifications]
        assert said[-4:] == [
            "no stream 'EV_xx' is known",
            "EV_us is not known in 'ap'",
            "us, eu have each a TELE: say :stream TELE REGION",
            "stream STREAM [REGION]: one stream in one region, at home without",
        ]


async def test_without_a_keeper_that_is_said() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(quiet(3, start=77))
        text = await visit(stage, pilot, "5")
        assert "no keeper is heard: see docs/alerts.md" in text
        await pilot.press("enter")  # on nothing
        await settle(stage, pilot, NOW_MS)
        assert "no keeper is heard" in screen_text(stage.app.screen)


async def test_what_was_told_long_ago_is_not_shown_as_if_it_were_now() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(told.heard(quiet(3, start=77)))
        tell(stage, "us", 40_000, EV_us=GONE)
        tell(stage, "eu", 77_000)
        stage.time.now_ms = 78_000
        stage.app.hear(NewsHeard("us", told.steering("us")))
        text = await visit(stage, pilot, "5")
        assert "nothing of us, ap" in text
        assert "EV_us      us      home   ? silent" in text
        text = await visit(stage, pilot, "enter")
        assert "JetStream of us does not answer, though its NATS carries news" in text
        assert "Servers in us, as told 39s ago" in text
        assert "offline then" in text
        assert "●" not in text.split("Servers in us")[1].split("Copies")[0]
        assert "as told last: us-n1 led, us-n2 was current, us-n3 was offline" in text
        assert "next: start 2 of us-n1, us-n2, us-n3 at least" in text

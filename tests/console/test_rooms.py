"""Rooms, and the first clients of an edge, for which edges are asked."""

import re

import msgspec

from regions.steering.health import EdgeKey
from tests.console.answers import PLACES, one_room, room_at
from tests.console.asked import console
from tests.console.clerk import Clerk


async def test_an_edge_that_stays_behind_stands_out_and_one_that_catches_up_does_not() -> None:
    clerk = Clerk()

    def told(behind: int) -> None:
        places = [room_at(*place, behind=behind * (place[1] == "eu-1")) for place in PLACES[:3]]
        clerk.room_ = one_room(*places)

    told(6)
    async with console(clerk) as shown:
        await shown.tell("rooms", "sort rate", "filter rate>10")
        assert clerk.told("rooms")[-1][:2] == ("rate>10", "rate")
        assert "chat:lobby  last of  ap 1:47,913  eu 1:48,013  us 1:48,113" in shown.text
        await shown.press("down")
        assert clerk.told("room")[-1][:2] == ("chat:ops", "_")
        await shown.press("enter")
        assert clerk.most_at_once == 1
        assert "48,107 -6" in shown.text
        assert "▲ 48,107 -6" not in shown.text  # it may be on its way
        await shown.later(2_000)
        assert "▲ 48,107 -6" in shown.text
        told(0)
        assert clerk.room_ is not None
        opened = room_at("ap", "ap-1")  # only now: none of its events came since
        origins = [msgspec.structs.replace(each, newest=50_000) for each in opened.room.origins]
        clerk.room_.edges.append(room_at("ap", "ap-1", origins=origins))
        for _ in range(2):
            await shown.later(2_000)
            assert "▲ 4" not in shown.text
        assert "50,000" in shown.text
        await shown.press("escape")
        await shown.later(3_000)
        assert "last of  ap 1:47,913  eu 1:48,013  us 1:48,113" in shown.text
        await shown.tell("room no spaces please!")
        assert "no room can be called so" in shown.said


async def test_an_edge_shows_its_first_clients_where_there_is_room() -> None:
    clerk = Clerk()
    async with console(clerk, (120, 36)) as shown:
        await shown.tell("edge us-1")
        assert clerk.told("clients") == [("", "queue", 5, [EdgeKey("us", "us-1")])]
        assert "Top clients (5)" in shown.text
        shown.app.screen.set_focus(shown.app.query_one("#edge-clients"))
        await shown.press("down", "enter")
        assert "● bo1 at" in shown.text
        await shown.press("escape")
        asked = len(clerk.told("clients"))
        await shown.pilot.resize_terminal(120, 35)
        await shown.later(6_000)
        assert len(clerk.told("clients")) == asked
        assert "Top clients" not in shown.text


async def test_an_edge_that_is_set_up_unlike_its_peers_says_in_what() -> None:
    clerk = Clerk(settings_={"us-1": {"linger_s": "30", "geoip": "db"}})
    async with console(clerk, (120, 36)) as shown:
        await shown.tell("edge us-1")
        (asked,) = clerk.told("settings")
        assert asked[0][:2] == [EdgeKey("us", "us-1"), EdgeKey("us", "us-2")]
        assert set(asked[0]) == {EdgeKey(*place) for place in PLACES}
        assert re.search(r"linger_s +≠ 30 +60", shown.text)
        assert re.search(r"geoip +≠ db +none", shown.text)
        assert "2 differ, 4 settings compared" in shown.text
        await shown.later(2_000)
        assert len(clerk.told("settings")) == 1, "they hardly ever change"
        await shown.tell("edge us-2")
        assert len(clerk.told("settings")) == 2
        assert "linger_s" not in shown.text, "it is like most others"
        assert "4 settings compared" in shown.text
        clerk.error = "no region answers"
        await shown.tell("edge eu-1")
        assert "settings unknown" not in shown.text
        assert "compared" not in shown.text

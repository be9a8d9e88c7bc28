"""How long an origin is silent, and whether what it has stored may still come."""

from typing import Any, cast

import msgspec
import pytest

from relay.bus.replay import Pages
from relay.core.cursor import CursorCodec
from relay.core.feed import Feed
from relay.core.hold import Hold
from relay.core.marker import Head, Marker
from relay.core.numbering import Numbering
from relay.core.rings import RingBounds, Rings
from relay.edge import clock
from relay.edge.feeds import BROUGHT_S, RESTART_S, SILENT_S, Feeds
from relay.edge.hub import Hub

HEAD = Head("eu", 9, Marker(1, 0, 1, 1, 8, 8, "00" * 16, "eu-1"))


class Heard:
    """An edge's feeds on a clock of the test's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1_000.0
        monkeypatch.setattr(clock, "mono_ms", lambda: int(self.now_s * 1000))
        nothing = cast("Any", None)
        self.feeds = Feeds(
            nothing, nothing, nothing, Hub("us", CursorCodec(bytes(32)), Numbering(0, 0)),
            Rings(RingBounds(100, 10**6, 10**7, 10**6)), "us",
            clustered=False, pages=Pages(), hold=lambda: Hold(100, 10**6),
        )  # fmt: skip
        self.feeds.feeds["eu"] = Feed("eu", 1, 9, Hold(100, 10**6))

    def hears(self, seconds: float) -> None:
        """The origin says its head once a second, for so long."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += 1.0
            self.feeds._receive_head("", "", {}, msgspec.json.encode(HEAD))

    def waits(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    return Heard(monkeypatch)


def test_an_edge_that_has_just_begun_does_not_know_what_is_on_its_way(heard: Heard) -> None:
    heard.hears(BROUGHT_S - 2)
    assert heard.feeds.may_come("eu")
    heard.hears(4)
    assert not heard.feeds.may_come("eu")


def test_what_a_silent_origin_has_may_come_and_for_a_while_when_it_is_back(heard: Heard) -> None:
    heard.hears(2 * BROUGHT_S)
    heard.waits(SILENT_S - 0.5)
    assert not heard.feeds.may_come("eu"), "it is not silent yet"
    heard.waits(1.0)
    assert heard.feeds.may_come("eu")
    heard.waits(RESTART_S / 2)
    heard.hears(BROUGHT_S - 2)
    assert heard.feeds.may_come("eu"), "its mirror brings what was stored meanwhile"
    heard.hears(4)
    assert not heard.feeds.may_come("eu")


def test_an_origin_that_is_long_gone_is_not_waited_for(heard: Heard) -> None:
    heard.hears(5)
    heard.waits(RESTART_S + 1)
    assert heard.feeds.silent_s("eu") > RESTART_S
    assert not heard.feeds.may_come("eu")

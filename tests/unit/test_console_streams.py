"""What the console says of streams: how each stands, whether its copies agree, what to do."""

from typing import Any

import msgspec
import pytest

from console.model import (
    Fleet,
    FleetView,
    Link,
    LinkState,
    change_link,
    fold,
    fold_news,
    observe,
)
from console.model.copies import Agreement, copies
from console.model.remedy import remedies
from console.model.streams import STREAM_FIELDS, StreamRow, store_rows, stream_rows, untold
from regions.news import Peer
from relay.core.query import parse_query
from tests.console import told
from tests.console.scenario import EDGES, quiet

CURRENT = Peer(name="us-n2", current=True)
BEHIND = Peer(name="us-n3", current=False, lag=85)
OFFLINE = Peer(name="us-n3", current=False, offline=True)


def fleet_of(frames: dict[str, dict[str, Any]] | None = None) -> Fleet:
    """Three seconds of a quiet fleet; `frames`: of a region, what its edges say besides."""
    fleet = change_link(Fleet(), Link(LinkState.CONNECTED, 0, "us"))
    for arrival in told.heard(quiet(3, start=77)):
        changes = (frames or {}).get(arrival.frame.region, {})
        fleet = fold(fleet, msgspec.structs.replace(arrival.frame, **changes), arrival.at_ms)
    return fleet


def view_of(
    frames: dict[str, dict[str, Any]] | None = None,
    streams: dict[str, dict[str, Any]] | None = None,
    now_ms: int = 79_600,
) -> FleetView:
    """That fleet; `streams`: what is otherwise with one in us."""
    fleet = fleet_of(frames)
    for region in EDGES:
        changed = (streams or {}) if region == "us" else {}
        fleet = fold_news(fleet, region, told.streams(region, **changed), 78_000)
    return observe(fleet, now_ms)


def row_of(view: FleetView, name: str, region: str) -> StreamRow:
    return next(row for row in stream_rows(view) if (row.stream.name, row.region) == (name, region))


def test_streams_stand_by_origin_home_first() -> None:
    rows = [(row.stream.name, row.region, row.kind) for row in stream_rows(view_of())]
    assert rows[:4] == [
        ("EV_us", "us", "home"), ("EV_us", "eu", "mirror"), ("EV_us", "ap", "mirror"),
        ("EV_eu", "eu", "home"),
    ]  # fmt: skip
    assert len(rows) == 42


@pytest.mark.parametrize(
    ("mirror", "changes", "state"),
    [
        ("current", {}, "ok"),
        ("current", {"peers": [CURRENT, BEHIND]}, "behind"),
        ("current", {"peers": [CURRENT, OFFLINE]}, "offline"),
        ("current", {"leader": ""}, "no leader"),
        ("current", {"leader": "", "peers": []}, "ok"),
        ("cut", {"peers": [CURRENT, OFFLINE]}, "cut"),
        ("wedged", {}, "wedged"),
        ("diverged", {"peers": [CURRENT, BEHIND]}, "diverged"),
        ("current", {"bytes": 1 << 30}, "ok"),  # of events the oldest go: so it is meant
    ],
)
def test_the_worst_that_is_known_of_a_mirror(
    mirror: str, changes: dict[str, Any], state: str
) -> None:
    view = view_of({"us": {"mirrors": {"eu": mirror, "ap": "current"}}}, {"EV_eu": changes})
    assert row_of(view, "EV_eu", "us").state == state


def test_a_mirror_is_late_by_the_lag_that_its_edges_measure() -> None:
    lag: dict[str, Any] = {"lag_ms": {"us": 2.0, "eu": 1_700.0, "ap": 90.0}}
    row = row_of(view_of({"us": lag}), "EV_eu", "us")
    assert (row.state, row.lag_ms, row.lacks) == ("late", 1_700.0, 4)
    assert parse_query("late>1s and lag<10", STREAM_FIELDS).matches(row)
    home = row_of(view_of({"us": lag}), "EV_us", "us")
    assert (home.state, home.lag_ms, home.lacks) == ("ok", None, None)


@pytest.mark.parametrize(
    ("name", "changes", "state"),
    [
        ("LOG_eu", {"active_ms": 12_000}, "cut"),
        ("OPS_us", {"bytes": (1 << 30) - 5}, "full"),
        ("LOG_us", {"bytes": (1 << 30) - 5}, "full"),
        ("REC_us", {"bytes": (1 << 30) - 5}, "ok"),
    ],
)
def test_other_streams(name: str, changes: dict[str, Any], state: str) -> None:
    assert row_of(view_of(streams={name: changes}), name, "us").state == state


def test_what_a_mirror_lacks_is_not_known_while_it_is_cut() -> None:
    view = view_of({"us": {"mirrors": {"eu": "cut"}}}, {"LOG_eu": {"active_ms": 12_000}})
    assert row_of(view, "EV_eu", "us").lacks is None
    assert row_of(view, "LOG_eu", "us").lacks is None
    assert row_of(view_of(), "LOG_eu", "us").lacks == 0


def test_what_was_told_long_ago_is_silent_and_counts_for_no_alert() -> None:
    view = view_of(now_ms=98_100)
    assert {row.state for row in stream_rows(view)} == {"silent"}
    assert list(untold(view)) == ["us", "eu", "ap"]
    assert [row.age_ms for row in store_rows(view)] == [20_100] * 3
    assert list(untold(view_of())) == []


# --- copies -------------------------------------------------------------------------------------


def test_copies_agree_while_a_watcher_finds_nothing() -> None:
    found = copies(view_of(), "EV_us")
    assert [(each.region, each.kind, each.epoch, each.agreement) for each in found] == [
        ("us", "home", 3, Agreement.HOME),
        ("eu", "mirror", 3, Agreement.AGREES),
        ("ap", "mirror", 3, Agreement.AGREES),
    ]
    assert found[1].why == "eu-1 finds the hash of each marker right"
    assert not any(each.epoch_differs for each in found)


@pytest.mark.parametrize(
    ("said", "agreement", "why"),
    [
        ({"mirrors": {"us": "behind"}}, Agreement.AGREES, "as far as it is"),
        ({"mirrors": {"us": "cut"}}, Agreement.NOT_COMPARED, "nothing comes from us"),
        ({"mirrors": {"us": "wedged"}}, Agreement.NOT_COMPARED, "stands still"),
        ({"watching": False}, Agreement.NOT_COMPARED, "no edge there watches"),
        ({"mirrors": {}}, Agreement.NOT_COMPARED, "no edge there is heard"),
        ({"mirrors": {"us": "diverged"}}, Agreement.DIVERGES, "an edge there says so"),
        (
            {
                "mirrors": {"us": "diverged"},
                "alarms": [
                    "the mirror of ap in eu is diverged, from 3 on",
                    "the mirror of us in eu is diverged, from 7 on",
                ],
            },
            Agreement.DIVERGES,
            "the mirror of us in eu is diverged, from 7 on",
        ),
    ],
)
def test_what_the_edges_say_of_a_copy(said: dict[str, Any], agreement: Agreement, why: str) -> None:
    eu = copies(view_of({"eu": said}), "EV_us")[1]
    assert eu.agreement is agreement
    assert why in eu.why


def test_an_epoch_that_is_over_at_home() -> None:
    view = view_of({"ap": {"epochs": {"us": 2, "eu": 3, "ap": 3}}})
    found = copies(view, "EV_us")
    assert [(each.epoch, each.epoch_differs) for each in found] == [
        (3, False), (3, False), (2, True),
    ]  # fmt: skip
    assert "ap reads it in epoch 2" in remedies(view, row_of(view, "EV_us", "us"))[0]


def test_of_other_streams_nobody_compares_the_copies() -> None:
    found = copies(view_of(), "LOG_us")
    assert [each.agreement for each in found] == [
        Agreement.HOME, Agreement.NOT_COMPARED, Agreement.NOT_COMPARED,
    ]  # fmt: skip
    assert found[1].why == "only copies of events are compared"
    own = copies(view_of(), "TELE")
    assert {each.kind for each in own} == {"own"}
    assert len(own) == 3


def test_a_copy_that_nobody_tells_of_is_named() -> None:
    fleet = fold_news(fleet_of(), "us", told.streams("us"), 78_000)
    found = copies(observe(fleet, 79_000), "EV_us")
    assert [each.row is None for each in found] == [False, True, True]
    assert found[1].agreement is Agreement.AGREES, "its edges are heard all the same"
    home = copies(observe(fleet, 79_000), "EV_eu")[0]
    assert (home.region, home.row, home.epoch) == ("eu", None, 3)


# --- what to do ---------------------------------------------------------------------------------


def said_of(changes: dict[str, Any], name: str = "EV_us") -> str:
    view = view_of(streams={name: changes})
    return "\n".join(remedies(view, row_of(view, name, "us")))


def test_nothing_to_do() -> None:
    assert said_of({}) == "nothing to do"


def test_a_server_that_is_gone_and_one_that_catches_up() -> None:
    text = said_of({"peers": [CURRENT, OFFLINE]})
    assert "us-n3 is offline" in text
    assert "2 of 3 are current, 2 are needed: one more lost stops it" in text
    assert "next: start us-n3" in text
    assert "us-n3 lacks 85 entries: it catches up, or is gone" in said_of(
        {"peers": [CURRENT, BEHIND]}
    )


def test_a_stream_without_a_leader_names_who_is_missing() -> None:
    gone = [Peer(name=name, current=False, offline=True) for name in ("us-n2", "us-n3")]
    text = said_of({"leader": "", "peers": gone})
    assert "nothing is stored until 2 of its 3 servers agree on one" in text
    assert "us-n2 is offline" in text
    assert "next: start us-n2, us-n3" in text


def test_a_full_book_refuses_and_a_full_log_forgets() -> None:
    full = {"bytes": 1 << 30}
    assert "nothing more is ordered" in said_of(full, "OPS_us")
    assert "what is oldest goes before its time" in said_of(full, "LOG_us")


@pytest.mark.parametrize(
    ("mirror", "text"),
    [
        ("diverged", "it holds other events than eu"),
        ("wedged", "it stands still, and lacks 4 messages"),
        ("cut", "nothing comes from eu"),
    ],
)
def test_a_mirror_that_is_not_well(mirror: str, text: str) -> None:
    view = view_of({"us": {"mirrors": {"eu": mirror, "ap": "current"}}})
    found = remedies(view, row_of(view, "EV_eu", "us"))
    assert text in found[0]
    assert found[1].startswith("next: ")


def test_at_home_it_is_named_whose_copy_diverged() -> None:
    view = view_of({"eu": {"mirrors": {"us": "diverged", "ap": "current"}}})
    assert "next: `:stream EV_us eu`" in remedies(view, row_of(view, "EV_us", "us"))


def test_a_lost_majority_shows_as_news_that_end_while_its_nats_still_carries_others() -> None:
    fleet = fold_news(fleet_of({"us": {"state": "cut_off"}}), "us", told.streams("us"), 50_000)
    alone = observe(fleet, 79_600)
    text = "\n".join(remedies(alone, row_of(alone, "EV_us", "us")))
    assert "nothing was told of it for 29 s" in text
    assert "next: see whether a keeper tells of us" in text
    view = observe(fold_news(fleet, "us", told.steering("us"), 79_000), 79_600)
    text = "\n".join(remedies(view, row_of(view, "EV_us", "us")))
    assert "JetStream of us does not answer, though its NATS carries news" in text
    assert "as told last: us-n1 led, us-n2 was current, us-n3 was current" in text
    assert "edges: us-1 cut off, us-2 cut off" in text
    assert "next: start 2 of us-n1, us-n2, us-n3 at least" in text

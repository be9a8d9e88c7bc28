"""How far a stage is, and what a row of entries tells."""

from typing import Any

from regions.operations.entry import Entry, Plan, Request, Stage, Wait, new_run, runs_of
from regions.operations.execution import Progress, progress
from regions.operations.watch import Seen
from regions.steering.health import EdgeKey
from relay.core.names import is_run
from relay.core.telemetry import EdgeFrame

EU1, EU2, US1 = EdgeKey("eu", "eu-1"), EdgeKey("eu", "eu-2"), EdgeKey("us", "us-1")
REQUEST = Request(verb="evacuate", region="eu", by="ops", why="work")


def seen(key: EdgeKey, age_s: float = 0.5, **said: Any) -> Seen:
    base: dict[str, Any] = {
        "region": key.region, "edge": key.edge, "epoch": 1, "frame": 1, "at_ms": 0,
        "url": "ws://x", "version": "0", "state": "ready", "nats_connected": True,
        "connections": 0, "sessions": 0, "rooms": 0,
    }  # fmt: skip
    return Seen(EdgeFrame(**base | said), age_s)


def stage(wait: Wait) -> Stage:
    return Stage("what is done", [], wait, 10.0)


def test_an_order_is_known_when_every_edge_that_lives_has_heard_of_it() -> None:
    heard = {US1: seen(US1, ordered={"eu": 9}), EU1: seen(EU1, ordered={"eu": 10})}
    given = {EdgeKey("eu", ""): 10}
    assert progress(stage("known"), given, heard) == Progress("not known to us-1", False)
    heard[US1] = seen(US1, ordered={"eu": 9, "us": 12, "us/us-1": 12})
    assert not progress(stage("known"), given, heard).done, "those are others, through another book"
    heard[US1] = seen(US1, ordered={"eu": 12})
    assert progress(stage("known"), given, heard).done
    heard[US1] = seen(US1, age_s=7, ordered={"eu": 1})
    assert progress(stage("known"), given, heard).done, "who is dead hears nothing"


def test_clients_are_gone_when_edges_say_that_they_are_drained_by_this_order() -> None:
    given = {EU1: 10, EU2: 11}
    heard = {
        EU1: seen(EU1, state="drained", ordered={"eu/eu-1": 11}),
        EU2: seen(EU2, state="draining", connections=1_200, ordered={"eu/eu-2": 11}),
    }
    found = progress(stage("gone"), given, heard)
    assert found == Progress("clients left: eu-1 0, eu-2 1,200", False)
    heard[EU2] = seen(EU2, state="drained", ordered={"eu/eu-2": 10})
    assert not progress(stage("gone"), given, heard).done, "that was an order before"
    heard[EU2] = seen(EU2, state="drained", ordered={"eu/eu-2": 11})
    assert progress(stage("gone"), given, heard).done


def test_an_edge_that_is_not_heard_is_waited_for_some_seconds() -> None:
    given = {EU1: 10}
    for age_s, done in ((7.0, False), (10.5, True)):
        found = progress(stage("gone"), given, {EU1: seen(EU1, age_s=age_s, connections=5)})
        assert found == Progress("clients left: eu-1 is not heard", done)
    assert progress(stage("gone"), given, {}).done, "it was never heard"
    assert progress(stage("gone"), given, {EU1: seen(EU1, state="ended")}).done


def test_a_region_is_ready_when_half_of_its_edges_are() -> None:
    given = {EU1: 10, EU2: 10}
    heard = {EU1: seen(EU1), EU2: seen(EU2, state="drained"), US1: seen(US1)}
    assert progress(stage("ready"), given, heard) == Progress("1 of 2 edges ready", True)
    heard[EU1] = seen(EU1, state="starting")
    assert not progress(stage("ready"), given, heard).done
    assert not progress(stage("ready"), given, {US1: seen(US1)}).done, "none of its own is heard"


def test_edges_that_are_not_heard_keep_no_region_closed_where_another_is_open() -> None:
    heard = {EU2: seen(EU2), US1: seen(US1)}
    found = progress(stage("ready"), {EU1: 10}, heard)
    assert found == Progress("eu-1 not heard; 1 others ready", True)


def test_edges_that_stay_closed_for_themselves_are_not_waited_for() -> None:
    eu3 = EdgeKey("eu", "eu-3")
    heard = {EU1: seen(EU1), EU2: seen(EU2, state="drained"), eu3: seen(eu3, state="drained")}
    assert progress(stage("ready"), {EU1: 10}, heard) == Progress("1 of 1 edges ready", True)


def entry(at_ms: int, what: Any, **more: Any) -> Entry:
    return Entry(run="r1", at_ms=at_ms, by="ops", what=what, **more)


def test_a_row_of_entries_is_put_in_order_and_what_came_twice_counts_once() -> None:
    first = entry(1, "submitted", request=REQUEST, plan=Plan([]))
    given, done = entry(2, "given", text="a"), entry(3, "done")
    (run,) = runs_of([done, first, given, first, done])
    assert run.entries == [first, given, done]
    assert (run.began_ms, run.end, run.abort) == (1, done, None)


def test_one_that_was_taken_up_after_it_failed_ended_as_it_ended_last() -> None:
    first = entry(1, "submitted", request=REQUEST, plan=Plan([]))
    (run,) = runs_of([first, entry(2, "failed"), entry(3, "resumed"), entry(4, "done")])
    assert run.end is not None
    assert run.end.what == "done"


def test_one_that_was_taken_up_has_not_ended_and_may_be_aborted() -> None:
    first = entry(1, "submitted", request=REQUEST, plan=Plan([]))
    failed, resumed, abort = entry(2, "failed"), entry(3, "resumed"), entry(4, "abort")
    (run,) = runs_of([first, failed])
    assert run.end == failed
    (run,) = runs_of([first, failed, resumed])
    assert run.end is None
    (run,) = runs_of([first, failed, resumed, abort])
    assert (run.end, run.abort) == (None, abort)
    (run,) = runs_of([first, failed, abort, entry(5, "resumed")])
    assert (run.end, run.abort) == (None, abort)
    aborted = entry(6, "aborted")
    (run,) = runs_of([first, abort, aborted])
    assert (run.end, run.abort) == (aborted, None), "that wish was heeded"


def test_an_operation_whose_beginning_is_not_known_is_left_out() -> None:
    assert runs_of([entry(2, "given"), entry(3, "done")]) == []


def test_names_of_operations_sort_by_time_and_fit_into_a_subject() -> None:
    names = [new_run(REQUEST, at_ms) for at_ms in (1_800_000_000_000, 1_900_000_000_000)]
    assert names == sorted(names)
    assert all(map(is_run, names))
    assert names[0].startswith("20270115T080000-evacuate-eu-")
    assert not any(map(is_run, ("*", ">", "a.b", "", "a b", "x" * 129, "a\n")))

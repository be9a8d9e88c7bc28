"""How edges and regions are judged: dark is not down, and who is cut off judges nobody."""

from collections.abc import Mapping

import pytest

from regions.steering.health import (
    ALIVE_S,
    DEAF_S,
    FRESH_S,
    Deafness,
    EdgeKey,
    Heard,
    Observer,
    Try,
    judge_edge,
    judge_region,
)
from relay.core.orders import Ramp
from relay.core.steady import Comebacks, Patience, Steady
from relay.core.steering import State, Verdict

US, EU, AP = EdgeKey("us", "us-1"), EdgeKey("eu", "eu-1"), EdgeKey("ap", "ap-1")
NOW = 1_000.0
READY = Heard(NOW - 1, "ready")


def observer(
    region: str,
    heard: Mapping[EdgeKey, Heard],
    tries: Mapping[EdgeKey, Try] | None = None,
    *,
    connected: bool = True,
) -> Observer:
    return Observer(region, connected, heard, tries or {})


def all_hear(**states: str) -> list[Observer]:
    heard = {key: Heard(NOW - 1, states.get(key.region, "ready")) for key in (US, EU, AP)}
    return [observer(region, heard) for region in ("us", "eu", "ap")]


def test_an_edge_that_all_hear_is_ok() -> None:
    assert judge_edge(US, all_hear(), NOW) == Verdict(State.OK, "ready", admits=True)


@pytest.mark.parametrize("state", ["draining", "full", "cut_off", "starting"])
def test_an_edge_that_is_not_ready_is_there_and_admits_nobody(state: str) -> None:
    verdict = judge_edge(US, all_hear(us=state), NOW)
    assert (verdict.state, verdict.admits) == (State.DEGRADED, False)
    assert state in verdict.reason


def test_the_newest_word_counts() -> None:
    told = [
        observer("us", {US: Heard(NOW - 1, "draining"), EU: READY}),
        observer("eu", {US: Heard(NOW - 3, "ready"), EU: READY}),
    ]
    assert judge_edge(US, told, NOW).reason == "it is draining"


def test_an_edge_that_ended_in_order_is_down_at_once() -> None:
    assert judge_edge(US, all_hear(us="ended"), NOW).state is State.DOWN


def test_silence_alone_is_dark_and_a_door_that_fails_besides_is_down() -> None:
    old = Heard(NOW - ALIVE_S - 1, "ready")
    deaf = [observer(name, {US: old, EU: READY, AP: READY}) for name in ("eu", "ap")]
    verdict = judge_edge(US, deaf, NOW)
    assert (verdict.state, verdict.reason) == (State.DARK, "not heard for 7 s in eu, ap")
    failed = {US: Try(NOW - 2, "connect: refused"), EU: Try(NOW - 2)}
    tried = [deaf[0], observer("ap", {US: old, EU: READY, AP: READY}, failed)]
    verdict = judge_edge(US, tried, NOW)
    assert verdict == Verdict(
        State.DOWN, "not heard for 7 s, its door fails from ap: connect: refused", admits=False
    )
    passed = [*tried, observer("eu", {}, {US: Try(NOW - 2)})]
    assert judge_edge(US, passed, NOW).state is State.DARK, "somebody got in"
    stale = [
        observer(
            "ap", {EU: READY, AP: READY}, {US: Try(NOW - FRESH_S - 1, "connect"), EU: Try(NOW)}
        )
    ]
    assert judge_edge(US, stale, NOW).state is State.DARK, "of long ago"


def test_an_observer_that_is_cut_off_judges_nobody_but_its_own_region() -> None:
    """us hears itself alone; eu and ap hear each other, and not us."""
    here, there = observer("us", {US: READY}), {EU: READY, AP: READY}
    others = [observer("eu", there), observer("ap", there)]
    assert not here.judges("eu", NOW)
    assert judge_edge(EU, [here, *others], NOW).state is State.OK, "us is not asked"
    verdict = judge_edge(US, [here, *others], NOW)
    assert (verdict.state, verdict.reason) == (State.DEGRADED, "not heard in eu, ap")
    assert verdict.admits, "it lives, and its region alone serves its clients"
    verdict = judge_edge(EU, [here], NOW)
    assert (verdict.state, verdict.reason) == (
        State.DARK, "never heard; no observer can tell",
    )  # fmt: skip


def test_of_two_regions_neither_can_tell_which_one_is_cut_off() -> None:
    verdict = judge_edge(EU, [observer("us", {US: READY})], NOW)
    assert verdict.state is State.DARK


def test_who_gets_through_no_door_judges_none() -> None:
    """His own network, his clock, or his key may be what is wrong."""
    blind = observer(
        "here", {}, {US: Try(NOW, "connect"), EU: Try(NOW, "connect")}, connected=False
    )
    assert judge_edge(US, [*all_hear(), blind], NOW).state is State.OK
    old = Heard(NOW - ALIVE_S - 1, "ready")
    cut = [observer(name, {US: old, EU: old, AP: old}) for name in ("us", "eu", "ap")]
    verdict = judge_edge(US, [*cut, blind], NOW)
    assert (verdict.state, verdict.reason) == (
        State.DARK, "not heard for 7 s; no observer can tell",
    )  # fmt: skip


def test_of_two_regions_a_door_that_was_tried_tells() -> None:
    tried = observer("here", {}, {EU: Try(NOW, "connect"), US: Try(NOW)}, connected=False)
    verdict = judge_edge(EU, [observer("us", {US: READY}), tried], NOW)
    assert verdict.state is State.DOWN


def test_an_observer_without_its_nats_hears_nothing() -> None:
    off = observer("us", {US: READY, EU: READY}, connected=False)
    assert judge_edge(EU, [off], NOW).state is State.DARK


def test_a_door_that_fails_is_degraded_and_closed_only_where_nobody_gets_in() -> None:
    once, well = Try(NOW, "publish: late"), {US: READY, EU: READY, AP: READY}
    verdict = judge_edge(US, [observer("eu", well, {US: once, EU: Try(NOW)})], NOW)
    assert verdict == Verdict(
        State.OK, "ready; its door failed once from eu: publish: late", admits=True
    )
    failed = observer("eu", well, {US: once.after(once), EU: Try(NOW)})
    verdict = judge_edge(US, [failed], NOW)
    assert verdict == Verdict(State.DEGRADED, "its door fails from eu: publish: late", admits=False)
    passed = observer("ap", {US: READY}, {US: Try(NOW)})
    assert judge_edge(US, [failed, passed], NOW).admits


def test_failures_in_a_row_are_counted_and_what_came_through_ends_them() -> None:
    bad, good, busy = Try(1, "connect"), Try(2), Try(3, busy="HTTP 503")
    assert [bad.after(before).times for before in (None, good, busy, bad)] == [1, 1, 1, 2]
    assert bad.after(bad.after(bad)).times == 3
    assert good.after(bad) == good
    assert [each.passed for each in (bad, good, busy)] == [False, True, False]


def test_an_edge_that_asks_to_come_later_is_there_and_is_not_taken_out() -> None:
    """Else a region that stands a storm would be the next to go."""
    busy = observer("here", {}, {US: Try(NOW, busy="HTTP 503: Too many new connections."),
                                 EU: Try(NOW)}, connected=False)  # fmt: skip
    verdict = judge_edge(US, [*all_hear(), busy], NOW)
    assert verdict == Verdict(
        State.OK, "ready; it is busy: HTTP 503: Too many new connections.", admits=True
    )
    old = Heard(NOW - ALIVE_S - 1, "ready")
    deaf = [observer(name, {US: old, EU: READY, AP: READY}) for name in ("eu", "ap")]
    assert judge_edge(US, [*deaf, busy], NOW).state is State.DARK, "it neither failed nor passed"


def test_who_is_cut_off_with_his_region_takes_no_other_for_down() -> None:
    """us is cut off, and a name server in it: the doors of us are all that it gets through."""
    old, gone = Heard(NOW - ALIVE_S - 1, "ready"), Try(NOW, "connect", times=9)
    here = observer("here", {}, {US: Try(NOW), EU: gone, AP: gone}, connected=False)
    cut = observer("us", {US: READY, EU: old, AP: old})
    for key in (EU, AP):
        verdict = judge_edge(key, [cut, here], NOW)
        assert (verdict.state, verdict.reason) == (
            State.DARK, "not heard for 7 s; no observer can tell",
        )  # fmt: skip
    assert judge_edge(US, [cut, here], NOW).state is State.OK
    assert judge_edge(EU, [*all_hear(), here], NOW).state is State.OK
    busy = observer("here", {}, {US: Try(NOW), EU: gone, AP: Try(NOW, busy="later")},
                    connected=False)  # fmt: skip
    assert judge_edge(EU, [cut, busy], NOW).state is State.DOWN, "two of three answer it"


def test_a_region_is_as_its_edges_are() -> None:
    ok = Verdict(State.OK, "ready", admits=True)
    draining = Verdict(State.DEGRADED, "it is draining", admits=False)
    down = Verdict(State.DOWN, "it has ended, and said so", admits=False)

    def region(*verdicts: Verdict) -> Verdict:
        edges = {EdgeKey("us", f"us-{at}"): one for at, one in enumerate(verdicts, 1)}
        return judge_region(edges)

    assert region(ok, ok) == Verdict(State.OK, "all edges are ready", admits=True)
    assert region(ok, down).state is State.OK
    assert region(ok, down).reason == "1 of 2 edges ok; us-2: it has ended, and said so"
    assert region(ok, down, draining).state is State.DEGRADED
    assert region(ok, down, draining).admits
    assert region(draining, down) == Verdict(
        State.DEGRADED, "no edge admits; us-1: it is draining", admits=False
    )
    assert region(down, down).state is State.DOWN
    assert region().state is State.DARK


# --- what lasts -----------------------------------------------------------------------------------

OK = Verdict(State.OK, "ready", admits=True)
GONE = Verdict(State.DOWN, "gone", admits=False)


def test_worse_counts_at_once_and_better_has_to_last() -> None:
    steady: Steady[EdgeKey] = Steady(Patience(better_s=10))
    assert steady.take(US, OK, 0) == OK
    assert steady.take(US, GONE, 1) == GONE
    held = steady.take(US, OK, 2)
    assert (held.state, held.admits) == (State.DOWN, False)
    assert held.reason == "gone; now ok, believed in 10 s"
    assert steady.take(US, OK, 11.9).state is State.DOWN
    assert steady.take(US, OK, 12) == OK
    assert steady.since_s(US) == 12


def test_what_falls_again_while_it_is_waited_for_waits_anew() -> None:
    steady: Steady[EdgeKey] = Steady(Patience(better_s=10))
    for verdict, at_s in ((OK, 0), (GONE, 1), (OK, 2), (GONE, 9)):
        steady.take(US, verdict, at_s)
    assert steady.take(US, OK, 13).state is State.DOWN
    assert steady.take(US, OK, 23) == OK


def test_what_goes_to_and_fro_is_believed_later_each_time() -> None:
    steady: Steady[EdgeKey] = Steady(Patience(better_s=10, window_s=10_000, most_s=60))
    now_s, waited = 0.0, list[float]()
    steady.take(US, OK, now_s)
    for _ in range(5):
        now_s += 1
        steady.take(US, GONE, now_s)
        began_s = now_s
        while steady.take(US, OK, now_s).state is not State.OK:
            now_s += 1
        waited.append(now_s - began_s)
    assert waited == [10, 20, 40, 60, 60]


def test_what_was_not_heard_yet_is_believed_at_once() -> None:
    dark = Verdict(State.DARK, "never heard", admits=False)
    steady: Steady[EdgeKey] = Steady(Patience(better_s=10))
    assert steady.take(US, dark, 0) == dark
    assert steady.take(US, OK, 0.5) == OK
    steady.take(US, GONE, 1)
    assert steady.take(US, OK, 2).state is State.DOWN


def test_what_is_forgotten_begins_anew() -> None:
    steady: Steady[EdgeKey] = Steady()
    steady.take(US, GONE, 0)
    steady.forget([US, EU])
    assert steady.since_s(US) is None
    assert steady.take(US, OK, 1) == OK


def eu_of(comebacks: Comebacks, now_s: float, *, admits: bool, others: bool = True) -> float:
    """How much eu takes after this look."""
    comebacks.look({"eu": admits, "us": others}, now_s)
    return comebacks.share("eu", now_s)


def test_a_region_that_comes_back_takes_more_and_more() -> None:
    comebacks = Comebacks(60.0)
    eu_of(comebacks, 0, admits=False)
    assert eu_of(comebacks, 10, admits=True) == 1.0, "nobody had heard of it yet"
    eu_of(comebacks, 20, admits=False)
    shares = [eu_of(comebacks, at_s, admits=True) for at_s in (30, 45, 90, 400)]
    assert shares == [0.0, 0.25, 1.0, 1.0]
    eu_of(comebacks, 500, admits=False)
    assert [eu_of(comebacks, at_s, admits=True) for at_s in (510, 540)] == [0.0, 0.5]


def test_what_falls_while_it_comes_back_begins_again() -> None:
    comebacks = Comebacks(60.0)
    for at_s, admits, share in (
        (0, True, 1.0), (10, False, None), (20, True, 0.0), (50, True, 0.5), (51, False, None),
        (60, True, 0.0),
    ):  # fmt: skip
        assert eu_of(comebacks, at_s, admits=admits) == share or share is None


def test_where_none_admitted_none_is_held_back() -> None:
    comebacks = Comebacks(60.0)
    eu_of(comebacks, 0, admits=True)
    eu_of(comebacks, 10, admits=False)
    eu_of(comebacks, 11, admits=False, others=False)  # the observer was cut off itself
    assert eu_of(comebacks, 20, admits=False) == 1.0
    assert eu_of(comebacks, 21, admits=True) == 1.0
    assert comebacks.share("us", 21) == 1.0


def test_an_operators_ramp_counts_until_the_region_was_gone_again() -> None:
    comebacks, now_ms = Comebacks(60.0), 1_800_000_000_000
    eu_of(comebacks, 0, admits=True)
    eu_of(comebacks, 100, admits=False)  # evacuated, say
    at_once = Ramp(now_ms + 110_000, 0.0)
    slow = Ramp(now_ms + 110_000, 300.0)
    eu_of(comebacks, 120, admits=True)
    assert comebacks.ramp("eu", at_once, 121, now_ms + 121_000) == 1.0
    assert comebacks.ramp("eu", slow, 140, now_ms + 140_000) == 0.1
    assert comebacks.ramp("eu", None, 150, now_ms + 150_000) == 0.5
    eu_of(comebacks, 900, admits=False)  # by itself
    eu_of(comebacks, 910, admits=True)
    assert comebacks.ramp("eu", at_once, 940, now_ms + 940_000) == 0.5
    assert comebacks.ramp("eu", slow, 940, now_ms + 940_000) == 0.5


def test_who_hears_nobody_at_all_is_deaf_at_first() -> None:
    deafness = Deafness()
    assert not deafness.look(all_hear(), NOW)
    # It stood still, or is cut off, and its connections do not know it yet.
    for later_s in (ALIVE_S, ALIVE_S + 1, ALIVE_S + DEAF_S - 0.5):
        assert deafness.look(all_hear(), NOW + later_s)
    assert not deafness.look(all_hear(), NOW + ALIVE_S + DEAF_S), "all may really be gone"
    assert not deafness.look(all_hear(), NOW), "heard again"
    assert deafness.look(all_hear(), NOW + 100)
    assert deafness.look([observer("us", {US: READY}, connected=False)], NOW)

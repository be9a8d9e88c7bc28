"""An edge without its NATS: how long it stays, and when it sends its clients away."""

from relay.edge.lifeline import Lifeline


def test_a_lost_connection_counts_from_the_moment_it_was_lost() -> None:
    lifeline = Lifeline(10.0, 0.0)
    lifeline.heard(99.5)
    lifeline.stored(99.9)
    lifeline.look(100.0, connected=False)
    assert not lifeline.cut(110.0)
    assert lifeline.cut(110.1)


def test_a_restart_within_the_patience_moves_nobody() -> None:
    lifeline = Lifeline(10.0, 0.0)
    lifeline.look(1.0, connected=False)
    lifeline.look(9.0, connected=True)
    lifeline.heard(9.4)
    lifeline.stored(9.2)
    lifeline.look(9.5, connected=True)
    lifeline.look(10.0, connected=False)
    assert not lifeline.cut(20.0), "two outages are not added up"
    assert lifeline.cut(20.5)


def test_who_is_back_in_time_may_take_a_moment_to_show_life() -> None:
    lifeline = Lifeline(10.0, 0.0)
    lifeline.look(1.0, connected=False)
    lifeline.look(10.5, connected=True)
    assert not lifeline.cut(14.0)
    assert lifeline.cut(14.6), "connected, and nothing comes back"
    lifeline.heard(14.8)
    lifeline.look(14.8, connected=True)
    assert lifeline.cut(14.8), "a server whose disk is full answers no less"
    lifeline.stored(14.9)
    lifeline.look(15.0, connected=True)
    assert not lifeline.cut(15.0)


def test_a_server_that_crashes_after_each_start_counts_as_gone() -> None:
    lifeline = Lifeline(10.0, 0.0)
    lifeline.look(1.0, connected=False)
    for at_s in (4.0, 8.0):
        lifeline.look(at_s, connected=True)
        lifeline.look(at_s + 0.5, connected=False)
        assert not lifeline.cut(at_s + 0.5)
    lifeline.look(11.5, connected=False)
    assert lifeline.cut(11.5)


def test_a_server_that_is_silent_on_a_living_connection_counts_as_gone() -> None:
    lifeline = Lifeline(10.0, 0.0)
    lifeline.heard(2.0)
    lifeline.stored(8.0)
    lifeline.look(8.5, connected=True)
    assert lifeline.silent(8.5)
    assert not lifeline.silent(7.5)
    assert not lifeline.cut(14.0)
    assert lifeline.cut(14.5)
    lifeline.heard(19.0)
    lifeline.stored(19.0)
    assert not lifeline.cut(19.0)
    assert not lifeline.silent(19.0)


def test_a_server_that_stores_nothing_more_counts_as_gone() -> None:
    """A full disk: core NATS goes on, and nothing can be published."""
    lifeline = Lifeline(10.0, 0.0)
    lifeline.stored(2.0)
    for now_s in range(2, 13):
        lifeline.heard(float(now_s))
    assert lifeline.silent(8.5)
    assert not lifeline.cut(13.0)
    assert lifeline.cut(13.5)

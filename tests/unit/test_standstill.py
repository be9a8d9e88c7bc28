"""A loop that stood still: how old what is read after it may be."""

from relay.edge.standstill import CATCH_UP_S, Standstill


def turning(standstill: Standstill, first_s: float, last_s: float) -> None:
    """The loop turns four times a second."""
    for quarter in range(int(first_s * 4), int(last_s * 4) + 1):
        standstill.turn(quarter / 4)


def test_while_the_loop_turns_what_is_read_came_just_now() -> None:
    standstill = Standstill(0.0)
    turning(standstill, 0.0, 10.0)
    assert standstill.since(10.2) == 10.2


def test_what_is_read_first_after_a_standstill_may_have_come_at_its_beginning() -> None:
    standstill = Standstill(0.0)
    turning(standstill, 0.0, 10.0)
    assert standstill.since(15.9) == 10.0, "also before the loop's own next turn"
    standstill.turn(15.9)
    assert standstill.since(16.0) == 10.0


def test_after_a_while_all_of_that_has_been_read() -> None:
    standstill = Standstill(0.0)
    turning(standstill, 0.0, 10.0)
    turning(standstill, 15.0, 15.0 + CATCH_UP_S)
    assert standstill.since(15.0 + CATCH_UP_S) == 15.0 + CATCH_UP_S

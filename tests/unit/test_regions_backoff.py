"""How long a process that died has to wait."""

from itertools import accumulate, repeat

from regions.backoff import next_delay


def test_the_delay_doubles_up_to_ten_seconds() -> None:
    delays = list(accumulate(repeat(1.0, 7), next_delay, initial=0.0))[1:]
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_steady_life_starts_the_count_anew() -> None:
    assert next_delay(10.0, 29.9) == 10.0
    assert next_delay(10.0, 30.0) == 0.5

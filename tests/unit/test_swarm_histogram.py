"""Times are counted in buckets that are near enough."""

from hypothesis import given
from hypothesis import strategies as st

from regions.swarm.figures import ACK, DELIVERY, Second, Tally, histogram, summed, together
from regions.swarm.histogram import Histogram, bucket_of, middle_of


@given(st.integers(0, 10**10))
def test_what_is_read_back_is_wrong_by_less_than_half_a_percent(us: int) -> None:
    assert abs(middle_of(bucket_of(us)) - us) <= max(us * 0.004, 0.5)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_buckets_keep_the_order(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert bucket_of(low) <= bucket_of(high)


@given(st.lists(st.integers(0, 10**7), min_size=1))
def test_percentiles_are_those_of_the_times(times: list[int]) -> None:
    one = Histogram()
    for us in times:
        one.add(us)
    ordered = sorted(times)
    for share, found in zip((0.5, 0.99, 1.0), one.at(0.5, 0.99, 1.0), strict=True):
        exact = ordered[max(-(-len(ordered) * share // 1), 1).__int__() - 1]
        assert abs(found * 1000 - exact) <= max(exact * 0.004, 0.5)


def test_none_have_no_percentiles_and_negative_times_are_none() -> None:
    one = Histogram()
    assert one.at(0.5, 0.99) == [0.0, 0.0]
    one.add(-5)
    assert one.at(1.0) == [0.0]


@given(st.lists(st.integers(0, 10**6)), st.lists(st.integers(0, 10**6)))
def test_two_together_are_as_one(first: list[int], second: list[int]) -> None:
    one, other, both = Histogram(), Histogram(), Histogram()
    for us in first:
        one.add(us)
        both.add(us)
    for us in second:
        other.add(us)
        both.add(us)
    one.merge(other.counts)
    assert one.counts == both.counts
    assert one.total == len(first) + len(second)


def test_what_was_taken_is_gone_and_whoever_holds_a_histogram_goes_on_with_it() -> None:
    tally = Tally()
    acks = tally.time(ACK)
    acks.add(5)
    tally.counts["opened"] += 1
    assert tally.take() == ({"opened": 1}, {ACK: {5: 1}})
    acks.add(6)
    assert tally.take() == ({}, {ACK: {6: 1}})


def test_seconds_of_processes_and_moments_add_up() -> None:
    pair = f"{DELIVERY} us>eu"
    one = Second(number=3, index=0, wanted=5, here=4, counts={"opened": 1}, times={pair: {5: 2}},
                 cpu_s=0.5, rss_bytes=10)  # fmt: skip
    other = Second(number=3, index=1, wanted=5, here=5, waiting=1, counts={"opened": 2},
                   times={pair: {5: 1}, f"{DELIVERY} eu>eu": {7: 1}}, cpu_s=0.25,
                   rss_bytes=20)  # fmt: skip
    moment = together(3, [one, other])
    assert (moment.wanted, moment.here, moment.waiting, moment.rss_bytes) == (10, 9, 1, 30)
    assert (moment.counts, moment.cpus) == ({"opened": 3}, (0.5, 0.25))
    assert moment.p(DELIVERY, 0.5, 1.0) == [0.005, 0.007]
    counts, times = summed([moment, moment])
    assert counts["opened"] == 6
    assert histogram(times, DELIVERY).total == 8
    assert histogram(times, pair).total == 6

"""What a stream does not hold is found by asking what follows a place."""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from relay.bus.gaps import MOST_PROBES, find_gaps
from relay.core.runs import NONE, Runs


class Stream:
    """Some sequences, and how often it was asked."""

    def __init__(self, held: list[int]) -> None:
        self.held = held
        self.asked = 0

    async def follows(self, seq: int) -> int | None:
        self.asked += 1
        at = bisect_left(self.held, seq)
        return self.held[at] if at < len(self.held) else None

    @property
    def gaps(self) -> Runs:
        return Runs.between(self.held[0], self.held[-1]) - Runs.of(self.held)

    async def found(self, known: Runs = NONE) -> Runs:
        first, last, lacking = self.held[0], self.held[-1], len(self.gaps)
        return await find_gaps(self.follows, first, last, lacking, known)


@given(st.sets(st.integers(1, 300), min_size=1), st.data())
async def test_all_of_it_is_found(held: set[int], data: st.DataObject) -> None:
    stream = Stream(sorted(held))
    some = [run for run in stream.gaps.runs if data.draw(st.booleans())]
    assert await stream.found(Runs(tuple(some))) == stream.gaps


async def test_a_run_of_millions_takes_some_fifty_questions() -> None:
    stream = Stream([*range(100, 3_000), *range(9_000_000, 9_001_000)])
    assert (await stream.found()).runs == ((3_000, 8_999_999),)
    assert stream.asked < 60


async def test_a_few_runs_of_many_sizes_are_all_found() -> None:
    lacking = [(1_000_000, 1_900_000), (2_000_001, 2_050_000), (2_600_000, 2_602_000)]
    held = Runs.between(1, 3_000_000) - Runs(tuple(lacking))
    stream = Stream(list(held))
    assert (await stream.found()).runs == tuple(lacking)
    assert stream.asked <= MOST_PROBES


async def test_questions_are_bounded_and_what_is_found_is_true() -> None:
    stream = Stream(list(range(1, 100_000, 3)))
    found = await stream.found()
    assert stream.asked <= MOST_PROBES
    assert found
    assert not found - stream.gaps


async def test_a_stream_that_lacks_nothing_is_not_asked() -> None:
    stream = Stream([1, 2, 3])
    assert (await stream.found(), stream.asked) == (NONE, 0)

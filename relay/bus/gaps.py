"""Finds what a stream does not hold where it is too much to be named: by asking what follows."""

from collections.abc import Awaitable, Callable

from relay.core.runs import Runs

MOST_PROBES = 2_000  # questions; a run of millions takes some fifty


async def find_gaps(
    follows: Callable[[int], Awaitable[int | None]],
    first: int,
    last: int,
    lacking: int,
    known: Runs,
    enough: Callable[[], bool] = lambda: False,
) -> Runs:
    """The runs between `first` and `last` that are not there, as far as they are found.

    A run can't be passed by steps that are no longer than it is. So steps begin as long as all
    that is sought, which finds it at once where it is one run, and get shorter.

    Args:
        follows: the first sequence from the one given on that is there; None: there is none.
        first, last: of the stream; both are there.
        lacking: how many in between are not.
        known: some of those.
        enough: asked before each question: whether to leave it at what is found.
    """
    found, asked, step = known, 0, lacking - len(known)

    async def ask(seq: int) -> int:
        nonlocal asked
        asked += 1
        answer = await follows(seq)
        return last + 1 if answer is None else answer

    def go_on() -> bool:
        return len(found) < lacking and asked < MOST_PROBES and not enough()

    async def begin(low: int, high: int, end: int) -> int:
        """Where the run begins that `high` is in and that ends before `end`; or close behind."""
        while low < high and go_on():
            middle = (low + high) // 2
            if await ask(middle) == end:
                high = middle
            else:
                low = middle + 1
        return high

    while step and go_on():
        at = first
        while at <= last and go_on():
            if at in found:
                at = found.within(at, last).runs[0][1] + 1
                continue
            end = await ask(at)
            if end > at:
                found |= Runs.between(await begin(max(at - step + 1, first), at, end), end - 1)
            at = end + step
        step = min(max(step // 4, 1), lacking - len(found)) if step > 1 else 0
    return found

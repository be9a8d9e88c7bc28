"""Whether a mirror parted from its origin, and what only it holds, where it skipped some too."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from regions.forks import ABOVE, FORKS, SEQUENCE, STAMP, SUBJECT, Fork, find_fork, save


class Stream:
    """A stream of a region: what stands under each sequence."""

    def __init__(self, held: Mapping[int, str], forks: str = "", above: int = 0) -> None:
        self.region, self.held = "eu", held
        self._metadata = {FORKS: forks, ABOVE: str(above)}
        self.reads = 0

    async def info(self, _stream: str) -> dict[str, Any]:
        """As JetStream says it."""
        return {"config": {"metadata": self._metadata}}

    async def messages(
        self, _stream: str, first: int, batch: int
    ) -> list[tuple[dict[str, str], bytes]]:
        """Some messages from a sequence on."""
        self.reads += 1
        seqs = sorted(seq for seq in self.held if seq >= first)[:batch]
        headers = {SUBJECT: "ev.us._.0.a", STAMP: "2026-01-01T00:00:00Z"}
        return [(headers | {SEQUENCE: str(seq)}, self.held[seq].encode()) for seq in seqs]


def stream(*runs: tuple[int, int, str], forks: str = "", above: int = 0) -> Any:
    held = {seq: f"{what}{seq}" for first, last, what in runs for seq in range(first, last + 1)}
    return cast("Any", Stream(held, forks, above))


@pytest.mark.parametrize(
    ("mirror", "first"),
    [
        (stream((1, 9, "a"), (10, 14, "b"), (15, 40, "a")), 10),
        (stream((1, 9, "a"), (12, 14, "b"), (15, 40, "a")), 12),  # it skipped the first two
        (stream((1, 5, "a"), (6, 14, "b"), (15, 40, "a")), 6),  # noted later than where it is
        (stream((1, 5, "a"), (9, 14, "b"), (15, 40, "a")), 9),
        (stream((1, 4, "b"), (9, 14, "b"), (15, 40, "a")), 1),
        (stream((11, 14, "b"), (15, 40, "a")), 11),  # limits have dropped what came before
        (stream((1, 40, "a")), 0),
        (stream((1, 9, "a"), (12, 40, "a")), 0),
        (stream((1, 9, "a")), 0),
        (stream((30, 40, "b")), 0),  # above the epoch's begin, which is another matter
        (stream(), 0),
    ],
)
async def test_a_mirror_parted_where_it_holds_other_events_than_its_origin(
    mirror: Any, first: int
) -> None:
    home = stream((1, 40, "a"), forks="10", above=20)
    assert await find_fork("us", home, mirror) == (Fork("EV_us", first, 20) if first else None)


async def test_a_mirror_parted_also_where_its_origin_has_dropped_the_fork() -> None:
    home = stream((12, 40, "a"), forks="10", above=20)
    mirror = stream((1, 14, "b"), (15, 40, "a"))
    assert await find_fork("us", home, mirror) == Fork("EV_us", 12, 20)


@pytest.mark.parametrize("begins", [1, 20, 3_000])
async def test_a_mirror_that_did_not_part_costs_a_few_reads(begins: int) -> None:
    home, mirror = stream((1, 4_000, "a"), forks="10", above=4_000), stream((begins, 4_000, "a"))
    assert await find_fork("us", home, mirror) is None
    assert home.reads == mirror.reads <= 2


async def test_what_only_the_mirror_holds_is_saved(tmp_path: Path) -> None:
    home = stream((1, 2_000, "a"), forks="10", above=1_500)
    mirror = stream((1, 4, "a"), (7, 1_300, "b"), (1_301, 2_000, "a"))
    fork = await find_fork("us", home, mirror)
    assert fork is not None
    path = await save(fork, home, mirror, tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["seq"], line["data"]) for line in lines] == [
        (seq, f"b{seq}") for seq in range(7, 1_301)
    ]

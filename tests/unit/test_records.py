"""Records of `s`: what a replica that is behind does not show is no proof that there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
import pytest

from relay.bus.events import SEQUENCE
from relay.bus.reader import Page
from relay.bus.reader import Reader as BusReader
from relay.bus.records import Record, find_record, last_record, newest_record
from relay.core.names import record_subject, records_stream
from relay.core.numbering import s_at
from relay.errors import UnavailableError

SLOT, BEGAN_MS = 3, 1_800_000_000_000


def s_after(seconds: float) -> int:
    return s_at(BEGAN_MS + round(seconds * 1000), SLOT)


def records(*seconds: float) -> list[Record]:
    return [Record(s_after(each), "us-1", {"us": (1, round(each))}) for each in seconds]


@dataclass
class Reader:
    """Three reads may be answered by three replicas."""

    leader: Sequence[Record]
    newest: Sequence[Record]  # held by the replica that is asked for the newest
    others: Sequence[Record]  # held by the one that is asked for those of a time

    def _here(self, stream: str, subject: str) -> None:
        assert (stream, subject) == (records_stream("us"), record_subject("us", SLOT))

    async def last_by_subject(
        self, stream: str, subject: str
    ) -> tuple[dict[str, str], bytes] | None:
        self._here(stream, subject)
        return ({}, msgspec.json.encode(self.newest[-1])) if self.newest else None

    async def last_seq(self, stream: str, subject: str) -> int | None:
        self._here(stream, subject)
        return len(self.leader) or None

    async def last_data(self, stream: str, subject: str) -> bytes | None:
        self._here(stream, subject)
        return msgspec.json.encode(self.leader[-1]) if self.leader else None

    async def since(self, stream: str, _start: str, *, batch: int, subject: str) -> Page:
        self._here(stream, subject)
        assert len(self.others) <= batch
        found = [
            ({SEQUENCE: str(seq)}, msgspec.json.encode(record))
            for seq, record in enumerate(self.others, 1)
        ]
        return Page(tuple(found), pending=0)


def reader(leader: list[Record], newest: list[Record], others: list[Record]) -> BusReader:
    return cast("BusReader", Reader(leader, newest, others))


ALL = records(0, 1, 2, 3)


@pytest.mark.parametrize(
    ("newest", "others", "wanted"),
    [
        (ALL, ALL, 1),
        (ALL[:1], ALL, 0),  # an older one: more is sent again than has to be
        (ALL, ALL[:1], 0),
    ],
)
async def test_the_newest_before_it_that_is_shown(
    newest: list[Record], others: list[Record], wanted: int
) -> None:
    found = await find_record(reader(ALL, newest, others), "us", s_after(1.5), coming=False)
    assert found == ALL[wanted]


@pytest.mark.parametrize(("newest", "others"), [([], ALL), (ALL, [])])
async def test_a_replica_that_shows_none_is_not_believed(
    newest: list[Record], others: list[Record]
) -> None:
    """Seed 12837: the session was refused for good, as expired."""
    with pytest.raises(UnavailableError, match="not shown yet"):
        await find_record(reader(ALL, newest, others), "us", s_after(1.5), coming=False)


@pytest.mark.parametrize("held", [[], ALL])
async def test_none_where_none_is_before_it(held: list[Record]) -> None:
    assert await find_record(reader(held, held, held), "us", s_after(-0.5), coming=False) is None


@pytest.mark.parametrize("held", [[], ALL])
async def test_those_from_before_it_may_be_on_their_way(held: list[Record]) -> None:
    """Seed 23192: an edge of a region that was cut off had begun a slot; its client came here.

    Seed 3728: the copy of the records had skipped all that came before.
    """
    with pytest.raises(UnavailableError, match="from before here yet"):
        await find_record(reader(held, held, held), "us", s_after(-0.5), coming=True)
    assert await find_record(reader(ALL, ALL, ALL), "us", s_after(1.5), coming=True) == ALL[1]


async def test_what_an_edge_goes_on_from_is_asked_of_the_leader() -> None:
    assert await last_record(reader(ALL, ALL[:1], ALL), "us", SLOT) == ALL[-1]
    assert await last_record(reader([], [], []), "us", SLOT) is None
    assert await newest_record(reader(ALL, ALL[:1], ALL), "us", SLOT) == ALL[0]

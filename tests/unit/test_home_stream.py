"""Writing a home stream's lost end back: all of it, or a new epoch says that it is gone."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from relay.bus.events import EPOCH as EVENT_EPOCH
from relay.bus.events import MSG_ID, SEQUENCE, STAMP, SUBJECT, rfc3339
from relay.bus.home import ABOVE, EPOCH, FORKS, RESTORED, HomeStream, home_of
from relay.bus.reader import Page, StreamInfo, remote_api
from relay.core.gate import (
    AskMirrors,
    Held,
    NoteEpoch,
    Repair,
    StartEpoch,
    Witness,
    first_look,
    second_look,
)
from relay.core.names import void_subject
from relay.errors import BusError, UnavailableError

INFO = StreamInfo(1, 4, 4, 0, 0, "monday", {}, {"name": "EV_eu"})


class Regions:
    """The home stream `eu`, which ends at 4, and what its mirrors hold of it."""

    def __init__(self, mirrors: Mapping[str, set[int]]) -> None:
        self.mirrors = mirrors
        self.puts: list[tuple[int, str]] = []
        self.metadata: dict[str, str] = {}
        self.last = 4
        self.hidden: set[int] = set()  # held by leaders, and not shown by the replicas that answer
        self.ids: dict[str, int] = {}  # of what was stored: when (in s)
        self.fails: list[int] = []  # sequences that are not stored at the first try

    async def page(self, stream: str, seq: int, *, batch: int, api: str) -> Page:
        """A page of a mirror."""
        assert stream == "EV_eu"
        region = next((one for one in self.mirrors if api == remote_api(one)), None)
        if region is None:
            raise UnavailableError("the link is cut")
        shown = sorted(each for each in self.mirrors[region] if each >= seq)[:batch]
        return Page(tuple((self._headers(each), b"{}") for each in shown), 0)

    def _headers(self, seq: int) -> dict[str, str]:
        """An event every 70 s; every other one has the same id."""
        stamp = rfc3339(1_800_000_000_000 + 70_000 * seq)
        return {
            SEQUENCE: str(seq), SUBJECT: "ev.eu._.0.a", STAMP: stamp, MSG_ID: f"id{seq % 2}",
            "Jr-Id": f"id{seq % 2}",
        }  # fmt: skip

    async def next_seq(self, _stream: str, seq: int, _subject: str, *, api: str) -> int | None:
        """By a mirror's leader."""
        region = next(one for one in self.mirrors if api == remote_api(one))
        held = self.mirrors[region] | self.hidden
        return min((each for each in held if each >= seq), default=None)

    async def api(self, call: str, request: dict[str, Any]) -> dict[str, Any]:
        """What is written into the stream's configuration."""
        assert call == "STREAM.UPDATE.EV_eu"
        self.metadata = request["metadata"]
        return {}

    async def request(
        self, subject: str, _data: bytes, _timeout_s: float, headers: dict[str, str]
    ) -> tuple[dict[str, str], bytes]:
        """Store a message under the sequence that it is for."""
        assert int(headers["Nats-Expected-Last-Sequence"]) == self.last
        if self.last + 1 in self.fails:
            self.fails.remove(self.last + 1)
            raise UnavailableError("no answer in time")
        if headers.get(MSG_ID) in self.ids:
            return {}, json.dumps(
                {"stream": "EV_eu", "seq": self.ids[headers[MSG_ID]], "duplicate": True}
            ).encode()
        self.last += 1
        if MSG_ID in headers:
            self.ids[headers[MSG_ID]] = self.last
        self.puts.append((self.last, subject + headers.get(EVENT_EPOCH, "")))
        return {}, json.dumps({"stream": "EV_eu", "seq": self.last}).encode()


def home(regions: Regions) -> HomeStream:
    """Of eu."""
    return HomeStream(cast("Any", regions), cast("Any", regions), "eu")


@pytest.mark.parametrize(
    "mirrors",
    [{"us": set(range(1, 9))}, {"us": {1, 2, 5, 8}, "ap": {6, 7}}],
)
async def test_an_end_that_the_mirrors_hold_together_is_written_back(
    mirrors: Mapping[str, set[int]],
) -> None:
    regions = Regions(mirrors)
    others = tuple(region for region in mirrors if region != "us")
    await home(regions).carry_out(Repair("us", 4, 8, others, epoch=2), INFO)
    assert regions.puts == [(seq, "ev.eu._.0.a") for seq in range(5, 9)]
    assert regions.metadata == {}


@pytest.mark.parametrize("others", [(), ("ap",)])
async def test_what_no_mirror_holds_is_declared_by_a_new_epoch(others: tuple[str, ...]) -> None:
    regions = Regions({"us": {1, 2, 3, 4, 8}})  # it skipped 5 to 7; ap does not answer
    await home(regions).carry_out(Repair("us", 4, 8, others, epoch=2), INFO)
    void = void_subject("eu") + "2"
    assert regions.puts == [(seq, void) for seq in range(5, 10)]
    assert (regions.metadata[EPOCH], regions.metadata[ABOVE]) == ("2", "9")
    assert regions.metadata[FORKS] == "5"


async def test_an_epoch_says_from_where_on_mirrors_that_nobody_could_ask_may_differ() -> None:
    regions = Regions({})
    await home(regions).carry_out(StartEpoch(2, 6), INFO)
    assert regions.puts == [(seq, void_subject("eu") + "2") for seq in range(5, 8)]
    assert (regions.metadata[ABOVE], regions.metadata[FORKS]) == ("7", "5")


async def test_an_epoch_that_is_finished_says_no_more_than_when_it_began() -> None:
    regions = Regions({})
    regions.last = 5
    begun = replace(INFO, last=5, metadata={EPOCH: "2", ABOVE: "7", FORKS: "5"})
    await home(regions).carry_out(StartEpoch(2, 7), begun)
    assert [seq for seq, _ in regions.puts] == [6, 7]
    assert regions.metadata[FORKS] == "5"


async def test_two_old_events_of_one_id_are_written_back_both() -> None:
    """They came 140 s apart, and are written back within a moment."""
    regions = Regions({"us": set(range(1, 13))})
    await home(regions).carry_out(Repair("us", 4, 12, epoch=2), INFO)
    assert regions.last == 12
    assert regions.ids == {"id1": 11, "id0": 12}, "what may come once more is known by its id"


async def test_a_lost_stream_is_known_as_such_before_it_is_whole() -> None:
    """Else whoever looks while it is written back takes it for another one, and starts an epoch."""
    regions = Regions({"us": set(range(1, 9))})
    regions.fails = [7]
    with pytest.raises(UnavailableError):
        await home(regions).carry_out(Repair("us", 4, 8, lost=("sunday",), epoch=2), INFO)
    assert regions.metadata[RESTORED] == "sunday@8"
    half = home_of(replace(INFO, last=regions.last, metadata=regions.metadata))
    saw, held = Witness(8, "sunday"), {"us": Held(8)}
    assert isinstance(first_look(half, [saw]), AskMirrors)
    assert second_look(half, [saw], held, asked=1) == Repair("us", regions.last, 8, epoch=2)


async def test_what_a_replica_does_not_show_is_not_taken_for_gone() -> None:
    regions = Regions({"us": {1, 2, 5, 8}, "ap": {1}})
    regions.hidden = {6, 7}
    with pytest.raises(BusError, match="does not show all"):
        await home(regions).carry_out(Repair("us", 4, 8, ("ap",), epoch=2), INFO)
    assert (regions.puts, regions.metadata) == ([], {})


async def test_the_epoch_that_a_lost_stream_was_in_is_noted_before_it_is_written_back() -> None:
    regions = Regions({"us": set(range(1, 9))})
    regions.fails = [6]
    with pytest.raises(UnavailableError):
        await home(regions).carry_out(Repair("us", 4, 8, epoch=4, resumed=3), INFO)
    assert (regions.metadata[EPOCH], regions.metadata[ABOVE]) == ("3", "0")
    regions.metadata = {}
    await home(regions).carry_out(NoteEpoch(2), INFO)
    assert regions.metadata[EPOCH] == "2"
    assert home_of(replace(INFO, metadata=regions.metadata)).epoch == 2

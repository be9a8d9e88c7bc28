"""Writing a home stream's lost end back: all of it, or a new epoch says that it is gone."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from relay.bus.events import EPOCH as EVENT_EPOCH
from relay.bus.events import SEQUENCE, SUBJECT
from relay.bus.home import ABOVE, EPOCH, FORKS, HomeStream
from relay.bus.reader import Page, StreamInfo, remote_api
from relay.core.gate import Repair, StartEpoch
from relay.core.names import void_subject
from relay.errors import UnavailableError

INFO = StreamInfo(1, 4, 4, 0, 0, "monday", {}, {"name": "EV_eu"})


class Regions:
    """The home stream `eu`, which ends at 4, and what its mirrors hold of it."""

    def __init__(self, mirrors: Mapping[str, set[int]]) -> None:
        self.mirrors = mirrors
        self.puts: list[tuple[int, str]] = []
        self.metadata: dict[str, str] = {}
        self.last = 4

    async def page(self, stream: str, seq: int, *, batch: int, api: str) -> Page:
        """A page of a mirror."""
        assert stream == "EV_eu"
        region = next((one for one in self.mirrors if api == remote_api(one)), None)
        if region is None:
            raise UnavailableError("the link is cut")
        shown = sorted(each for each in self.mirrors[region] if each >= seq)[:batch]
        return Page(
            tuple(({SEQUENCE: str(each), SUBJECT: "ev.eu._.0.a"}, b"{}") for each in shown), 0
        )

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
        self.last += 1
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
    began = await home(regions).carry_out(Repair("us", 4, 8, others, epoch=2), INFO)
    assert not began
    assert regions.puts == [(seq, "ev.eu._.0.a") for seq in range(5, 9)]
    assert regions.metadata == {}


@pytest.mark.parametrize("others", [(), ("ap",)])
async def test_what_no_mirror_holds_is_declared_by_a_new_epoch(others: tuple[str, ...]) -> None:
    regions = Regions({"us": {1, 2, 3, 4, 8}})  # it skipped 5 to 7; ap does not answer
    began = await home(regions).carry_out(Repair("us", 4, 8, others, epoch=2), INFO)
    assert began
    void = void_subject("eu") + "2"
    assert regions.puts == [(seq, void) for seq in range(5, 10)]
    assert (regions.metadata[EPOCH], regions.metadata[ABOVE]) == ("2", "9")
    assert regions.metadata[FORKS] == "5"


async def test_an_epoch_says_from_where_on_mirrors_that_nobody_could_ask_may_differ() -> None:
    regions = Regions({})
    assert await home(regions).carry_out(StartEpoch(2, 6), INFO)
    assert regions.puts == [(seq, void_subject("eu") + "2") for seq in range(5, 8)]
    assert (regions.metadata[ABOVE], regions.metadata[FORKS]) == ("7", "5")


async def test_an_epoch_that_is_finished_says_no_more_than_when_it_began() -> None:
    regions = Regions({})
    regions.last = 5
    begun = replace(INFO, last=5, metadata={EPOCH: "2", ABOVE: "7", FORKS: "5"})
    assert await home(regions).carry_out(StartEpoch(2, 7), begun)
    assert [seq for seq, _ in regions.puts] == [6, 7]
    assert regions.metadata[FORKS] == "5"

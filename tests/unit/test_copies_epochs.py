"""In which epoch an origin's stream is, where a replica that answers may be behind."""

from dataclasses import dataclass
from typing import Any, cast

import pytest

from relay.bus.copies import Copies
from relay.bus.events import EPOCH, SEQUENCE
from relay.bus.reader import API, StreamInfo, remote_api
from relay.core.names import mark_subject, void_subject
from relay.errors import BusError, UnavailableError

OLD = {mark_subject("us"): (25, 1), void_subject("us"): (12, 1)}
NEW = {mark_subject("us"): (41, 1), void_subject("us"): (29, 2)}  # an edge has not heard of it yet
CLAIMED = 40


@dataclass
class Leaders:
    """The leaders of a stream of us: of the mirror here, and of the stream there."""

    here: dict[str, tuple[int, int]]
    there: dict[str, tuple[int, int]]
    last: int = 41  # that each holds
    exists: bool = True

    async def info(self, _stream: str) -> StreamInfo:
        """Of the one here."""
        if not self.exists:
            raise BusError("stream not found")
        return StreamInfo(1, self.last, self.last, 0, 0, "monday", {"epoch": "7"}, {})

    async def last_seq(self, _stream: str, subject: str, *, api: str) -> int:
        """Of the one there."""
        assert (subject, api) == (">", remote_api("us"))
        return self.last

    async def last_headers(self, _stream: str, subject: str, *, api: str) -> dict[str, str] | None:
        """Of the newest message there, or here."""
        held = (self.here if api == API else self.there).get(subject)
        return None if held is None else {SEQUENCE: str(held[0]), EPOCH: str(held[1])}


def copies(leaders: Leaders, region: str = "eu") -> Copies:
    """Of a region, with its streams."""
    return Copies(cast("Any", leaders), region, ["us", "eu"])


async def test_the_leader_says_which_epoch_a_stream_is_in_whatever_replica_showed_it() -> None:
    of = copies(Leaders(here=NEW, there=OLD))
    assert await of.epoch_at("us", API, CLAIMED) == 2
    assert await of.epoch_at("us", API) == 2
    assert await of.epoch_at("us", remote_api("us"), CLAIMED) == 1
    assert await copies(Leaders({}, {})).epoch_at("us", API) == 1


@pytest.mark.parametrize("api", [API, remote_api("us")])
async def test_a_leader_that_holds_less_than_was_shown_says_nothing_of_it(api: str) -> None:
    leaders = Leaders(here=OLD, there=OLD, last=39)
    with pytest.raises(UnavailableError, match="does not hold 40"):
        await copies(leaders).epoch_at("us", api, CLAIMED)


async def test_a_mirror_that_is_made_anew_says_nothing_either() -> None:
    with pytest.raises(UnavailableError, match="made anew"):
        await copies(Leaders(NEW, NEW, exists=False)).epoch_at("us", API, CLAIMED)


async def test_a_home_stream_says_its_epoch_itself() -> None:
    assert await copies(Leaders({}, {}), "us").epoch_at("us", API, 99) == 7

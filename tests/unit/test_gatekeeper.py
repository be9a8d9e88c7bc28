"""The gate at work: an epoch that it starts is one, whatever answer is lost on the way."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from relay.bus import gatekeeper
from relay.bus.events import EPOCH as EVENT_EPOCH
from relay.bus.events import SEQUENCE, SUBJECT
from relay.bus.gatekeeper import Gatekeeper
from relay.bus.home import EPOCH
from relay.bus.reader import Page, StreamInfo
from relay.core.names import void_subject
from relay.errors import UnavailableError


@dataclass
class Region:
    """The home stream `us` behind a connection, cut off from all other regions."""

    stamps: dict[int, str] = field(default_factory=lambda: dict.fromkeys(range(1, 5), "1"))
    metadata: dict[str, str] = field(default_factory=dict)
    on_update: Callable[[], None] = lambda: None
    on_put: Callable[[], None] = lambda: None
    edge: str = "us-1"
    server_id: str = "nats"

    async def listen(self, _subject: str, _sink: object) -> None:
        """No other edge asks."""

    def open(self, _sink: object) -> str:
        """A question that nobody answers."""
        return "reply"

    def close(self, reply: str) -> None:
        """It is over."""

    async def send(self, subject: str, data: bytes, reply: str) -> None:
        """Nobody hears it."""

    async def take_duty(self, _duty: str) -> bool:
        """It is this edge's."""
        return True

    async def drop_duty(self, duty: str) -> None:
        """It was."""

    async def info(self, _stream: str) -> StreamInfo:
        """As it stands."""
        last = max(self.stamps)
        return StreamInfo(1, last, last, 0, 0, "monday", dict(self.metadata), {"name": "EV_us"})

    async def page(self, _stream: str, seq: int, *, batch: int) -> Page:
        """What it holds."""
        shown = [one for one in sorted(self.stamps) if one >= seq][:batch]
        subject = void_subject("us")
        return Page(
            tuple(
                ({SEQUENCE: str(one), SUBJECT: subject, EVENT_EPOCH: self.stamps[one]}, b"{}")
                for one in shown
            ),
            0,
        )

    async def last_seq(self, *_: object, **__: object) -> None:
        """Of a mirror."""
        raise UnavailableError("the link is cut")

    async def api(self, _call: str, request: dict[str, Any]) -> dict[str, Any]:
        """Its configuration is replaced."""
        self.metadata = request["metadata"]
        self.on_update()
        return {}

    async def request(
        self, _subject: str, _data: bytes, _timeout_s: float, headers: dict[str, str]
    ) -> tuple[dict[str, str], bytes]:
        """A message is stored, where it is expected."""
        last = max(self.stamps)
        assert int(headers["Nats-Expected-Last-Sequence"]) == last
        self.stamps[last + 1] = headers[EVENT_EPOCH]
        self.on_put()
        return {}, json.dumps({"stream": "EV_us", "seq": last + 1}).encode()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mirrors that never answer are not waited for."""
    monkeypatch.setattr(gatekeeper, "MIRRORS_S", 0.0)


def gate(region: Region) -> Gatekeeper:
    """Of an edge that has just started."""
    part = cast("Any", region)
    return Gatekeeper(part, part, part, part, "us", ["eu"])


def once(error: Exception) -> Callable[[], None]:
    """Fails the first time."""
    errors = [error]

    def fail() -> None:
        if errors:
            raise errors.pop()

    return fail


@pytest.mark.parametrize("lost", ["neither", "on_update", "on_put"])
async def test_an_epoch_whose_answer_is_lost_is_not_followed_by_another(lost: str) -> None:
    region = Region()
    if lost != "neither":
        setattr(region, lost, once(UnavailableError("no answer in time")))
    keeper = gate(region)
    await keeper.start()
    async with asyncio.timeout(30):
        await keeper.opened()
    await keeper.close()
    assert (keeper.epoch, region.metadata[EPOCH]) == (2, "2")
    assert region.stamps == dict.fromkeys(range(1, 5), "1") | {5: "2"}


async def test_an_epoch_that_a_lost_connection_breaks_off_is_finished_as_it_is() -> None:
    region = Region()
    keeper = gate(region)

    def reconnected() -> None:
        region.on_put = lambda: None
        region.server_id = "the same, started again"
        keeper.look()

    region.on_put = reconnected
    await keeper.start()
    async with asyncio.timeout(30):
        await keeper.opened()
    await keeper.close()
    assert (keeper.epoch, region.metadata[EPOCH]) == (2, "2")
    assert max(region.stamps) == 5

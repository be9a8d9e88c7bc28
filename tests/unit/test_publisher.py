"""The deadline of a publish: from when its frame came, whatever it waited for since."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from relay.bus.publisher import Publication, Publisher
from relay.errors import UnavailableError


class _Gate:
    """Open, in its first epoch."""

    epoch = 1
    is_open = True

    async def opened(self) -> None:
        pass

    def saw(self, _seq: int) -> None:
        pass


class _Inbox:
    """A stream that stores what comes; silent: it takes it, and does not answer."""

    def __init__(self, *, silent: bool = False) -> None:
        self.taken: list[bytes] = []
        self._silent = silent

    async def request(self, _subject: str, data: bytes, *_: object) -> tuple[dict[str, str], bytes]:
        self.taken.append(data)
        if self._silent:
            await asyncio.Event().wait()
        return {}, msgspec.json.encode({"stream": "S", "seq": len(self.taken)})


def publisher(inbox: _Inbox, window: int = 8) -> Publisher:
    return Publisher(cast("Any", inbox), cast("Any", _Gate()), "us", window, 1.8)


def publication(ago_s: float, data: bytes = b"1") -> Publication:
    """One whose frame came so many seconds ago."""
    received_s = asyncio.get_running_loop().time() - ago_s
    return Publication("_", "room", "ann", "id", "session", data, 0, received_s)


async def test_what_came_just_now_is_stored() -> None:
    inbox = _Inbox()
    stored = await publisher(inbox).publish(publication(0.0))
    assert (stored.seq, inbox.taken) == (1, [b"1"])


async def test_what_waited_too_long_behind_another_is_refused_and_not_sent() -> None:
    inbox = _Inbox()
    one = publisher(inbox)
    with pytest.raises(UnavailableError):
        await one.publish(publication(1.9))
    assert (inbox.taken, one.failed, one.in_flight) == ([], 1, 0)


async def test_the_rest_of_the_time_is_what_is_waited_for_an_answer() -> None:
    inbox = _Inbox(silent=True)
    one = publisher(inbox)
    late, fresh = publication(1.6, b"late"), publication(0.0, b"fresh")
    publishes = [asyncio.ensure_future(one.publish(each)) for each in (fresh, late)]  # noqa: TID251
    done, waiting = await asyncio.wait(publishes, return_when=asyncio.FIRST_COMPLETED)
    assert (done, waiting) == ({publishes[1]}, {publishes[0]})
    with pytest.raises(UnavailableError):
        await publishes[1]
    with pytest.raises(UnavailableError):
        await publishes[0]
    assert one.in_flight == 0


async def test_who_waits_for_a_place_in_the_window_waits_no_longer() -> None:
    inbox = _Inbox(silent=True)
    one = publisher(inbox, window=1)
    outcomes = await asyncio.gather(
        one.publish(publication(1.5, b"first")),
        one.publish(publication(1.7, b"second")),
        return_exceptions=True,
    )
    assert all(isinstance(outcome, UnavailableError) for outcome in outcomes)
    assert inbox.taken == [b"first"]


class _Failing(_Inbox):
    """Refuses what comes, as JetStream without a leader does; after `refusals` it stores."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals

    async def request(self, subject: str, data: bytes, *_: object) -> tuple[dict[str, str], bytes]:
        if self.refusals:
            self.refusals -= 1
            self.taken.append(data)
            raise UnavailableError("nobody answers")
        return await super().request(subject, data)


@pytest.mark.parametrize("wanted", [True, False])
async def test_what_got_no_answer_is_sent_again_only_while_its_session_is_here(
    wanted: bool,
) -> None:
    inbox = _Failing(1)
    one = publisher(inbox)
    if wanted:
        assert (await one.publish(publication(0.0), lambda: True)).seq == 2
    else:
        with pytest.raises(UnavailableError, match="ended"):
            await one.publish(publication(0.0), lambda: False)
    assert (len(inbox.taken), one.failed) == ((2, 0) if wanted else (1, 1))


async def test_what_waited_for_nothing_is_stored_also_for_who_left_at_once() -> None:
    inbox = _Inbox()
    assert (await publisher(inbox).publish(publication(0.0), lambda: False)).seq == 1

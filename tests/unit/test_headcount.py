"""How many are here: comings and goings of one edge, and the log's form of them."""

import random

import pytest

from relay.core.device import device_of
from relay.core.headcount import Headcount, How, Who
from relay.core.log import pack_keys, session_key, unpack_keys
from relay.core.session_id import SessionIds


def test_users_are_counted_once_and_labels_by_session() -> None:
    count = Headcount()
    count.came("a", Who("_", "ana", country="DE"), How.IDENTIFY)
    count.came("b", Who("_", "ana", country="FR"), How.RESUME)
    count.came("c", Who("other", "ana", country="DE"), How.IDENTIFY)
    assert (len(count), count.users, count.changes) == (3, 2, 3)
    count.went("a", 1006)
    assert (len(count), count.users, count.changes) == (2, 2, 4)
    assert count.opened == {"identify": 2, "resume": 1}
    assert count.closed == {1006: 1}
    german, french = count.countries["DE"], count.countries["FR"]
    assert (german.now, german.opened, german.closed) == (1, 2, 1)
    assert (french.now, french.opened, french.closed) == (1, 1, 0)
    assert count.transports["websocket"].now == 2


def test_what_changed_of_users_is_net_and_told_once() -> None:
    count = Headcount()
    count.came("a", Who("_", "ana"), How.IDENTIFY)
    count.came("b", Who("_", "bo"), How.IDENTIFY)
    count.went("b", 1000)
    assert count.take_user_changes() == {("_", "ana"): True, ("_", "bo"): False}
    assert count.take_user_changes() == {}
    count.came("c", Who("_", "ana"), How.IDENTIFY)
    count.went("a", 1000)
    assert count.take_user_changes() == {}, "ana was here all the time"


def test_keys_of_sessions_pack_into_fewer_bytes_and_come_back() -> None:
    ids, dice = SessionIds(b"k" * 32), random.Random(1)
    made = [ids.make("_", f"u{n}", dice.randbytes(16)) for n in range(5_000)]
    keys = [session_key(each) for each in made]
    assert all(len(key) == 8 for key in keys)
    packed = pack_keys(keys)
    assert unpack_keys(packed) == sorted(keys)
    assert len(packed) < 7 * len(keys), "half of the bits of a sorted set say nothing"
    assert unpack_keys(pack_keys([])) == []


@pytest.mark.parametrize("packed", [b"", b"x", pack_keys([b"12345678"])[:-1], pack_keys([])[:4]])
def test_keys_that_were_not_packed_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="packed session keys"):
        unpack_keys(packed)


def test_more_keys_than_there_can_be_are_refused_before_they_are_unpacked() -> None:
    packed = pack_keys(n.to_bytes(8) for n in range(1, 1_001))
    assert len(unpack_keys(packed, most=1_000)) == 1_000
    with pytest.raises(ValueError, match="too many"):
        unpack_keys(packed, most=999)


@pytest.mark.parametrize(
    ("properties", "device"),
    [
        (None, ""),
        ({}, ""),
        ({"os": "linux", "browser": "firefox", "device": "desktop"}, "linux firefox desktop"),
        ({"os": "ios", "browser": "app", "device": "app"}, "ios app"),
        ({"library": "jetrelay"}, "jetrelay"),
        ({"os": "\x1b[31mred\n", "browser": 7, "device": ["x"]}, "[31mred"),
        ({"os": "a" * 500, "device": "b"}, "a" * 64),
        ({"os": "  ", "device": "télé"}, "tl"),
    ],
)
def test_what_a_client_says_it_runs_on_is_a_short_line_of_plain_text(
    properties: dict[str, object] | None, device: str
) -> None:
    assert device_of(properties) == device

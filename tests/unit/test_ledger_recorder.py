"""The recorder: what came on the wire and what the application got of it, in one order."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from regions.ledger.casting import cast
from regions.ledger.content import data_of, hash_of
from regions.ledger.files import Writer, ledger_files, records
from regions.ledger.glass import look
from regions.ledger.record import (
    Base,
    Clock,
    Delivered,
    Down,
    GapSaid,
    LostSaid,
    Ready,
    Resumed,
    Resuming,
    Subscribed,
    Surfaced,
    Unsubscribed,
)
from regions.ledger.recorder import Recorder
from regions.ledger.spec import CrowdSpec, room_names
from relay.client import Disconnected, Gap, Lost, Message
from relay.client.wire import Frame
from relay.core.codes import Op
from relay.core.cursor import Cursor, CursorCodec, Position


def cursor(**places: int) -> str:
    """A cursor as edges make them."""
    positions = {origin: Position(2, seq) for origin, seq in places.items()}
    return CursorCodec(b"k" * 32).encode(Cursor("us", positions))


def message(seq: int, *, replayed: bool = False) -> tuple[Frame, Message]:
    """An event as it comes, and as the application gets it."""
    d: dict[str, Any] = {
        "room": "tea", "data": data_of(seq, ""), "user": "bob", "id": f"b.{seq}", "origin": "us",
        "epoch": 2, "seq": seq, "ts": 1,
    }  # fmt: skip
    frame = Frame(Op.DISPATCH, d, None if replayed else 77, "MESSAGE", cursor(us=seq))
    return frame, msgspec.convert(d, Message)


def ready(session: str) -> Frame:
    """READY."""
    d = {
        "session_id": session, "region": "us", "edge": "us-1", "rooms": ["tea"],
        "cursor": cursor(us=3, eu=4),
    }  # fmt: skip
    return Frame(Op.DISPATCH, d, 1, "READY")


class Scene:
    """A recorder with a file of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writer = Writer(directory, "crowd-0")
        self.recorder = Recorder(self._writer, "ann")

    def close(self) -> None:
        self._writer.close()

    def came(self, frame: Frame) -> None:
        self.recorder.observe("received", frame)

    def sent(self, op: Op, d: object) -> None:
        self.recorder.observe("sent", (op, d))

    def written(self) -> list[Base]:
        """What is on disk, without the clock."""
        self._writer.flush()
        (path,) = ledger_files(self._directory)
        return [record for record, _ in records(path) if not isinstance(record, Clock)]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A recorder with an empty file."""
    one = Scene(tmp_path)
    yield one
    one.close()


def test_one_record_says_that_an_event_came_and_that_the_application_got_it(scene: Scene) -> None:
    frame, event = message(5)
    scene.came(frame)
    assert scene.written() == []
    scene.recorder.surfaced(event)
    (record,) = scene.written()
    assert isinstance(record, Delivered)
    assert (record.client, record.room, record.user, record.id) == ("ann", "tea", "bob", "b.5")
    assert (record.origin, record.epoch, record.seq, record.number) == ("us", 2, 5, 5)
    assert record.hash == hash_of({"pad": "", "n": 5})
    assert record.app
    assert not record.replayed


def test_an_event_that_the_library_dropped_is_written_as_such(scene: Scene) -> None:
    frame, event = message(5)
    scene.came(frame)
    scene.recorder.surfaced(event)
    scene.came(frame)
    later, next_event = message(6, replayed=True)
    scene.came(later)
    scene.recorder.surfaced(next_event)
    said = [(one.seq, one.app, one.replayed) for one in scene.written()]  # type: ignore[attr-defined]
    assert said == [(5, True, False), (5, False, False), (6, True, True)]


def test_an_event_that_the_application_got_out_of_thin_air_is_a_record_of_its_own(
    scene: Scene,
) -> None:
    frame, event = message(5)
    scene.came(frame)
    scene.recorder.surfaced(event)
    scene.recorder.surfaced(event)
    first, second = scene.written()
    assert isinstance(first, Delivered)
    assert isinstance(second, Surfaced)
    assert (second.origin, second.epoch, second.seq) == ("us", 2, 5)


def test_what_came_after_an_event_is_written_after_it(scene: Scene) -> None:
    frame, event = message(5)
    gap = {"origin": "us", "epoch": 2, "first": 6, "last": None, "reason": "epoch"}
    scene.came(frame)
    scene.came(Frame(Op.DISPATCH, gap, None, "GAP"))
    scene.recorder.observe("state", Disconnected(None, "the connection broke"))
    scene.recorder.surfaced(event)
    scene.recorder.surfaced(Gap("us", 2, 6, None, "epoch"))
    event_record, gap_record, down = scene.written()
    assert isinstance(event_record, Delivered)
    assert isinstance(gap_record, GapSaid)
    assert (gap_record.first, gap_record.last, gap_record.why) == (6, None, "epoch")
    assert gap_record.room is None
    assert isinstance(down, Down)
    assert down.heard <= down.t


def test_a_session_is_written_with_the_places_of_its_cursors(scene: Scene) -> None:
    scene.came(Frame(Op.HELLO, {"region": "eu", "edge": "eu-1"}))
    scene.came(ready("S"))
    scene.sent(Op.RESUME, {"session_id": "S", "cursor": cursor(us=5, eu=4)})
    d = {"replayed": 2, "behind": {"eu": 1}, "cursor": cursor(us=7, eu=4)}
    scene.came(Frame(Op.DISPATCH, d, 1, "RESUMED"))
    begun, resuming, resumed = scene.written()
    assert isinstance(begun, Ready)
    assert (begun.session, begun.edge, begun.rooms) == ("S", "us-1", ("tea",))
    assert begun.at == {"us": (2, 3), "eu": (2, 4)}
    assert isinstance(resuming, Resuming)
    assert resuming.at == {"us": (2, 5), "eu": (2, 4)}
    assert isinstance(resumed, Resumed)
    assert (resumed.replayed, resumed.behind, resumed.edge) == (2, {"eu": 1}, "eu-1")
    assert resumed.at == {"us": (2, 7), "eu": (2, 4)}


def test_a_lost_session_is_written_before_the_next_one(scene: Scene) -> None:
    frame, _ = message(5)
    scene.came(frame)
    scene.came(Frame(Op.INVALID_SESSION, False, e={"reason": "expired"}))
    scene.came(ready("S2"))
    scene.recorder.surfaced(Lost("expired", {}, None))
    kinds = [type(record).__name__ for record in scene.written()]
    assert kinds == ["Delivered", "Invalid", "LostSaid", "Ready"]
    lost = scene.written()[2]
    assert isinstance(lost, LostSaid)
    assert lost.why == "expired"


def test_a_room_is_owed_from_its_ack_on(scene: Scene) -> None:
    scene.sent(Op.SUBSCRIBE, {"rooms": [{"room": "sea"}], "nonce": 4})
    scene.came(Frame(Op.ACK, {"nonce": 9}))
    scene.came(Frame(Op.ACK, {"nonce": 4, "rooms": ["sea"]}, c=cursor(us=9)))
    scene.sent(Op.UNSUBSCRIBE, {"rooms": ["sea"], "nonce": 5})
    subscribed, unsubscribed = scene.written()
    assert isinstance(subscribed, Subscribed)
    assert (subscribed.room, subscribed.at) == ("sea", {"us": (2, 9)})
    assert isinstance(unsubscribed, Unsubscribed)


def test_how_far_a_client_got_is_what_came_or_what_its_cursor_says(scene: Scene) -> None:
    frame, _ = message(5)
    scene.came(frame)
    passed = scene.recorder.passed
    assert passed("tea", "us", (2, 5), {})
    assert not passed("tea", "us", (2, 6), {})
    assert not passed("sea", "us", (2, 1), {})
    assert passed("sea", "us", (2, 1), {"us": (2, 5)})
    assert not passed("tea", "us", (3, 1), {"us": (2, 9)})


def test_the_glass_reads_what_edges_write() -> None:
    assert look(cursor(us=7, eu=2**60)) == {"us": (2, 7), "eu": (2, 2**60)}
    assert look(None) == {}
    assert base64.urlsafe_b64decode(cursor(us=7) + "==")  # its format, not only its reader


def test_the_hash_is_of_the_data_not_of_its_order() -> None:
    assert hash_of({"a": 1, "b": [2, "ä"]}) == hash_of({"b": [2, "ä"], "a": 1})
    assert hash_of({"a": 1}) != hash_of({"a": 2})


def test_the_cast_follows_from_the_seed() -> None:
    spec = CrowdSpec(run="r1", seed=7, clients=60, rooms=10, publishers=0.5, msgpack=0.5)
    parts = cast(spec, ["us", "eu", "ap"])
    assert parts == cast(spec, ["us", "eu", "ap"])
    assert parts != cast(msgspec.structs.replace(spec, seed=8), ["us", "eu", "ap"])
    assert [part.region for part in parts[:4]] == ["us", "eu", "ap", "us"]
    assert len({part.name for part in parts}) == 60
    assert all(len(set(part.rooms)) == 3 for part in parts)
    assert {room for part in parts for room in part.rooms} == set(room_names(spec))
    assert 15 < sum(part.publishes for part in parts) < 45
    assert 15 < sum(part.encoding == "msgpack" for part in parts) < 45
    assert {part.edge % 2 for part in parts if part.region == "us"} == {0, 1}

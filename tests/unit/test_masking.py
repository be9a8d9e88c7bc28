"""What of a client's frames an operator sees: payloads with the right to, tokens never."""

import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.codes import Op
from relay.core.masking import MOST_PAYLOAD, handle_of, payloads_in, traced
from relay.core.wire import CODECS, JSON, MSGPACK, Payload
from relay.edge.frames import frame

PUBLISH = {"op": 22, "d": {"room": "chat:a", "data": {"text": "hush"}, "nonce": 1}}
SESSION = "s" * 43


def packed(encoding: str, payload: object) -> bytes:
    """A payload as a client sends it."""
    return json.dumps(payload).encode() if encoding == "json" else msgpack.packb(payload)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_without_the_right_only_what_passes_is_seen(encoding: str) -> None:
    sent = packed(encoding, PUBLISH)
    seen = traced(sent, CODECS[encoding], 7, sent=False, payloads=False)
    assert (seen.op, seen.room, seen.size, seen.at_ms) == (22, "chat:a", len(sent), 7)
    assert seen.d is None
    assert "hush" not in str(seen)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_with_the_right_its_payload_is_seen_as_json(encoding: str) -> None:
    seen = traced(packed(encoding, PUBLISH), CODECS[encoding], 7, sent=False, payloads=True)
    assert json.loads(seen.d or "") == PUBLISH["d"]


@pytest.mark.parametrize("op", [Op.IDENTIFY, Op.RESUME, Op.REFRESH])
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_token_is_never_seen_nor_a_whole_session_id(op: Op, encoding: str) -> None:
    d = {"token": "eyJ.secret.x", "session_id": SESSION, "rooms": ["a"]}
    request = packed(encoding, {"op": int(op), "d": d})
    seen = traced(request, CODECS[encoding], 7, sent=False, payloads=True)
    assert json.loads(seen.d or "") == {
        "token": "…", "session_id": handle_of(SESSION) + "…", "rooms": ["a"],
    }  # fmt: skip
    assert len(handle_of(SESSION)) < len(SESSION)


def test_what_the_edge_says_has_its_name_and_number() -> None:
    d = {"room": "chat:a", "data": 1}
    event = JSON.encode(Payload(Op.DISPATCH, d, 12, "MESSAGE", "cursor"))
    seen = traced(event, JSON, 7, sent=True, payloads=False)
    assert (seen.sent, seen.op, seen.t, seen.s, seen.room) == (True, 0, "MESSAGE", 12, "chat:a")


@pytest.mark.parametrize(
    "sent",
    [b"", b"nonsense", b"[1]", b'{"op":"x"}', b'{"op":1,"d":' + b"[" * 5_000, b"\xff\xfe\x00"],
)
def test_what_is_no_payload_is_only_counted(sent: bytes) -> None:
    for codec in (JSON, MSGPACK):
        seen = traced(sent, codec, 7, sent=False, payloads=True)
        assert (seen.op, seen.d, seen.size) == (None, None, len(sent))


def test_names_that_a_client_chose_are_looked_at() -> None:
    odd = {"op": 20, "t": "t" * 500, "s": 1.5, "d": {"room": "\x1b[2J"}}
    seen = traced(packed("json", odd), JSON, 7, sent=False, payloads=False)
    assert (seen.room, seen.s) == (None, None)
    assert len(seen.t or "") < 100


def test_a_long_payload_is_cut() -> None:
    long = {"op": 22, "d": {"data": "ä" * 20_000}}
    seen = traced(packed("json", long), JSON, 7, sent=False, payloads=True)
    assert seen.d is not None
    assert len(seen.d) == MOST_PAYLOAD
    assert seen.d.endswith("…")
    assert seen.size > 20_000


def test_what_json_can_not_say_is_not_seen() -> None:
    odd = msgpack.packb({"op": 22, "d": {"data": 2**64 - 1, (1, 2): 3}}, strict_types=False)
    assert traced(odd, MSGPACK, 7, sent=False, payloads=True).size == len(odd)


@given(st.lists(st.sampled_from([0, 1, 125, 126, 65_535, 65_536]), max_size=6), st.booleans())
def test_frames_that_are_written_at_once_are_told_apart(sizes: list[int], binary: bool) -> None:
    payloads = [bytes([number]) * size for number, size in enumerate(sizes)]
    written = b"".join(frame(payload, binary=binary) for payload in payloads)
    assert list(payloads_in(written)) == payloads

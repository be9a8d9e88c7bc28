"""Bytes of a connection become messages, and its end says what happened."""

import base64
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regions.swarm import frames
from regions.swarm.line import End, Line

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


class Owner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.ends: list[End] = []

    def heard(self, _line: Line, body: bytes) -> None:
        self.messages.append(body)

    def ended(self, _line: Line, end: End) -> None:
        self.ends.append(end)


class Transport:
    """Writes down what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False
        self.reading: bool | None = None

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def connected() -> tuple[Line, Owner, Transport]:
    owner, transport = Owner(), Transport()
    line = Line(owner, "host:1", "/gateway?v=10", frames.TEXT)
    line.connection_made(cast("Any", transport))
    return line, owner, transport


def server(body: bytes, first: int = frames.TEXT) -> bytes:
    size = len(body)
    if size < 126:
        return bytes((first, size)) + body
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + body
    return bytes((first, 127)) + size.to_bytes(8, "big") + body


def test_it_asks_for_the_upgrade() -> None:
    _, _, transport = connected()
    head = transport.written.decode()
    assert head.startswith("GET /gateway?v=10 HTTP/1.1\r\nHost: host:1\r\n")
    key = head.split("Sec-WebSocket-Key: ")[1].split("\r\n")[0]
    assert len(base64.b64decode(key)) == 16


@given(st.lists(st.integers(0, 300) | st.just(70_000), max_size=6), st.integers(50, 1_000))
def test_however_the_bytes_come_the_messages_are_the_same(sizes: list[int], step: int) -> None:
    line, owner, _ = connected()
    bodies = [bytes((number + 1,)) * size for number, size in enumerate(sizes)]
    data = HEAD + b"".join(server(body) for body in bodies)
    for at in range(0, len(data), step):
        line.data_received(data[at : at + step])
    assert owner.messages == bodies


@given(st.binary(max_size=70_000))
def test_what_it_sends_is_masked_and_whole(body: bytes) -> None:
    line, _, transport = connected()
    transport.written = b""
    line.send(body)
    sent = transport.written
    assert sent[0] == frames.TEXT
    assert sent[1] & 0x80
    assert sent.endswith(b"\0\0\0\0" + body)


def test_a_ping_is_answered_and_a_close_is_told() -> None:
    line, owner, transport = connected()
    line.data_received(HEAD + server(b"hi", frames.PING))
    assert transport.written.endswith(frames.masked(frames.PONG, b"hi"))
    line.data_received(server((4020).to_bytes(2, "big") + b"slow", frames.CLOSE))
    assert transport.closed
    line.connection_lost(None)
    assert owner.ends == [End(code=4020)]
    assert str(owner.ends[0]) == "close 4020"


@pytest.mark.parametrize(
    ("head", "end"),
    [
        (b"HTTP/1.1 503 No\r\nRetry-After: 3\r\n\r\n", End(status=503, retry_after_s=3.0)),
        (b"HTTP/1.1 404 Not Found\r\nRetry-After: soon\r\n\r\n", End(status=404)),
        (b"nonsense\r\n\r\n", End(status=0)),
    ],
)
def test_a_refusal_is_told_with_what_it_says(head: bytes, end: End) -> None:
    line, owner, transport = connected()
    line.data_received(head)
    assert transport.closed
    line.connection_lost(None)
    assert owner.ends == [end]


def test_a_broken_connection_is_told_and_an_endless_head_is_ended() -> None:
    line, owner, transport = connected()
    line.data_received(b"x" * 20_000)
    assert transport.closed
    line.connection_lost(ConnectionResetError())
    assert owner.ends == [End()]
    assert str(End()) == "broken"
    assert str(End(status=503)) == "HTTP 503"


def test_what_its_owner_ended_is_not_told() -> None:
    for close in (True, False):
        line, owner, transport = connected()
        line.data_received(HEAD)
        line.close(1000) if close else line.cut()
        assert transport.closed
        line.data_received(server(b"late"))
        line.connection_lost(None)
        assert (owner.messages, owner.ends) == ([], [])


def test_one_that_was_ended_before_it_stood_is_closed_at_once() -> None:
    line, transport = Line(Owner(), "h", "/", frames.TEXT), Transport()
    line.cut()
    line.connection_made(cast("Any", transport))
    assert (transport.closed, transport.written) == (True, b"")


def test_reading_is_stopped_and_gone_on_with() -> None:
    line, _, transport = connected()
    for reading in (False, True):
        line.read(reading)
        assert transport.reading == reading
    transport.closed = True
    line.read(False)
    assert transport.reading, "of one that is closed nothing is asked"

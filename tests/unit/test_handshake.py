"""Handshakes that are read in a few steps: never one that `websockets` would not take."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol

from relay.edge.handshake import Upgrade, accepting, read_upgrade

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = [
    (b"Host", b"edge.example:4001"),
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Key", KEY),
    (b"Sec-WebSocket-Version", b"13"),
]
MORE = [
    (b"User-Agent", b"Mozilla/5.0 (X11)"),
    (b"Origin", b"https://app.example"),
    (b"X-Forwarded-For", b"192.0.2.1, 198.51.100.7"),
    (b"Sec-WebSocket-Extensions", b"permessage-deflate; client_max_window_bits"),
    (b"Accept-Language", b"de-CH;q=0.8"),
]
SEPARATORS = (b": ", b":", b":\t ", b" : ")


def request(
    headers: list[tuple[bytes, bytes]], line: bytes = b"GET /gateway?v=10 HTTP/1.1"
) -> bytes:
    return b"".join(
        [line, b"\r\n", *(name + b": " + value + b"\r\n" for name, value in headers)]
    ) + (b"\r\n")


def as_websockets_reads(data: bytes) -> tuple[Request, str] | None:
    """The request and what it is answered with; None: it is refused."""
    protocol = ServerProtocol()
    protocol.receive_data(data)
    events = protocol.events_received()
    if len(events) != 1 or not isinstance(events[0], Request):
        return None
    answer = protocol.accept(events[0])
    if answer.status_code != 101:
        return None
    return events[0], answer.headers["Sec-WebSocket-Accept"]


def check(data: bytes) -> Upgrade | None:
    """What was read of it, where something was: as `websockets` reads it."""
    upgrade = read_upgrade(data)
    if upgrade is None:
        return None
    expected = as_websockets_reads(data)
    assert expected is not None, data
    read, accept = expected
    agents = read.headers.get_all("User-Agent")
    assert upgrade == Upgrade(
        read.path,
        read.headers["Sec-WebSocket-Key"].encode(),
        read.headers.get("Origin"),
        read.headers.get_all("X-Forwarded-For"),
        agents[0] if agents else "",
    )
    assert f"Sec-WebSocket-Accept: {accept}\r\n".encode() in accepting(upgrade)
    return upgrade


def test_what_clients_send_is_read() -> None:
    upgrade = check(request([*HEADERS, *MORE]))
    assert upgrade == Upgrade(
        "/gateway?v=10",
        KEY,
        "https://app.example",
        ["192.0.2.1, 198.51.100.7"],
        "Mozilla/5.0 (X11)",
    )
    browser = [(name.lower(), value) for name, value in [*MORE, *HEADERS]]
    assert check(request(browser)) == upgrade
    firefox = [(n, b"keep-alive, Upgrade" if n == b"Connection" else v) for n, v in HEADERS]
    assert check(request(firefox)) == Upgrade("/gateway?v=10", KEY, None, [], "")


def test_it_is_answered_as_the_standard_has_it() -> None:
    upgrade = read_upgrade(request(HEADERS))
    assert upgrade is not None
    lines = accepting(upgrade).split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert lines[1].startswith(b"Date: ")
    assert lines[1].endswith(b" GMT")
    assert lines[2:] == [
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",  # RFC 6455, 1.3
        b"",
        b"",
    ]


@pytest.mark.parametrize(
    "data",
    [
        request(HEADERS, b"GET /gateway HTTP/1.0"),
        request(HEADERS, b"POST /gateway HTTP/1.1"),
        request(HEADERS, b"GET gateway HTTP/1.1"),
        request(HEADERS, "GET /g\u00fc HTTP/1.1".encode()),
        request(HEADERS)[:-2],
        request(HEADERS) + b"\x81\x80abcd",
        request([*HEADERS, HEADERS[3]]),
        request([*HEADERS, (b"Origin", b"a"), (b"Origin", b"b")]),
        request([*HEADERS, (b"Content-Length", b"3")]),
        request([*HEADERS, (b"Transfer-Encoding", b"chunked")]),
        request([*HEADERS, (b"X", b"a\x00b")]),
        request([*HEADERS, (b"X y", b"a")]),
        request([*HEADERS, (b"X", b"folded\r\n over")]),
        request([*HEADERS, (b"X", b"y" * 9_000)]),
        request([*HEADERS, *([(b"X", b"y")] * 200)]),
        request([*HEADERS[:3], (b"Sec-WebSocket-Key", b"c2hvcnQ="), HEADERS[4]]),
        request([*HEADERS[:4], (b"Sec-WebSocket-Version", b"8")]),
        request([HEADERS[0], (b"Upgrade", b"h2c"), *HEADERS[2:]]),
        request([*HEADERS[:2], (b"Connection", b"keep-alive"), *HEADERS[3:]]),
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
    ],
)
def test_what_is_not_plain_is_left_to_who_reads_with_more_care(data: bytes) -> None:
    assert read_upgrade(data) is None


@settings(max_examples=600)
@given(
    headers=st.permutations([*HEADERS, *MORE]),
    drop=st.sets(st.integers(0, 9), max_size=3),
    again=st.lists(st.integers(0, 9), max_size=2),
    separators=st.lists(st.sampled_from(SEPARATORS), min_size=12, max_size=12),
    places=st.lists(st.tuples(st.integers(0, 500), st.binary(max_size=2)), max_size=2),
)
@example(headers=[*HEADERS, *MORE], drop=set(), again=[], separators=[b": "] * 12, places=[])
def test_nothing_is_taken_that_websockets_would_refuse_or_read_otherwise(
    headers: list[tuple[bytes, bytes]],
    drop: set[int],
    again: list[int],
    separators: list[bytes],
    places: list[tuple[int, bytes]],
) -> None:
    kept = [each for at, each in enumerate(headers) if at not in drop]
    kept += [headers[at] for at in again]
    lines = [name + separators[at] + value for at, (name, value) in enumerate(kept)]
    data = b"\r\n".join([b"GET /gateway?v=10&encoding=json HTTP/1.1", *lines, b"", b""])
    for at, text in places:
        data = data[:at] + text + data[at + len(text) :]
    check(data)

"""Whose a connection is, by its first bytes."""

import pytest

from relay.edge.front import is_handshake
from relay.edge.handshake import MOST_BYTES

HANDSHAKE = (
    b"GET /gateway?v=10&encoding=json HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.parametrize(
    "data",
    [
        HANDSHAKE,
        HANDSHAKE.replace(b"/gateway?v=10&encoding=json", b"/"),
        HANDSHAKE.replace(b"/gateway", b"/"),
        HANDSHAKE.replace(b"Upgrade: websocket", b"UPGRADE: WebSocket"),
    ],
)
def test_a_handshake_goes_to_the_gateway(data: bytes) -> None:
    assert is_handshake(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HANDSHAKE[:-2],
        HANDSHAKE + b"x",
        HANDSHAKE + HANDSHAKE,
        HANDSHAKE.replace(b"GET", b"POST"),
        HANDSHAKE.replace(b"/gateway", b"/healthz"),
        HANDSHAKE.replace(b"/gateway", b"/gatewayx"),
        HANDSHAKE.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        HANDSHAKE.replace(b"\r\n\r\n", b"\r\nX: " + bytes(MOST_BYTES) + b"\r\n\r\n"),
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_all_else_goes_to_the_http_server(data: bytes) -> None:
    assert not is_handshake(data)

"""WebSocket frames of the edge (RFC 6455, 5.2). They carry no mask: one serves a whole room."""

TEXT, BINARY = 0x81, 0x82


def frame(payload: bytes, *, binary: bool) -> bytes:
    """`payload` as one final, unmasked frame."""
    opcode = BINARY if binary else TEXT
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65_536:
        return bytes((opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + size.to_bytes(8, "big") + payload

"""Acknowledgements of JetStream (ADR-1)."""

import msgspec

from relay.bus.connection import STATUS, Headers
from relay.errors import UnavailableError


class _ApiError(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class PubAck(msgspec.Struct):
    """The stream's answer to a publish."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _ApiError | None = None


_acks = msgspec.json.Decoder(PubAck)


def read_ack(headers: Headers, data: bytes) -> PubAck:
    """The acknowledgement in an answer.

    Raises:
        UnavailableError: the answer is that nobody is there, or no acknowledgement.
    """
    if STATUS in headers:
        raise UnavailableError("no stream is there to store it")
    try:
        return _acks.decode(data)
    except msgspec.DecodeError as error:
        raise UnavailableError("the stream's answer can't be read") from error

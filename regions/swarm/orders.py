"""What a swarm's process is told on stdin and says on stdout: a line of JSON each."""

import msgspec

from regions.swarm.figures import Second
from regions.swarm.spec import Place, SwarmSpec

Spoken = dict[str, dict[str, int]]  # voice -> room -> how many of its events are acknowledged


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """Comes first. This process has every `processes`-th client from number `index` on.

    `zero_ns`: CLOCK_MONOTONIC when second 0 begins. Tokens are made with the keys of the world in
    the state directory `state`; without one, everybody has `token`.
    """

    spec: SwarmSpec
    index: int
    zero_ns: int
    places: tuple[Place, ...]
    state: str | None = None
    token: str | None = None


class Come(msgspec.Struct, frozen=True, tag="come"):
    """Those of the first `upto` clients of the swarm that are not here come, at their pace."""

    upto: int


class Speak(msgspec.Struct, frozen=True, tag="speak"):
    """Publish so many events a second from now on, in this process."""

    rate: float


class Hush(msgspec.Struct, frozen=True, tag="hush"):
    """Publish no more; answered by `Hushed` when all is answered, or after the time."""

    timeout_s: float


class Settle(msgspec.Struct, frozen=True, tag="settle"):
    """Answered by `Settled` when each client has all of `spoken`, or after the time."""

    spoken: Spoken
    timeout_s: float


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Close all connections, and end."""


class Hushed(msgspec.Struct, frozen=True, tag="hushed"):
    """What the voices of this process said; `open` publishes still have no answer."""

    spoken: Spoken
    open: int


class Settled(msgspec.Struct, frozen=True, tag="settled"):
    """Events that clients should have and do not, over all clients that look into events."""

    short: int


Order = Begin | Come | Speak | Hush | Settle | Stop
Word = Second | Hushed | Settled

encode = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(Order).decode
decode_word = msgspec.json.Decoder(Word).decode

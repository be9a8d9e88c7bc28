"""The door: which handshakes are let in."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from websockets.typing import Origin

from relay.config import Limits
from relay.core.limits import TokenBucket
from relay.core.wire import CODECS, JSON, Codec
from relay.edge import clock

PATHS = ("/gateway", "/")
VERSIONS = ("1", "10")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer instead of an upgrade."""

    status: HTTPStatus
    reason: str  # for metrics
    text: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """Let in. Without a codec: only to be told that the version is not known."""

    codec: Codec[Any] | None
    resuming: bool = False


class Door:
    """Admission of one edge.

    Args:
        limits: of it.
        origins: allowed Origin headers; None: any.
        connections: how many there are now.
        admits: whether anybody is let in now; told whether he comes back.
    """

    def __init__(
        self,
        limits: Limits,
        origins: list[str] | None,
        *,
        connections: Callable[[], int],
        admits: Callable[[bool], bool],
    ) -> None:
        self._limits = limits
        self._connections = connections
        self._admits = admits
        rate = limits.connections_per_s
        now_s = clock.now().mono_s
        self._new = TokenBucket.full(rate, rate, now_s)
        # Those who come back go before those who are new: they have a share of their own besides.
        self._resumes = TokenBucket.full(rate, rate, now_s)
        self.origins = None if origins is None else [*map(Origin, origins), None]

    def judge(self, path: str, query: Mapping[str, str]) -> Refusal | Ticket:
        """Decide on an upgrade request."""
        if path not in PATHS:
            return Refusal(HTTPStatus.NOT_FOUND, "path", f"No gateway at {path[:64]!r}.\n")
        if self._connections() >= self._limits.connections:
            return _unavailable("full", "This edge is full.\n")
        resuming = query.get("resume") == "1"
        if not self._admits(resuming):
            return _unavailable("draining", "This edge takes no connections now.\n")
        encoding = query.get("encoding", JSON.name)
        if encoding not in CODECS:
            text = f"encoding {encoding[:32]!r} is not known: json or msgpack.\n"
            return Refusal(HTTPStatus.BAD_REQUEST, "encoding", text)
        if query.get("compress", "none") != "none":
            text = f"compress {query['compress'][:32]!r} is not served.\n"
            return Refusal(HTTPStatus.BAD_REQUEST, "compress", text)
        now_s = clock.now().mono_s
        if self._new.take(now_s) > 0 and not (resuming and self._resumes.take(now_s) == 0):
            return _unavailable("rate", "Too many new connections.\n")
        if query.get("v", "10") not in VERSIONS:
            return Ticket(None)
        return Ticket(CODECS[encoding], resuming)


def _unavailable(reason: str, text: str) -> Refusal:
    retry_after_s = random.randint(1, 5)  # noqa: S311 (jitter)
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, text, retry_after_s)

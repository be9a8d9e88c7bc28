"""Visits of plain web pages: +1 when one opens, -1 when it closes, or is not heard of for long.

A visit belongs to the edge that opened it, which its id names; what other edges hear of it goes
there. What is not open there is over: no id opens again.
"""

import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import msgspec

from relay.core.names import is_edge, is_region

KEY_BYTES = 12
_MAC_BYTES = 12
MAX_ID_CHARS = 128
MOST_AWAY_S = 30 * 86_400.0  # longer, the log does not know


class How(StrEnum):
    """How a visit ended."""

    CLOSED = "closed"
    TIMED_OUT = "timed_out"
    EDGE_GONE = "edge_gone"  # the edge was away for longer than a visit may be without a word


class VisitId(NamedTuple):
    """What an id names: the edge that it belongs to, and which of its visits it is."""

    region: str
    edge: str
    key: bytes


class VisitIds:
    """Makes and checks ids: `<region>.<edge>.<random>.<signature>`."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("session key: 32 bytes at least")
        self._key = key[:64]

    def make(self, visit: VisitId) -> str:
        """The id of a visit, whose key is 12 random bytes."""
        name = f"{visit.region}.{visit.edge}.{_text(visit.key)}"
        return f"{name}.{_text(self._mac(name))}"

    def read(self, text: object) -> VisitId | None:
        """The visit that an id names; None where it is none that our edges made."""
        if not isinstance(text, str) or len(text) > MAX_ID_CHARS or not text.isascii():
            return None
        name, _, mac = text.rpartition(".")
        region, _, rest = name.partition(".")
        edge, _, key = rest.partition(".")
        if not (is_region(region) and is_edge(edge)):
            return None
        signed, raw = _bytes(mac), _bytes(key)
        if signed is None or raw is None or len(raw) != KEY_BYTES:
            return None
        return VisitId(region, edge, raw) if hmac.compare_digest(signed, self._mac(name)) else None

    def _mac(self, name: str) -> bytes:
        text = b"visit\x00" + name.encode()
        return hashlib.blake2b(text, digest_size=_MAC_BYTES, key=self._key).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if _text(raw) == text else None


# --- in the log --------------------------------------------------------------------------------


class VisitOpened(msgspec.Struct, frozen=True, array_like=True, tag="o"):
    """A visit opened, so many ms before the batch was sent."""

    ago_ms: int
    key: bytes
    country: str


class VisitEnded(msgspec.Struct, frozen=True, array_like=True, tag="e"):
    """A visit ended: closed, or heard of for the last time, so many ms before."""

    ago_ms: int
    key: bytes
    how: str  # closed | timed_out | edge_gone


class VisitBatch(msgspec.Struct, frozen=True, array_like=True, tag="v"):
    """What happened to an edge's visits since the batch before: its write-ahead log."""

    v: int
    region: str
    edge: str
    epoch: int
    number: int  # from 1 in each life of the edge, without a gap
    open: int  # after it
    timeout_s: float  # without a word, a visit is over
    records: list[VisitOpened | VisitEnded]


class VisitCheckpoint(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """The visits that are open after a batch; in parts. What came before is not needed any more."""

    v: int
    region: str
    edge: str
    epoch: int
    number: int  # of the batch
    part: int
    parts: int
    keys: list[bytes]


VisitEntry = VisitBatch | VisitCheckpoint


class VisitOps(msgspec.Struct, frozen=True, array_like=True):
    """What an edge heard of visits that belong to another."""

    region: str  # who says it
    edge: str
    number: int
    beats: list[bytes]
    closes: list[bytes]


class VisitAnswer(msgspec.Struct, frozen=True, array_like=True):
    """The owner has taken them; of these it says that they are over."""

    region: str
    edge: str
    number: int
    over: list[bytes]


V = 1
encode_ops = msgspec.msgpack.Encoder().encode
decode_ops = msgspec.msgpack.Decoder(VisitOps).decode
decode_answer = msgspec.msgpack.Decoder(VisitAnswer).decode
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[VisitEntry] = msgspec.msgpack.Decoder(VisitEntry)


def encode_visits(entry: VisitEntry) -> bytes:
    """As it is stored: msgpack."""
    return _encoder.encode(entry)


def decode_visits(data: bytes) -> VisitEntry:
    """What `data` says.

    Raises:
        msgspec.DecodeError: it is no entry of the visits.
    """
    return _decoder.decode(data)


# --- the open ones -----------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Change:
    """A visit opened or ended, by the monotonic clock."""

    at_s: float
    key: bytes
    country: str = ""
    how: How | None = None  # None: it opened
    stored: bool = False

    def record(self, now_s: float) -> VisitOpened | VisitEnded:
        """As it stands in the log."""
        ago_ms = max(0, round((now_s - self.at_s) * 1000))
        if self.how is None:
            return VisitOpened(ago_ms, self.key, self.country)
        return VisitEnded(ago_ms, self.key, self.how)


class VisitTable:
    """The open visits of one edge. Times are of the monotonic clock, in seconds."""

    def __init__(self, timeout_s: float, most: int) -> None:
        self._timeout_s = timeout_s
        self._most = most
        self._heard: OrderedDict[bytes, float] = OrderedDict()  # key -> when, oldest first
        self.opened = 0
        self.ended = dict.fromkeys(How, 0)

    def __len__(self) -> int:
        return len(self._heard)

    @property
    def keys(self) -> list[bytes]:
        """Of the open visits."""
        return list(self._heard)

    @property
    def full(self) -> bool:
        """Whether no more can be opened."""
        return len(self._heard) >= self._most

    def open(self, key: bytes, country: str, now_s: float) -> Change:
        """One more."""
        self._heard[key] = now_s
        self.opened += 1
        return Change(now_s, key, country)

    def beat(self, key: bytes, now_s: float) -> bool:
        """It is still there; False: it is over."""
        if not self._lives(key, now_s):
            return False
        self._heard[key] = now_s
        self._heard.move_to_end(key)
        return True

    def _lives(self, key: bytes, now_s: float) -> bool:
        heard_s = self._heard.get(key)
        return heard_s is not None and now_s - heard_s < self._timeout_s

    def close(self, key: bytes, now_s: float) -> Change | None:
        """It has closed; None: it was over before."""
        if not self._lives(key, now_s):
            return None
        del self._heard[key]
        self.ended[How.CLOSED] += 1
        return Change(now_s, key, how=How.CLOSED)

    def sweep(self, now_s: float) -> list[Change]:
        """End those not heard of for too long: they ended when they were heard of last."""
        over: list[Change] = []
        while self._heard:
            key, heard_s = next(iter(self._heard.items()))
            if now_s - heard_s < self._timeout_s:
                break
            del self._heard[key]
            self.ended[How.TIMED_OUT] += 1
            over.append(Change(heard_s, key, how=How.TIMED_OUT))
        return over

    def stood_still(self, stood_s: float, now_s: float) -> None:
        """Nobody could be heard for a while, which counts for no visit.

        Unless it was for so long that pages were told elsewhere that theirs are over.
        """
        if stood_s < self._timeout_s:
            for key, heard_s in self._heard.items():
                self._heard[key] = min(now_s, heard_s + stood_s)

    def restore(self, keys: Iterable[bytes], away_s: float, now_s: float) -> list[Change]:
        """The visits that were open when this edge's process before ended.

        Args:
            keys: of these visits.
            away_s: for how long the edge was away.
            now_s: the time.

        Returns:
            The ends of them, where it was away for longer than a visit may be without a word.
        """
        if away_s < self._timeout_s:
            for key in keys:
                self._heard.setdefault(key, now_s)
            return []
        gone_s = now_s - min(away_s, MOST_AWAY_S)
        gone = [Change(gone_s, key, how=How.EDGE_GONE) for key in keys]
        self.ended[How.EDGE_GONE] += len(gone)
        return gone

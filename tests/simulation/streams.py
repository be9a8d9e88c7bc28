"""A stream of JetStream, as far as the edges use one: storage, dedup, expectations, direct get."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

Headers = dict[str, str]

SEQUENCE, SUBJECT, STREAM, STAMP = "Nats-Sequence", "Nats-Subject", "Nats-Stream", "Nats-Time-Stamp"
LAST_SEQUENCE, PENDING, MSG_ID = "Nats-Last-Sequence", "Nats-Num-Pending", "Nats-Msg-Id"
EXPECTED_LAST, EXPECTED_LAST_SUBJECT = (
    "Nats-Expected-Last-Sequence",
    "Nats-Expected-Last-Subject-Sequence",
)
TTL = "Nats-TTL"
DEDUP_S = 120.0


class Stored(NamedTuple):
    """One message of a stream."""

    seq: int
    subject: str
    headers: Headers
    data: bytes
    at_s: float  # Unix time at the server that stored it
    expires_s: float = 0.0  # 0: never


class Ack(NamedTuple):
    """What the publisher is told; `error`: (code, err_code, description)."""

    seq: int
    duplicate: bool = False
    error: tuple[int, int, str] | None = None


def matches(pattern: str, subject: str) -> bool:
    """Whether a NATS subject matches a pattern with `*` and `>`."""
    if "*" not in pattern and ">" not in pattern:
        return pattern == subject
    wanted, found = pattern.split("."), subject.split(".")
    for at, token in enumerate(wanted):
        if token == ">":
            return len(found) > at
        if at >= len(found) or token not in ("*", found[at]):
            return False
    return len(wanted) == len(found)


def stamp(at_s: float) -> str:
    """A time as JetStream writes it, to the microsecond."""
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")


@dataclass(slots=True)
class Stream:
    """Messages by sequence. `last` never falls, except by `truncate`."""

    name: str
    subjects: tuple[str, ...] = ()  # empty: a mirror
    republish: tuple[str, str] | None = None  # (prefix of the source, prefix of the destination)
    created: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    memory: bool = False
    last_per_subject: bool = False
    last: int = 0
    first: int = 1
    last_s: float = 0.0
    messages: dict[int, Stored] = field(default_factory=dict)
    seqs: list[int] = field(default_factory=list)
    by_subject: dict[str, list[int]] = field(default_factory=dict)
    ids: dict[str, tuple[int, float]] = field(default_factory=dict)
    expiring: bool = False

    # --- writing -------------------------------------------------------------------------------

    def publish(self, subject: str, headers: Headers, data: bytes, now_s: float) -> Ack:
        """Store a message, or say why not. The order of the checks is the server's."""
        expected = headers.get(EXPECTED_LAST_SUBJECT)
        if expected is not None:
            newest = self._newest(subject, now_s)
            if int(expected) != newest:
                return Ack(0, error=(400, 10071, f"wrong last sequence: {newest}"))
        expected = headers.get(EXPECTED_LAST)
        if expected is not None and int(expected) != self.last:
            return Ack(0, error=(400, 10071, f"wrong last sequence: {self.last}"))
        msg_id = headers.get(MSG_ID)
        if msg_id is not None:
            known = self.ids.get(msg_id)
            if known is not None and now_s - known[1] < DEDUP_S:
                return Ack(known[0], duplicate=True)
        ttl = headers.get(TTL)
        expires_s = now_s + float(ttl.removesuffix("s")) if ttl is not None else 0.0
        self.expiring = self.expiring or ttl is not None
        self.store(Stored(self.last + 1, subject, headers, data, now_s, expires_s))
        if msg_id is not None:
            self.ids[msg_id] = (self.last, now_s)
        return Ack(self.last)

    def store(self, message: Stored) -> int:
        """Append a message. Returns the subject's sequence before it, 0 for none."""
        own = self.by_subject.setdefault(message.subject, [])
        previous = own[-1] if own else 0
        if self.last_per_subject and own:
            self.delete(previous)
        if not self.messages:
            self.first = message.seq
        self.messages[message.seq] = message
        self.seqs.append(message.seq)
        own.append(message.seq)
        self.last, self.last_s = message.seq, message.at_s
        return previous

    def skip(self, upto: int) -> None:
        """A mirror takes the sequences up to `upto` as delivered, and never holds them."""
        self.last = max(self.last, upto)
        if not self.messages:
            self.first = self.last + 1

    def delete(self, seq: int) -> None:
        """Take a message out of the middle."""
        message = self.messages.pop(seq)
        del self.seqs[bisect_left(self.seqs, seq)]
        own = self.by_subject[message.subject]
        del own[bisect_left(own, seq)]
        self.first = self.seqs[0] if self.seqs else self.last + 1

    def expire_upto(self, seq: int) -> None:
        """Limits have dropped everything up to `seq`."""
        for each in [each for each in self.seqs if each <= seq]:
            self.delete(each)
        self.first = max(self.first, self.seqs[0] if self.seqs else self.last + 1)

    def truncate(self, last: int) -> None:
        """The tail after `last` is lost: a crash before it was on disk."""
        for seq in [seq for seq in self.seqs if seq > last]:
            self.delete(seq)
        self.last = last
        self.first = self.seqs[0] if self.seqs else self.last + 1
        self.last_s = self.messages[self.seqs[-1]].at_s if self.seqs else 0.0
        self.ids = {key: place for key, place in self.ids.items() if place[0] <= last}

    def wipe(self) -> None:
        """Nothing is left."""
        self.messages.clear()
        self.seqs.clear()
        self.by_subject.clear()
        self.ids.clear()
        self.first, self.last, self.last_s = 1, 0, 0.0

    def expire(self, now_s: float) -> None:
        """Drop what its time to live has ended."""
        if not self.expiring:
            return
        for seq in [m.seq for m in self.messages.values() if m.expires_s and m.expires_s <= now_s]:
            self.delete(seq)

    # --- reading -------------------------------------------------------------------------------

    def _newest(self, subject: str, now_s: float) -> int:
        self.expire(now_s)
        own = self.by_subject.get(subject)
        return own[-1] if own else 0

    @property
    def deleted(self) -> list[int]:
        """Sequences between first and last that are not held."""
        if not self.seqs or len(self.seqs) == self.last - self.first + 1:
            return []
        return [seq for seq in range(self.first, self.last + 1) if seq not in self.messages]

    def matching(self, seq: int, pattern: str | None, upto: int) -> list[int]:
        """Sequences in [seq, upto] whose subject matches."""
        if pattern is None or pattern == ">":
            own = self.seqs
        elif "*" not in pattern and ">" not in pattern:
            own = self.by_subject.get(pattern, [])
        else:
            own = []
            for subject, seqs in self.by_subject.items():
                if matches(pattern, subject):
                    for each in seqs:
                        insort(own, each)
        return own[bisect_left(own, seq) : bisect_right(own, upto)]

    def last_of(self, pattern: str, upto: int) -> Stored | None:
        """The newest message on matching subjects."""
        found = self.matching(1, pattern, upto)
        return self.messages[found[-1]] if found else None

    def since(self, at_s: float) -> int:
        """The first sequence stored at or after a time; last + 1 when there is none."""
        for seq in self.seqs:
            if self.messages[seq].at_s >= at_s:
                return seq
        return self.last + 1

    def batch(
        self, seq: int, count: int, max_bytes: int, pattern: str | None, upto: int
    ) -> tuple[list[Stored], int, int]:
        """A batch of direct get: the messages, how many match behind them, the last one's seq."""
        found = self.matching(seq, pattern, upto)
        taken: list[Stored] = []
        size = 0
        for each in found[:count]:
            message = self.messages[each]
            taken.append(message)
            size += size_of(message)
            if size >= max_bytes:
                break
        return taken, len(found) - len(taken), taken[-1].seq if taken else 0


def size_of(message: Stored) -> int:
    """How many bytes a message counts in a batch."""
    headers = sum(len(name) + len(value) + 4 for name, value in message.headers.items())
    return len(message.subject) + len(message.data) + (headers + 12 if message.headers else 0)


def pages(stream: Stream) -> Iterator[Stored]:
    """Everything that a stream holds, in order."""
    for seq in stream.seqs:
        yield stream.messages[seq]

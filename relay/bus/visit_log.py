"""The write-ahead log of an edge's visits: written in batches, with checkpoints, and read back."""

from dataclasses import dataclass, field

import msgspec

from relay.bus.ack import read_ack
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core.names import log_stream, log_subject
from relay.core.visits import (
    Change,
    V,
    VisitBatch,
    VisitCheckpoint,
    VisitEntry,
    VisitOpened,
    decode_visits,
    encode_visits,
)
from relay.errors import BusError, UnavailableError

ACK_S = 2.0
PART_KEYS = 3_000  # 42 kB
PAGE = 1000
MSG_ID = "Nats-Msg-Id"


@dataclass(slots=True)
class Recovered:
    """What the log of an edge's visits says is open."""

    keys: dict[bytes, None] = field(default_factory=dict)  # ordered
    parts: dict[int, list[bytes]] = field(
        default_factory=dict
    )  # of a checkpoint, until it is whole
    batches: int = 0  # that were read after the checkpoint


class VisitLog:
    """The log of the visits of one edge.

    Args:
        inbox: to publish on.
        reader: of the edge.
        region: this edge's.
        edge: its name.
        epoch: Unix ms of its start.
        timeout_s: without a word, a visit is over.
    """

    def __init__(
        self,
        inbox: Inbox,
        reader: Reader,
        region: str,
        edge: str,
        epoch: int,
        timeout_s: float,
    ) -> None:
        self._inbox = inbox
        self._reader = reader
        self._region, self._edge, self._epoch = region, edge, epoch
        self._stream = log_stream(region)
        self._subject = log_subject(region, "visit", edge)
        self._timeout_s = timeout_s
        self._number = 0
        self._open = 0  # visits, as far as it is stored
        self._checkpoints = 0

    async def store(self, changes: list[Change], now_s: float) -> None:
        """Store a batch. The same one is given again until it is stored.

        Raises:
            BusError: it is not known to be stored.
        """
        number = self._number + 1
        count = self._open + sum(1 if change.how is None else -1 for change in changes)
        batch = VisitBatch(
            V, self._region, self._edge, self._epoch, number, count, self._timeout_s,
            [change.record(now_s) for change in changes],
        )  # fmt: skip
        await self._put(batch, f"v{number}.{len(changes)}")
        self._number, self._open = number, count

    async def checkpoint(self, keys: list[bytes]) -> None:
        """Store which visits are open after the newest batch.

        Raises:
            BusError: it is not known to be stored: the one before it counts.
        """
        cut = [keys[at : at + PART_KEYS] for at in range(0, len(keys), PART_KEYS)] or [[]]
        first = 0
        self._checkpoints += 1  # each is another message, also where nothing changed since
        for at, part in enumerate(cut):
            made = VisitCheckpoint(
                V, self._region, self._edge, self._epoch, self._number, at, len(cut), part
            )
            seq = await self._put(made, f"p{self._checkpoints}.{at}")
            first = first or seq
        subject = log_subject(self._region, "visitmark", self._edge)
        ack = read_ack(*await self._inbox.request(subject, str(first).encode(), ACK_S))
        if ack.error is not None:
            raise BusError(f"the log of visits is refused: {ack.error.description}")

    async def _put(self, entry: VisitEntry, msg_id: str) -> int:
        headers = {MSG_ID: f"{self._edge}.{self._epoch}.{msg_id}"}
        answer = await self._inbox.request(self._subject, encode_visits(entry), ACK_S, headers)
        ack = read_ack(*answer)
        if ack.error is not None:
            raise BusError(f"the log of visits is refused: {ack.error.description}")
        return ack.seq

    async def recover(self) -> Recovered:
        """The visits that were open when this edge's process before ended.

        Raises:
            BusError: NATS did not answer.
        """
        found = Recovered()
        newest = await self._reader.last_seq(self._stream, self._subject) or 0
        start, read = await self._last_checkpoint(), 0
        page = await self._reader.page(self._stream, start, batch=PAGE, subject=self._subject)
        while page.messages:
            for _, data in page.messages:
                try:
                    self._apply(found, decode_visits(data))
                except msgspec.DecodeError:
                    continue
            read = page.last
            if page.pending == 0:
                break
            page = await self._reader.page(
                self._stream, page.last + 1, batch=PAGE, subject=self._subject
            )
        if read < newest:
            raise UnavailableError("the replica that answers has not got all of it yet")
        self._open = len(found.keys)
        return found

    @staticmethod
    def _apply(found: Recovered, entry: VisitEntry) -> None:
        if isinstance(entry, VisitCheckpoint):
            if entry.part == 0:
                found.parts = {}
            found.parts[entry.part] = entry.keys
            if len(found.parts) == entry.parts:
                found.keys = {key: None for part in found.parts.values() for key in part}
            return
        found.batches += 1
        for record in entry.records:
            if isinstance(record, VisitOpened):
                found.keys[record.key] = None
            else:
                found.keys.pop(record.key, None)

    async def _last_checkpoint(self) -> int:
        """Where to begin to read: the newest checkpoint that is whole, else the log's begin."""
        subject = log_subject(self._region, "visitmark", self._edge)
        got = await self._reader.last_by_subject(self._stream, subject)
        if got is None:
            return 1
        try:
            return max(int(got[1]), 1)
        except ValueError:
            return 1

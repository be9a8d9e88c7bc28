"""One client of a crowd: it listens, publishes when told to, and all of it is written down."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Literal, cast

from regions.ledger.casting import Part
from regions.ledger.content import data_of, hash_of
from regions.ledger.files import Writer
from regions.ledger.glass import look
from regions.ledger.orders import Heads
from regions.ledger.record import Acked, Asked, Drained, Ended, Failed, Unknown
from regions.ledger.recorder import Recorder
from regions.ledger.spec import CrowdSpec
from relay.client import Client, ClientError, ConnectFailed, State, connect
from relay.client import Unknown as NoAnswer

CONNECT_S = 20.0
AGAIN_S = 1.0


class Member:
    """Plays one part.

    Args:
        part: who it is.
        urls: edges to try first, in order.
        token: makes fresh tokens.
        writer: where to write.
        spec: of the whole crowd.
    """

    def __init__(
        self,
        part: Part,
        urls: Sequence[str],
        token: Callable[[], str],
        writer: Writer,
        *,
        spec: CrowdSpec,
    ) -> None:
        self.part = part
        self.recorder = Recorder(writer, part.name)
        self.ready = asyncio.Event()
        self.ended = False
        self.asked = 0
        self.acked = 0
        self.open = 0  # publishes without an answer
        self._urls = urls
        self._token = token
        self._padding = "." * spec.padding_bytes
        self._spec = spec
        self._numbers = dict.fromkeys(part.rooms, 0)
        self._client: Client | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it is connected now."""
        return self._client is not None and self._client.state is State.READY

    async def play(self) -> None:
        """Connect and listen until `leave`, or until the edge ends the session for good."""
        why = ""
        try:
            while not self.ready.is_set():
                try:
                    await self._listen()
                except ConnectFailed:
                    await asyncio.sleep(AGAIN_S)
        except ClientError as error:
            why = f"{type(error).__name__}: {error}"
        self.ended = True
        self.recorder.flush()
        at = look(self._client.cursor) if self._client is not None else {}
        self.recorder.write(Ended(time.monotonic_ns(), self.part.name, at, why))
        self.ready.set()

    async def _listen(self) -> None:
        async with connect(
            self._urls,
            token=self._token,
            rooms=self.part.rooms,
            encoding=cast("Literal['json', 'msgpack']", self.part.encoding),
            states=True,
            timeout_s=CONNECT_S,
            home_after_s=self._spec.home_after_s,
            dedup_events=self._spec.dedup_events,
            observer=self.recorder.observe,
        ) as self._client:
            self.ready.set()
            surfaced = self.recorder.surfaced
            async for event in self._client:
                surfaced(event)

    def drop(self) -> None:
        """Break the connection."""
        if self._client is not None:
            self._client.drop()

    async def leave(self) -> None:
        """Close the session."""
        if self._client is not None:
            await self._client.close()

    async def publish(self, room: str, heads: Heads) -> None:
        """Publish the next number in `room`; an acknowledgement moves `heads`."""
        assert self._client is not None
        self._numbers[room] += 1
        number, name = self._numbers[room], self.part.name
        data = data_of(number, self._padding)
        publish_id = f"{name}.{room.rpartition(':')[2]}.{number}"
        write = self.recorder.write
        write(Asked(time.monotonic_ns(), name, room, publish_id, number, hash_of(data)))
        self.asked += 1
        self.open += 1
        try:
            ack = await self._client.publish(room, data, id=publish_id)
        except NoAnswer as error:
            write(Unknown(time.monotonic_ns(), name, room, publish_id, str(error)))
        except ClientError as error:
            why = f"{type(error).__name__}: {error}"
            write(Failed(time.monotonic_ns(), name, room, publish_id, why))
        else:
            now = time.monotonic_ns()
            assert ack.origin is not None
            assert ack.epoch is not None
            assert ack.seq is not None
            place = (ack.epoch, ack.seq)
            write(Acked(now, name, room, publish_id, ack.origin, *place, ack.duplicate))
            self.acked += 1
            mine = heads.setdefault(room, {})
            mine[ack.origin] = max(place, mine.get(ack.origin, (0, 0)))
        finally:
            self.open -= 1

    def lacks(self, heads: Heads) -> list[str]:
        """The places in its rooms that it has not got as far as, and what it was not answered."""
        cursor = look(self._client.cursor) if self._client is not None else {}
        short = [
            f"{room} {origin}/{place[0]}/{place[1]}"
            for room in self.part.rooms
            for origin, place in heads.get(room, {}).items()
            if not self.recorder.passed(room, origin, place, cursor)
        ]
        unanswered = [f"an answer to {self.open} publishes"] if self.open else []
        if not (self.ended or self.is_ready):
            short.append("its session: it comes back, or has not been told that it is back")
        return unanswered + short

    def drained(self, lacks: list[str]) -> None:
        """Write down whether it got as far as was acknowledged."""
        self.recorder.write(
            Drained(time.monotonic_ns(), self.part.name, not lacks, tuple(lacks[:10]))
        )

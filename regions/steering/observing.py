"""Listening posts: one in each region's NATS hears what all edges say of themselves."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec
from nats.errors import Error as NatsError

from regions.doors import Door
from regions.permissions import inbox_of
from regions.stats.reading import Past
from regions.steering.health import ALIVE_S, EdgeKey, Heard, Load, Observer
from regions.steering.keepers import Keepers
from relay.bus.connection import Connection, Headers, open_connection
from relay.bus.inbox import Inbox
from relay.bus.orders import OrderBook
from relay.bus.reader import Reader
from relay.core.names import news_subject, telemetry_subject
from relay.core.orders import Orders
from relay.core.telemetry import ENDED, EdgeFrame, decode_frame
from relay.errors import BusError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.steering")

RETRY_S = 1.0
FORGET_S = 600.0  # an edge that nobody configured is forgotten, when it was not heard for so long
READS = 4
EDGES = 4_096  # that a post hears of; what is heard of more is not kept


class Post:
    """Hears the frames of all edges in one region, and stays connected to its NATS.

    Args:
        door: the region's.
        origins: all regions.
        orders: takes what operators want, as the books in this region say it.
        keepers: take what keepers tell.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        door: Door,
        origins: Sequence[str],
        orders: Orders,
        keepers: Keepers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.region = door.region
        self._keepers = keepers
        self._door = door
        self._origins = origins
        self._orders = orders
        self._clock = clock
        self._connection: Connection | None = None
        self._why = ""  # why its NATS was not reached the last time
        self._tasks = Tasks(f"post.{door.region}")
        self.frames: dict[EdgeKey, tuple[float, EdgeFrame]] = {}  # when it came, and the newest
        self.refused = 0  # that could not be read, spoke for another edge, or are too many

    def start(self) -> None:
        """Connect, and go on until it is closed."""
        self._tasks.keep(self._connect, "connect")

    async def close(self) -> None:
        """Hear no more."""
        await self._tasks.close()

    @property
    def connected(self) -> bool:
        """Whether it hears anything that is said there."""
        return self._connection is not None and self._connection.hears

    async def _connect(self) -> None:
        while True:
            connection: Connection | None = None
            try:
                connection = await open_connection(
                    self._door.nats, "steering", inbox_of(self._door.nats, "console")
                )
                await connection.listen(telemetry_subject("*", "*"), self._hear)
                await connection.listen(news_subject("*", "steering"), self._hear_keeper)
                inbox = Inbox(connection)
                await inbox.start()
                reader = Reader(inbox, READS)
                await self._look_back(reader)
                book = OrderBook(reader, self._origins, self._orders)
                await self._read(book)
                self._connection, self._why = connection, ""
                while not connection.is_closed:  # for good: credentials that ran out, say
                    await asyncio.sleep(RETRY_S)
                    await self._read(book)
                    self._forget(self._clock())
            except (OSError, TimeoutError, NatsError) as error:
                self._not_reached(str(error) or type(error).__name__)
            finally:
                self._connection = None
                if connection is not None:
                    await connection.close()
            await asyncio.sleep(RETRY_S)

    def _not_reached(self, why: str) -> None:
        """Say so once, not with each attempt."""
        if why != self._why:
            self._why = why
            _log.info("%s: its NATS is not reached: %s", self.region, why)

    async def _read(self, book: OrderBook) -> None:
        try:
            await book.read()
        except BusError as error:
            _log.info("%s: what operators want is not all known here: %s", self.region, error)

    async def _look_back(self, reader: Reader) -> None:
        """What edges said last, before anybody listened here: when each was heard of."""
        past = Past(self.region, reader)
        try:
            heard, now_ms = await past.newest_frames(), await past.now_ms()
        except BusError as error:
            _log.info("%s: what was said before is not known: %s", self.region, error)
            return
        now_s = self._clock()
        for frame, at_ms in ((each.frame, each.at_ms) for each in heard):
            age_s = max(now_ms - at_ms, 0) / 1000
            if age_s < FORGET_S and len(self.frames) < EDGES:
                self.frames.setdefault(EdgeKey(frame.region, frame.edge), (now_s - age_s, frame))

    def _hear(self, subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        try:
            frame = decode_frame(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.refused += 1
            return
        key = EdgeKey(frame.region, frame.edge)
        known = self.frames.get(key)
        late = known is not None and (known[1].epoch, known[1].frame) > (frame.epoch, frame.frame)
        full = known is None and len(self.frames) >= EDGES
        # NATS decides by subject who may publish: a frame can't speak for another edge.
        if late or full or subject.split(".")[1:] != [*key]:
            self.refused += 1
            return
        self.frames[key] = self._clock(), frame

    def _hear_keeper(self, subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        self._keepers.hear(subject.split(".")[1], data)

    def _forget(self, now_s: float) -> None:
        for key in [key for key, (at_s, _) in self.frames.items() if now_s - at_s > FORGET_S]:
            del self.frames[key]

    @property
    def observer(self) -> Observer:
        """What is observed from here."""
        heard = {key: Heard(at_s, frame.state) for key, (at_s, frame) in self.frames.items()}
        return Observer(self.region, self.connected, heard)


class Posts:
    """All posts together.

    Args:
        doors: one a region.
        clock: monotonic seconds.
    """

    def __init__(self, doors: Sequence[Door], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.orders = Orders()  # what operators want, as far as it was heard anywhere
        self.keepers = Keepers(clock)
        origins = [door.region for door in doors]
        self.posts = [Post(door, origins, self.orders, self.keepers, clock) for door in doors]

    async def __aenter__(self) -> "Posts":
        for post in self.posts:
            post.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.gather(*(post.close() for post in self.posts))

    @property
    def observers(self) -> list[Observer]:
        """What is observed now."""
        return [post.observer for post in self.posts]

    @property
    def newest(self) -> dict[EdgeKey, tuple[float, EdgeFrame]]:
        """The newest frame of each edge, wherever it was heard, and when."""
        found: dict[EdgeKey, tuple[float, EdgeFrame]] = {}
        for post in self.posts:
            for key, (at_s, frame) in post.frames.items():
                known = found.get(key)
                if known is None or (frame.epoch, frame.frame) > (known[1].epoch, known[1].frame):
                    found[key] = at_s, frame
        return found

    @property
    def loads(self) -> dict[EdgeKey, Load]:
        """What the edges hold that are heard now."""
        now_s = self._clock()
        return {
            key: Load(frame.connections, frame.room)
            for key, (at_s, frame) in self.newest.items()
            if now_s - at_s <= ALIVE_S and frame.state != ENDED
        }

    async def heard(self, keys: Iterable[EdgeKey], patience_s: float) -> None:
        """Wait until every post hears each of these edges, at most so long."""
        wanted = list(keys)
        deadline_s = self._clock() + patience_s
        while (now_s := self._clock()) < deadline_s:
            if all(each.hears(key, now_s) for each in self.observers for key in wanted):
                return
            await asyncio.sleep(0.05)

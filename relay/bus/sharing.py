"""Pages read once for all who ask for the same while it is being read."""

import asyncio
from dataclasses import dataclass

from relay.bus.reader import API, Page, Reader
from relay.errors import BusError
from relay.tasks import Tasks


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for: a page of a stream, of one subject or of all."""

    stream: str
    seq: int
    batch: int
    max_bytes: int
    subject: str | None = None
    api: str = API


class SharedReader:
    """A reader whose equal reads are one."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._reading: dict[Ask, asyncio.Task[Page | BusError]] = {}
        self._tasks = Tasks("pages")
        self.shared = 0  # reads that somebody else's answered, total

    async def close(self) -> None:
        """End what is being read."""
        await self._tasks.close()

    async def page(self, ask: Ask) -> tuple[Page, bool]:
        """The page, and whether it was read after this was called.

        Raises:
            UnavailableError: no answer in time, or nobody there to answer.
        """
        reading = self._reading.get(ask)
        fresh = reading is None
        if reading is None:
            reading = self._tasks.spawn(self._read(ask), "page")
            self._reading[ask] = reading
        else:
            self.shared += 1
        got = await asyncio.shield(reading)
        if isinstance(got, BusError):
            raise got
        return got, fresh

    async def next_seq(self, stream: str, seq: int, subject: str, *, api: str = API) -> int | None:
        """As `Reader.next_seq`."""
        return await self._reader.next_seq(stream, seq, subject, api=api)

    async def _read(self, ask: Ask) -> Page | BusError:
        try:
            return await self._reader.page(
                ask.stream,
                ask.seq,
                batch=ask.batch,
                max_bytes=ask.max_bytes,
                subject=ask.subject,
                api=ask.api,
            )
        except BusError as error:
            return error  # for all who wait
        finally:
            del self._reading[ask]

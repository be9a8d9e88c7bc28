"""The supervisor's side of the links: what every direction shall do, told to the process."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from regions.control import open_unix
from regions.errors import WorldError
from regions.faults.flow import Change, Flow, Pair, composed
from regions.faults.wan import Directed, Shape, Shaped

_ANSWER_S = 2.0
_PATIENCE_S = 5.0  # it is started again 0.5 s after its first death
_AGAIN_S = 0.1
_FAILURES = (OSError, TimeoutError, msgspec.DecodeError, asyncio.IncompleteReadError)


class Links:
    """The directions between all regions, and the process that carries them."""

    def __init__(self, socket: Path, base: dict[Pair, Flow]) -> None:
        """`base`: the directions without faults."""
        self.base = base
        self._socket = socket
        self._flows = base
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock = asyncio.Lock()

    async def shape(self, changes: Iterable[tuple[Iterable[Pair], Change]]) -> float:
        """Make it so; since when it is, on the monotonic clock.

        Raises:
            WorldError: the process does not answer in time. It is told when it does.
        """
        self._flows = composed(self.base, changes)
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return await self._tell()
            except _FAILURES as error:  # it is being started again
                if time.monotonic() > deadline_s:
                    raise WorldError(
                        "the links' process does not answer: see `jetrelay ctl ps`"
                    ) from error
                await asyncio.sleep(_AGAIN_S)

    async def serves(self) -> bool:
        """Whether the process carries, as it was last told to; it is told again."""
        try:
            await self._tell()
        except _FAILURES:
            return False
        return True

    async def close(self) -> None:
        """Let go of it: it goes back to what is without faults."""
        if self._connection is not None:
            self._connection[1].close()
            self._connection = None

    async def _tell(self) -> float:
        async with self._lock:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    if self._connection is None:
                        self._connection = await open_unix(self._socket)
                    reader, writer = self._connection
                    flows = [Directed(*pair, flow) for pair, flow in self._flows.items()]
                    writer.write(msgspec.json.encode(Shape(flows)) + b"\n")
                    await writer.drain()
                    line = await reader.readuntil(b"\n")
                    return msgspec.json.decode(line, type=Shaped).at_s
            except BaseException:
                with suppress(OSError):
                    await self.close()
                raise

"""Faults as drills and operators make them: held as long as this process holds them.

    async with Faults(state_dir) as faults:
        cut = await faults.cut("us", "eu")      # returns when it is in effect, since `cut.at_s`
        await faults.heal(cut)

Whatever is left is healed by the supervisor when the block ends, and also when this process is
killed. Times are on the machine's monotonic clock (`time.monotonic`).
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec

from regions.control import ProcessStatus, Reply, Request, open_unix, read_reply
from regions.errors import WorldError
from regions.faults.fault import (
    DownFault,
    Fault,
    FaultName,
    FillDiskFault,
    Held,
    KillFault,
    LinkFault,
    PauseFault,
    Possible,
    RewindFault,
    WedgeFault,
)
from regions.faults.flow import Change, Pair
from regions.state import StateDir
from regions.world import World

_ANSWER_S = 120.0  # a rewind waits for nats-servers to start
_UP_S = 60.0
_LOOK_S = 0.1


class Faults:
    """The faults of one holder in a running world. Every method raises `WorldError` where a fault
    can't be made; the text says what to do."""

    def __init__(self, state: Path) -> None:
        """Make faults in the world whose state directory is `state`."""
        self.unhealed: str | None = None  # after the block: why it is not known that all is healed
        self._state = StateDir(state)
        self._world: World | None = None
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock = asyncio.Lock()
        self._cut_short = False

    async def __aenter__(self) -> "Faults":
        try:
            self._ends = await open_unix(self._state.control_socket)
        except OSError as error:
            raise WorldError(
                f"no world runs in {self._state.path}: start one with `jetrelay up`"
            ) from error
        record = self._state.world()
        if record is None:
            self._ends[1].close()
            raise WorldError("the world is still starting")
        self._world = World(record, self._state.secrets())
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        assert self._ends is not None
        try:
            await self.heal()
        except WorldError as error:
            # The world is gone, or heals it when it sees the connection end.
            self.unhealed = str(error)
            if self._cut_short:
                self.unhealed = "ended within a request: the world heals what was asked for"
        finally:
            self._ends[1].close()

    async def possible(self) -> dict[FaultName, str | None]:
        """Every fault, and why it can't be made in this world; None where it can."""
        reply = await self._ask(Request("faults"))
        return {one.fault: one.why_not for one in reply.possible or []}

    async def overview(self) -> tuple[list[Possible], list[Held]]:
        """What can be made, and what is in effect, whoever holds it."""
        reply = await self._ask(Request("faults"))
        return reply.possible or [], reply.faults or []

    async def heal(self, *held: Held) -> float:
        """Heal these, or all that is held here; since when they are.

        Raises:
            WorldError: one could not be healed; the others are.
        """
        numbers = [one.number for one in held] if held else [None]
        found: list[Held] = []
        for number in numbers:
            found += (await self._ask(Request("heal", number=number))).faults or []
        if failed := [one for one in found if one.failed is not None]:
            said = [f"{one.text} is not healed: {one.failed}" for one in failed]
            raise WorldError("; ".join(said))
        return max((one.healed_s or 0.0 for one in found), default=0.0)

    async def make(self, fault: Fault) -> Held:
        """Make any fault."""
        reply = await self._ask(Request("fault", fault=fault))
        assert reply.faults is not None
        return reply.faults[0]

    # --- links ---------------------------------------------------------------------------------

    async def cut(self, one: str, other: str) -> Held:
        """Let nothing through between two regions; neither side is told."""
        return await self.shape(_both(one, other), Change(cut=True))

    async def one_way(self, source: str, target: str) -> Held:
        """Let nothing through from `source` to `target`; the other way is open."""
        return await self.shape([(source, target)], Change(cut=True))

    async def stall(self, one: str, other: str) -> Held:
        """Hold everything between two regions back; what was sent arrives when it is healed."""
        return await self.shape(_both(one, other), Change(stall=True))

    async def isolate(self, region: str) -> Held:
        """Cut all links of a region; its clients stay connected to its edges."""
        return await self.shape(self._around(region), Change(cut=True))

    async def wan(
        self,
        one: str,
        other: str,
        *,
        delay_ms: float | None = None,
        jitter_ms: float | None = None,
        loss: float | None = None,
        rate_kbit: float | None = None,
    ) -> Held:
        """Make both directions of a pair slow or lossy (`loss`: 0 to 1); see `shape` for one."""
        change = Change(delay_ms=delay_ms, jitter_ms=jitter_ms, loss=loss, rate_kbit=rate_kbit)
        return await self.shape(_both(one, other), change)

    async def shape(self, pairs: Sequence[Pair], change: Change) -> Held:
        """Change any directions at once."""
        return await self.make(LinkFault(list(pairs), change))

    # --- processes -----------------------------------------------------------------------------

    async def kill(self, *names: str) -> Held:
        """SIGKILL processes at once; the supervisor starts them again by itself."""
        return await self.make(KillFault(list(names)))

    async def pause(self, *names: str) -> Held:
        """Stop processes where they are (SIGSTOP)."""
        return await self.make(PauseFault(list(names)))

    async def hold(self, *names: str) -> Held:
        """SIGKILL processes at once and keep them down."""
        return await self.make(DownFault(list(names)))

    async def lose(self, region: str) -> Held:
        """SIGKILL every process of a region at once and keep them down."""
        return await self.hold(*self._members(region))

    async def start(self, *names: str) -> float:
        """Let processes run that are held or stopped, whoever did it, and wait until they serve."""
        for name in names:
            await self._ask(Request("start", name))
        return await self.until_up(*names)

    async def bring_back(self, region: str) -> float:
        """Start everything in a region; returns when all of it serves."""
        return await self.start(*self._members(region))

    async def until_up(self, *names: str, timeout_s: float = _UP_S) -> float:
        """Wait until processes serve; the time at which they do."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while True:
            down = [
                one.name for one in await self.processes() if one.name in names and _is_down(one)
            ]
            if not down:
                return loop.time()
            if loop.time() > deadline_s:
                raise WorldError(f"{', '.join(down)}: not up within {timeout_s:g} s")
            await asyncio.sleep(_LOOK_S)

    async def processes(self) -> list[ProcessStatus]:
        """Every process of the world."""
        return (await self._ask(Request("status"))).processes or []

    # --- stores --------------------------------------------------------------------------------

    async def fill_disk(self, server: str, how: Literal["disk", "limit"] = "disk") -> Held:
        """Leave a nats-server no room: by a full disk, or by JetStream's own limit."""
        return await self.make(FillDiskFault(server, how))

    async def snapshot(self, region: str) -> float:
        """Remember what the nats-servers of a region have stored, for `rewind`; as of when."""
        reply = await self._ask(Request("snapshot", region=region))
        assert reply.faults is not None
        return reply.faults[0].at_s

    async def rewind(self, region: str, *, witnesses: bool = True, mirrors: bool = True) -> Held:
        """Put a region's stores back to the last snapshot, as a loss of their newest part does.

        `witnesses`: its edges keep running, and know what was there; `mirrors`: its links are open,
        over which it can get its tail back. Returns when its nats-servers serve again.
        """
        return await self.make(RewindFault(region, witnesses, mirrors))

    async def wedge(self, region: str, *, origin: str) -> Held:
        """Stop what feeds the mirror of `origin` in `region`, unnoticed by NATS."""
        return await self.make(WedgeFault(region, origin))

    # --- the rest ------------------------------------------------------------------------------

    def _around(self, region: str) -> list[Pair]:
        assert self._world is not None
        others = [one.name for one in self._world.regions if one.name != region]
        self._world.region(region)
        return [pair for other in others for pair in _both(region, other)]

    def _members(self, region: str) -> list[str]:
        assert self._world is not None
        found = self._world.region(region)
        return [*(edge.name for edge in found.edges), *(server.name for server in found.nats)]

    async def _ask(self, request: Request) -> Reply:
        assert self._ends is not None
        reader, writer = self._ends
        async with self._lock:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    writer.write(msgspec.json.encode(request) + b"\n")
                    await writer.drain()
                    line = await reader.readline()
            except asyncio.CancelledError:
                writer.close()  # a late answer would be taken for that of the next request
                self._cut_short = True
                raise
            except TimeoutError as error:
                writer.close()
                raise WorldError(f"{request.cmd}: no answer within {_ANSWER_S:g} s") from error
            except OSError as error:
                raise WorldError(f"the world ended: {error.strerror or error}") from error
        return read_reply(line)


def _both(one: str, other: str) -> list[Pair]:
    return [(one, other), (other, one)]


def _is_down(process: ProcessStatus) -> bool:
    return process.state != "up" or process.paused

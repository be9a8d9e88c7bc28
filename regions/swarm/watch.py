"""What the fleet under a swarm uses, and says of itself, second by second."""

import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regions import machine
from regions.drills.telemetry import Heard, Telemetry
from regions.swarm.result import Used
from regions.world import World

FRESH_S = 3.0  # a frame older than that says nothing of now
FDS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@dataclass(frozen=True, slots=True)
class Sight:
    """A look: shares of a core since the last one, and how things stand now."""

    edges: dict[str, float] = field(default_factory=dict)
    nats: dict[str, float] = field(default_factory=dict)
    machine: float = 0.0  # share of all its cores
    disk: float = 0.0  # share of the time in which something waited for a disk
    free: float = 1.0  # share of its memory
    fds: float = 0.0
    loop_lag_ms: float = 0.0
    buffered_bytes: int = 0
    refused: int = 0  # connections since the last look
    slow_closes: int = 0  # likewise


class Watch:
    """Looks at a world on this machine, or at nothing but this machine.

    Args:
        world: what is looked at; of one that runs elsewhere only what its edges say is seen.
        directory: where what they say is kept.
    """

    def __init__(self, world: World | None, directory: Path) -> None:
        self._edges: dict[str, int] = {}
        self._nats: dict[str, int] = {}
        self._telemetry: Telemetry | None = None
        self._frames: dict[str, Heard] = {}
        self._uses: dict[str, tuple[float, machine.Use]] = {}
        self._host: tuple[float, machine.Host] = (time.monotonic(), machine.host())
        self._said: tuple[int, int] = (0, 0)
        self._most: dict[str, list[float]] = {}  # name -> [shares summed, looks, rss, fds]
        if world is not None:
            for region in world.regions:
                self._edges |= {one.name: one.pid for one in region.edges if one.pid is not None}
                self._nats |= {one.name: one.pid for one in region.nats if one.pid is not None}
            doors = {door.region: door.nats for door in world.doors("console")}
            self._telemetry = Telemetry(doors, directory, self._hear)

    def start(self) -> None:
        """Listen from now on, and look for the first time."""
        if self._telemetry is not None:
            self._telemetry.start()
        self.look()
        self._most.clear()

    async def close(self) -> None:
        """Listen no more."""
        if self._telemetry is not None:
            await self._telemetry.close()

    def _hear(self, heard: Heard) -> None:
        self._frames[heard.frame.edge] = heard

    def look(self) -> Sight:
        """How it is now."""
        now_s = time.monotonic()
        edges = self._shares(self._edges, now_s)
        nats = self._shares(self._nats, now_s)
        (before_s, before), host = self._host, machine.host()
        self._host = (now_s, host)
        passed_s = max(now_s - before_s, 1e-3)
        disk = 0.0 if host.io_s is None or before.io_s is None else host.io_s - before.io_s
        frames = [one.frame for one in self._frames.values() if now_s - one.t / 1e9 < FRESH_S]
        refused = sum(sum(frame.refused.values()) for frame in frames)
        slow = sum(frame.closes.get("4020", 0) for frame in frames)
        (refused_before, slow_before), self._said = self._said, (refused, slow)
        return Sight(
            edges=edges,
            nats=nats,
            machine=(host.busy_s - before.busy_s) / max(host.all_s - before.all_s, 1e-3),
            disk=min(disk / passed_s, 1.0),
            free=host.free_bytes / host.memory_bytes,
            fds=max((use.fds / FDS for _, use in self._uses.values()), default=0.0),
            loop_lag_ms=max((frame.loop_lag_ms for frame in frames), default=0.0),
            buffered_bytes=sum(frame.send_buffer_bytes for frame in frames),
            refused=max(refused - refused_before, 0),
            slow_closes=max(slow - slow_before, 0),
        )

    def used(self) -> dict[str, Used]:
        """What each process of the fleet used since the start: its mean CPU, its most memory."""
        return {
            name: Used(round(cpu / max(looks, 1), 3), int(rss), int(fds))
            for name, (cpu, looks, rss, fds) in self._most.items()
        }

    def _shares(self, pids: Mapping[str, int], now_s: float) -> dict[str, float]:
        shares = {}
        for name, pid in pids.items():
            use = machine.use_of(pid)
            before = self._uses.get(name)
            if use is None:
                continue
            self._uses[name] = (now_s, use)
            if before is not None:
                share = (use.cpu_s - before[1].cpu_s) / max(now_s - before[0], 1e-3)
                shares[name] = share
                most = self._most.setdefault(name, [0.0, 0, 0, 0])
                most[0] += share
                most[1] += 1
                most[2] = max(most[2], use.rss_bytes)
                most[3] = max(most[3], use.fds)
        return shares

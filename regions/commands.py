"""How a world's processes are run, and how it is seen that they serve."""

import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from regions import http
from regions.faults.route import LINKS
from regions.layout import Layout
from regions.process import Command
from regions.programs import EDGE_PROGRAM
from regions.state import write_private
from regions.topology import Edge, NatsServer, Region
from relay.config import save_config

NATS_END_S = 3.0
EDGE_END_S = 3.0
WAN_END_S = 2.0
ORDERED = frozenset({"cordoned", "drained"})  # states of an edge that takes nobody, and is up


class _Why(msgspec.Struct):
    message: str


class _Error(msgspec.Struct):
    """The body of an edge's 503."""

    error: _Why


def nats_command(layout: Layout, program: Path, region: Region, server: NatsServer) -> Command:
    """Write the configuration of a nats-server; the command that runs it."""
    directory = layout.state.server_dir(server.name)
    directory.mkdir(mode=0o700, exist_ok=True)
    conf = layout.state.server_config(server.name)
    write_private(conf, layout.server_text(region, server).encode())
    return Command(
        name=server.name,
        kind="nats",
        region=region.name,
        argv=(*_inside(region), str(program), "-c", str(conf)),
        output=directory / "server.out",
        log=directory / "server.log",
        quick=signal.SIGTERM,
        gentle=signal.SIGTERM,
        quick_s=NATS_END_S,
        gentle_s=NATS_END_S,
    )


def edge_command(
    layout: Layout, region: Region, edge: Edge, program: Sequence[str] = EDGE_PROGRAM
) -> Command:
    """Write the configuration of an edge; the command that runs it.

    `program`: what runs an edge when `--config PATH` is put behind it.
    """
    path, log = layout.state.edge_config(edge.name), layout.state.edge_log(edge.name)
    save_config(layout.edge_config(region, edge), path)
    return Command(
        name=edge.name,
        kind="edge",
        region=region.name,
        argv=(*_inside(region), *program, "--config", str(path)),
        output=log,
        log=log,
        quick=signal.SIGINT,
        gentle=signal.SIGTERM,
        quick_s=EDGE_END_S,
        gentle_s=layout.topology.limits.drain_s + EDGE_END_S,
    )


def wan_command(layout: Layout, device: str, router: str | None) -> Command:
    """Write the configuration of the links' process; the command that runs it in `router`."""
    path, log = layout.state.wan_config, layout.state.wan_log
    write_private(path, msgspec.json.encode(layout.wan_config(device)))
    inside = () if router is None else ("ip", "netns", "exec", router)
    return Command(
        name=LINKS,
        kind="wan",
        region="",
        argv=(*inside, sys.executable, "-m", "regions.faults", str(path)),
        output=log,
        log=log,
        quick=signal.SIGTERM,
        gentle=signal.SIGTERM,
        quick_s=WAN_END_S,
        gentle_s=WAN_END_S,
    )


def answers(url: str) -> Callable[[], Awaitable[bool]]:
    """A question: does a GET of `url` answer anything now?"""

    async def ask() -> bool:
        return await http.get(url) is not None

    return ask


def serves(url: str) -> Callable[[], Awaitable[bool]]:
    """A question: does a GET of `url` answer 200 now, or that it is as an operator wants it?"""

    async def ask() -> bool:
        answer = await http.get(url)
        return answer is not None and (answer.status == 200 or as_ordered(answer))

    return ask


def as_ordered(answer: http.Answer) -> bool:
    """Whether an edge answers that it takes nobody because an operator wants that."""
    try:
        return msgspec.json.decode(answer.body, type=_Error).error.message in ORDERED
    except msgspec.DecodeError:
        return False


def _inside(region: Region) -> tuple[str, ...]:
    return () if region.netns is None else ("ip", "netns", "exec", region.netns)

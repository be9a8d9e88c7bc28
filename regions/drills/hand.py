"""What a drill asks the supervisor for, besides faults."""

import msgspec

from regions.control import Request, open_unix, read_reply
from regions.errors import AdminError, WorldError
from regions.jetstream import JetStream
from regions.state import StateDir
from regions.world import World
from relay.core.names import events_stream
from relay.errors import BusError


async def restart(state: StateDir, process: str) -> None:
    """End a process gently, which drains an edge, and start it again; returns when it was started.

    Whoever is cancelled meanwhile leaves it to the supervisor, which does it all the same.

    Raises:
        WorldError: it can't be done.
    """
    try:
        reader, writer = await open_unix(state.control_socket)
    except OSError as error:
        raise WorldError(f"no world runs in {state.path}") from error
    try:
        writer.write(msgspec.json.encode(Request("restart", process)) + b"\n")
        read_reply(await reader.readline())
    finally:
        writer.close()


async def leader_of(world: World, region: str) -> str:
    """The nats-server that leads the stream of a region's events.

    Raises:
        WorldError: it can't be told.
    """
    try:
        js = await JetStream.connect(region, world.nats_config(region, "control"))
        try:
            info = await js.info(events_stream(region))
        finally:
            await js.close()
    except (BusError, AdminError) as error:
        raise WorldError(f"{region}: {error}") from error
    leader = str(((info or {}).get("cluster") or {}).get("leader") or "")
    if not leader:
        raise WorldError(f"{region}: its stream has no leader now")
    return leader

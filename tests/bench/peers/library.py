"""The `websockets` library's own `broadcast()`: `python -m tests.bench.peers.library PORT`."""

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

_members: set[ServerConnection] = set()


async def _client(connection: ServerConnection) -> None:
    try:
        async for message in connection:
            assert isinstance(message, str)
            if message == "J":
                _members.add(connection)
                await connection.send("J")
            elif message.startswith("P"):
                broadcast(_members, message[1:])
    finally:
        _members.discard(connection)


async def _serve(port: int) -> None:
    async with serve(
        _client, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096
    ):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))

"""The keeper of the streams outlives what nobody foresaw."""

import asyncio
import socket

import pytest

from regions.apply import Report
from regions.keeper import StreamKeeper
from regions.topology_file import parse_topology
from relay.config import NatsConfig
from relay.tasks import Tasks


async def test_an_error_that_nobody_foresaw_does_not_end_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Report] = []
    again = asyncio.Event()

    def tell(report: Report) -> None:
        told.append(report)
        if len(told) == 1:
            keeper.hurry()
            raise RuntimeError("nobody foresaw this")
        again.set()

    topology = parse_topology('[[regions]]\nname = "us"', "one.toml")
    tasks = Tasks("test")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen: the region can't be reached
        servers = [f"nats://127.0.0.1:{nobody.getsockname()[1]}"]
        keeper = StreamKeeper(topology, {"us": NatsConfig(servers)}, tell)
        tasks.spawn(keeper.run(), "keeper")
        keeper.hurry()
        async with asyncio.timeout(30):
            await again.wait()
        await tasks.close()
    assert [len(report.failures) for report in told] == [1, 1]
    assert keeper.errors == 1
    assert "nobody foresaw this" in caplog.text, "with its traceback"

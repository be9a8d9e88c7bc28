"""A mirror that parted from its origin: found, saved, filled anew, and no cursor goes on in it."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from relay.bus.home import EPOCH, FORKS
from relay.core.codes import Op
from relay.core.names import event_subject, events_stream
from tests.raw import Raw, token
from tests.ready import serving
from tests.system.test_gate import ROOM, TOPOLOGY, copy_of, mirrored, publish, reader
from tests.world import World


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[World]:
    """Two regions with an edge each, for this test alone: it loses data on purpose."""
    running = World(tmp_path / "state", TOPOLOGY)
    running.launch()
    yield running
    running.clean()


class Rewound:
    """Region us, whose store can be put back to how it was."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.state_dir / "nats" / "us-n1"
        self._backup = world.state_dir.with_name("backup")

    async def keep(self) -> None:
        """Keep the store as it is now."""
        await self._world.ctl("stop", "nats:us-n1")
        shutil.copytree(self._store, self._backup)
        await self._world.ctl("start", "nats:us-n1")

    async def go_back(self) -> None:
        """Stop the server and put the store back."""
        await self._world.ctl("stop", "nats:us-n1")
        shutil.rmtree(self._store)
        shutil.copytree(self._backup, self._store)


async def refilled(world: World, since: int) -> Path:
    """Wait until eu's mirror of us was saved and made anew; the file."""
    change = f"eu: diverged {events_stream('us')}: filled anew, what only it held is in "
    async with asyncio.timeout(60):
        while True:
            for event in world.events[since:]:
                for text in event.changes or []:
                    if text.startswith(change):
                        return Path(text.removeprefix(change))
            await asyncio.sleep(0.1)


async def alike(world: World, upto: int) -> None:
    """Wait until eu holds of us what us holds, up to a sequence at least."""
    async with asyncio.timeout(60):
        await mirrored(world, "eu", "us", upto)
        while await copy_of(world, "eu", "us") != await copy_of(world, "us", "us"):
            await asyncio.sleep(0.1)


def saved_ids(path: Path) -> list[str]:
    """The publish ids in the file."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line["headers"]["Jr-Id"] for line in lines if "Jr-Id" in line["headers"]]


async def test_a_mirror_that_could_not_be_asked_is_found_saved_and_filled_anew(
    pair: World,
) -> None:
    rewound = Rewound(pair)
    await publish(pair, 0, 20)
    await rewound.keep()
    await serving(pair, "us-1")
    last = await publish(pair, 20, 30)
    await mirrored(pair, "eu", "us", last)
    async with Raw(pair.edges["eu-1"].url) as raw:
        ready = await raw.identify(token(pair, "reader"), {"room": ROOM[1], "since": {"last": 5}})
        session_id, cursor = ready["d"]["session_id"], ready["d"]["cursor"]

    await pair.ctl("stop", "nats:eu-n1")  # nobody who holds the end can be asked for it
    await rewound.go_back()
    since = len(pair.events)
    await pair.ctl("start", "nats:us-n1")
    await serving(pair, "us-1")
    after = await publish(pair, 50, 1)
    assert after > last
    await pair.ctl("start", "nats:eu-n1")

    path = await refilled(pair, since)
    assert saved_ids(path) == [f"e{number}" for number in range(20, 50)]
    await alike(pair, after)
    async with reader(pair, "us") as reads:
        info = await reads.info(events_stream("us"))
        assert info.metadata[EPOCH] == "2", "one epoch for one loss"
        assert info.metadata[FORKS]
    await serving(pair, "eu-1")
    async with Raw(pair.edges["eu-1"].url) as raw:
        await raw.resume(token(pair, "reader"), session_id, cursor=cursor, rooms=[ROOM[1]])
        refused = await raw.op(Op.INVALID_SESSION)
        assert refused["e"] == {"reason": "epoch"}


async def test_sequences_given_out_twice_start_an_epoch_and_the_mirror_is_filled_anew(
    pair: World,
) -> None:
    """A backend writes past the gate, before an edge has looked."""
    rewound = Rewound(pair)
    await publish(pair, 0, 20)
    await rewound.keep()
    await serving(pair, "us-1")
    last = await publish(pair, 20, 30)
    await mirrored(pair, "eu", "us", last)
    await pair.ctl("hold", "us-1")
    await rewound.go_back()
    await pair.ctl("start", "nats:us-n1")
    config = pair.nats_config("us", "backend")
    client = Client()
    await client.connect(
        servers=config.servers, user=config.user, password=config.password,
        inbox_prefix="_INBOX_backend",
    )  # fmt: skip
    try:
        for number in range(10):
            subject = event_subject("us", ROOM[0], "0", ROOM[1])
            answer = await client.request(subject, f'"again {number}"'.encode(), timeout=5)
        assert json.loads(answer.data)["seq"] <= last, "a sequence that had been given out"
    finally:
        await client.close()
    since = len(pair.events)
    await pair.ctl("start", "us-1")
    await serving(pair, "us-1")
    after = await publish(pair, 50, 1)
    assert after > last

    path = await refilled(pair, since)
    assert saved_ids(path) == [f"e{number}" for number in range(20, 50)]
    await alike(pair, after)

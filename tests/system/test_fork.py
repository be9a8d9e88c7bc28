"""A mirror that parted from its origin: found, saved, filled anew, and no cursor goes on in it."""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from relay.bus.connection import open_connection
from relay.bus.home import EPOCH, FORKS
from relay.core.alarm import Alarm, Wrong
from relay.core.codes import Op
from relay.core.names import alarm_subject, event_subject, events_stream
from tests.raw import Raw, token
from tests.ready import serving
from tests.system.test_gate import ROOM, TOPOLOGY, copy_of, mirrored, publish, reader
from tests.world import World

ALARM_S = 5.0  # in which a mirror that differs is found, when it is current
LATE_S = 1.0  # a busy machine


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


async def kept(world: World) -> tuple[Rewound, int]:
    """Say e0 to e49 in us, whose store can go back to where e19 was the last; the last sequence."""
    rewound = Rewound(world)
    await publish(world, 0, 20)
    await rewound.keep()
    await serving(world, "us-1")
    last = await publish(world, 20, 30)
    await mirrored(world, "eu", "us", last)
    return rewound, last


async def lost_alone(world: World, rewound: Rewound) -> int:
    """us loses its end while nobody who holds it can be asked, and goes on to e50: its sequence."""
    await world.ctl("stop", "nats:eu-n1")
    await rewound.go_back()
    await world.ctl("start", "nats:us-n1")
    await serving(world, "us-1")
    return await publish(world, 50, 1)


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
    rewound, last = await kept(pair)
    async with Raw(pair.edges["eu-1"].url) as raw:
        ready = await raw.identify(token(pair, "reader"), {"room": ROOM[1], "since": {"last": 5}})
        session_id, cursor = ready["d"]["session_id"], ready["d"]["cursor"]

    since = len(pair.events)
    after = await lost_alone(pair, rewound)
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
    rewound, last = await kept(pair)
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


async def test_where_nobody_noted_where_a_mirror_parted_its_watcher_finds_it_and_says_so(
    pair: World,
) -> None:
    rewound, _ = await kept(pair)
    since = len(pair.events)
    after = await lost_alone(pair, rewound)
    async with reader(pair, "us") as reads:
        info = await reads.info(events_stream("us"))
        metadata = {key: value for key, value in info.metadata.items() if not key.startswith("_")}
        noted = metadata.pop(FORKS)
        config = {**info.config, "metadata": metadata}
        await reads.api(f"STREAM.UPDATE.{events_stream('us')}", config)
    await pair.ctl("stop", "nats:us-n1")  # the edge looks at its stream anew
    await pair.ctl("start", "nats:us-n1")
    await serving(pair, "us-1")
    heard: list[tuple[float, Alarm]] = []
    connection = await open_connection(pair.nats_config("us"), "test", "_INBOX_edge")
    try:
        await connection.listen(
            alarm_subject("eu"),
            lambda _subject, _reply, _headers, data: heard.append(
                (time.monotonic(), msgspec.json.decode(data, type=Alarm))
            ),
        )
        await pair.ctl("start", "nats:eu-n1")
        await mirrored(pair, "eu", "us", after)
        current_s = time.monotonic()
        async with asyncio.timeout(30):
            while not (found := [each for each in heard if each[1].wrong is Wrong.DIVERGED]):
                await asyncio.sleep(0.05)
    finally:
        await connection.close()
    at_s, alarm = found[0]
    assert (alarm.region, alarm.origin, str(alarm.first)) == ("eu", "us", noted)
    print(f"the alarm came {at_s - current_s:.2f} s after the mirror was current")
    assert at_s - current_s < ALARM_S + LATE_S
    path = await refilled(pair, since)
    assert saved_ids(path) == [f"e{number}" for number in range(20, 50)]
    await alike(pair, after)

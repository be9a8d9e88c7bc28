"""A stream's leader dies, the room goes quiet, and its reader resumes elsewhere at once.

Events that the old leader stored and acknowledged may never be published live, and nothing that
comes later in the room would show it: the reader has them only if nobody's position passed them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from regions.jetstream import JetStream
from relay.client import connect
from relay.client.errors import ClientError
from relay.core.names import events_stream
from relay.errors import UnavailableError
from tests.metrics import metrics
from tests.raw import Raw, token
from tests.ready import serving
from tests.world import World

TIMES = 20
PUBLISHERS = 16  # at once: the leader dies with events in flight
QUIET_S = 0.5
CURRENT_S = 30.0
TOPOLOGY = """
[[regions]]
name = "us"
nats = { servers = 3 }
edges = 2

[[regions]]
name = "eu"
edges = 1
"""

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A region of three servers, and one of one."""
    world = World(tmp_path_factory.mktemp("leader") / "state", TOPOLOGY)
    try:
        yield world.launch()
    finally:
        world.clean()
    assert not world.leftovers()


async def leader(world: World) -> str:
    """The server that leads the home stream of us, once every copy in us has a leader."""
    admin = await JetStream.connect("us", world.nats_config("us", "control"))
    deadline_s = time.monotonic() + 60
    try:
        while True:
            try:
                infos = [await admin.info(events_stream(origin)) for origin in ("us", "eu")]
            except UnavailableError:  # there is none yet
                assert time.monotonic() < deadline_s
                continue
            leaders = [info["cluster"]["leader"] for info in infos if info is not None]
            assert len(leaders) == 2
            return str(leaders[0])
    finally:
        await admin.close()


@dataclass
class Talk:
    """What was published in a room, until it was told to stop."""

    room: str
    acked: dict[str, int] = field(default_factory=dict)  # id -> sequence
    stopped: bool = False

    async def go_on(self, world: World, number: int) -> None:
        """One publisher. What is in flight when it is stopped may be stored or not."""
        url = world.edges["us-2"].url
        client_of = connect(url, token=token(world, f"p{number}"), listen=False)
        async with client_of as client:
            count = 0
            while not self.stopped:
                publish_id = f"{number}-{count}"
                try:
                    ack = await client.publish(self.room, publish_id, id=publish_id)
                except ClientError:
                    return
                if ack.origin == "us" and ack.seq is not None:
                    self.acked[publish_id] = ack.seq
                count += 1


async def jumped_over(world: World) -> float:
    """How many stored events the live feed of us jumped over, as its watchers found."""
    found = [await metrics(world, edge) for edge in ("us-1", "us-2")]
    return sum(each["skipped_live_total"] for each in found)


@asynccontextmanager
async def talking(world: World, room: str) -> AsyncIterator[Talk]:
    """Publishers at work in a room."""
    talk = Talk(room)
    tasks = [asyncio.create_task(talk.go_on(world, number)) for number in range(PUBLISHERS)]  # noqa: TID251
    try:
        yield talk
    finally:
        talk.stopped = True
        await asyncio.gather(*tasks)


async def whole(world: World) -> None:
    """Wait until all servers of us serve, and the edges in front of them."""
    async with asyncio.timeout(60):
        while True:
            states = {one.name: one.state for one in await world.ctl("status")}
            if all(states[f"us-n{number}"] == "up" for number in (1, 2, 3)):
                break
            await asyncio.sleep(0.2)
    for edge in world.edges:
        await serving(world, edge)


@pytest.mark.parametrize("turn", range(TIMES))
async def test_who_resumes_elsewhere_half_a_second_later_misses_nothing(
    cluster: World, turn: int
) -> None:
    room = f"leader:{turn}"
    user = token(cluster, "reader")
    await whole(cluster)
    server = await leader(cluster)
    got: list[tuple[str, int]] = []
    async with AsyncExitStack() as stack:
        async with Raw(cluster.edges["us-1"].url) as raw:
            session_id = (await raw.identify(user, room))["d"]["session_id"]
            talk = await stack.enter_async_context(talking(cluster, room))
            await raw.messages(200)
            await cluster.ctl("kill", server)
            talk.stopped = True
            killed_s = time.monotonic()
            await asyncio.sleep(QUIET_S)  # the fault itself: the room is quiet for so long
            cursor = (await raw.acked())["c"]
            heard = [payload["d"] for payload in raw.seen if payload["t"] == "MESSAGE"]
            got += [(message["id"], message["seq"]) for message in heard]
        acked = dict(talk.acked)
        async with Raw(cluster.edges["eu-1"].url, query="v=10&resume=1") as raw:
            resumed_s = time.monotonic()
            await raw.resume(user, session_id, cursor=cursor, rooms=[room])
            missing = set(acked) - {publish_id for publish_id, _ in got}
            replayed = 0
            async with asyncio.timeout(CURRENT_S):
                while missing or not any(payload["t"] == "RESUMED" for payload in raw.seen):
                    payload = await raw.receive(CURRENT_S)
                    if payload["t"] == "MESSAGE":
                        got.append((payload["d"]["id"], payload["d"]["seq"]))
                        missing.discard(payload["d"]["id"])
                        replayed += 1
            current_s = time.monotonic() - resumed_s
            await stack.aclose()  # what was on its way at the kill is answered by now
            late = set(talk.acked) - {publish_id for publish_id, _ in got}
            async with asyncio.timeout(CURRENT_S):
                while late:
                    payload = await raw.receive(CURRENT_S)
                    if payload["t"] == "MESSAGE":
                        got.append((payload["d"]["id"], payload["d"]["seq"]))
                        late.discard(payload["d"]["id"])
            assert not [payload for payload in raw.seen if payload["t"] == "GAP"]
    unpublished = await jumped_over(cluster)
    print(
        f"\n{turn}: killed {server}; {len(acked)} acknowledged, {len(talk.acked) - len(acked)} "
        f"more afterwards, {replayed} came after the resume, "
        f"RESUMED after {resumed_s - killed_s:.1f} + {current_s:.2f} s; "
        f"never published live so far: {unpublished:.0f} events"
    )
    sequences = [seq for _, seq in got]
    assert sequences == sorted(set(sequences)), "in order, each once"
    assert {publish_id: seq for publish_id, seq in got if publish_id in talk.acked} == talk.acked

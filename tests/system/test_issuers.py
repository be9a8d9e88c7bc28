"""Tokens for a world whose edges ask for an audience and a tenant, and how far keys reach."""

import json
from collections.abc import Iterator

import pytest

from regions.issuer import DOOR, DOOR_USER, Issuer
from regions.steering.trying import doors_of, try_door
from relay.core.grants import Act, RoomGrant
from tests.raw import ClosedError, Raw
from tests.world import World, running

TOPOLOGY = """
[[regions]]
name = "us"
edges = 1

[tokens]
audience = "relay"
tenant = true
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One edge that takes tokens of its audience only, which name a tenant."""
    with running(tmp_path_factory.mktemp("issuers"), TOPOLOGY, orderly=True) as started:
        yield started


async def test_its_doors_are_tried_with_the_key_that_is_for_that(world: World) -> None:
    found = world.found()
    for edge, url in doors_of(found).items():
        tried = await try_door(found.issuer(DOOR), edge, url)
        assert not tried.failed, tried
    # What names neither audience nor tenant is refused.
    bare = Issuer(found.issuer(DOOR).key)
    for edge, url in doors_of(found).items():
        assert "4004" in (await try_door(bare, edge, url)).failed


@pytest.mark.parametrize(
    ("user", "room", "watch"),
    [
        pytest.param("ana", "jetrelay:door", (), id="another user"),
        pytest.param(DOOR_USER, "chat:a", (), id="another room"),
        pytest.param(DOOR_USER, "jetrelay:*", (), id="more rooms"),
        pytest.param(DOOR_USER, "*", (), id="every room"),
        pytest.param(DOOR_USER, "jetrelay:door", ("*",), id="watching users"),
    ],
)
async def test_that_key_is_good_for_nothing_else(
    world: World, user: str, room: str, watch: tuple[str, ...]
) -> None:
    grants = (RoomGrant(room, frozenset({Act.SUBSCRIBE})),)
    token = world.found().issuer(DOOR).token(user, grants, 60, watch)
    async with Raw(world.regions["us"].edges[0].url) as raw:
        with pytest.raises(ClosedError, match="4004"):
            await raw.identify(token)


def test_commands_sign_what_the_edges_take_and_tenants_do_not_meet(world: World) -> None:
    assert world.run("publish", "--room", "a", "ours").returncode == 0
    made = world.run("token", "--user", "ana", "--room", "*", "--tenant", "acme").stdout.strip()
    at = ("--url", world.regions["us"].edges[0].url, "--token", made)
    assert world.run("publish", "--room", "a", "theirs", *at).returncode == 0
    for options, said in (((), "ours"), (at, "theirs")):
        read = world.run("tail", "--room", "a", "--last", "5", "--count", "1", "--json", *options)
        assert [json.loads(line)["data"] for line in read.stdout.splitlines()] == [said]
    wrong = world.run("token", "--user", "ana", "--room", "*", "--tenant", "a.b")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--tenant 'a.b'" in wrong.stderr

"""The commands in a real world."""

import json

from cli.quakes import load_quakes, rooms_of
from tests.world import World


def test_a_token_lets_another_command_in(world: World) -> None:
    made = world.run("token", "--user", "ana", "--room", "chat:*")
    assert (made.returncode, made.stderr) == (0, "")
    token = made.stdout.strip()
    url = world.regions["eu"].edges[0].url
    at = ("--url", url, "--token", token)
    sent = world.run("publish", "--room", "chat:a", '{"text": "hi"}', "--json", *at)
    assert sent.returncode == 0, sent.stderr
    ack = json.loads(sent.stdout)
    assert ack["origin"] == "eu"
    read = world.run(
        "tail", "--room", "chat:a", "--last", "1", "--count", "1", "--json", "--region", "us"
    )
    assert read.returncode == 0, read.stderr
    event = json.loads(read.stdout)
    assert (event["user"], event["data"], event["seq"]) == ("ana", {"text": "hi"}, ack["seq"])
    refused = world.run("publish", "--room", "news", "x", *at)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not_permitted" in refused.stderr


def test_a_week_of_quakes_is_stored_once_however_often_it_is_replayed(world: World) -> None:
    first = world.run("demo", "quakes", "--speed", "max", "--json")
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)
    assert (summary["quakes"], summary["acknowledged"]) == (1707, 3414)
    assert sum(region["duplicates"] for region in summary["regions"].values()) == 0
    again = json.loads(world.run("demo", "quakes", "--speed", "0", "--json").stdout)
    assert sum(region["duplicates"] for region in again["regions"].values()) == 3414

    strong = [quake for quake in load_quakes() if "quakes:m6" in rooms_of(quake)]
    count = str(len(strong))
    read = world.run(
        "tail", "--room", "quakes:m6", "--region", "ap", "--json", "--last", count, "--count", count
    )
    got = [json.loads(line) for line in read.stdout.splitlines()]
    assert {event["id"] for event in got} == {quake.id for quake in strong}
    human = world.run("tail", "--room", "quakes:m6", "--last", "1", "--count", "1")
    assert "  M 6." in human.stdout

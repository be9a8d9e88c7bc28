"""A swarm as a user lets it loose: on a world, on an edge with a token, interrupted, refused."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.raw import token
from tests.ready import serving
from tests.world import World

PROGRAM = str(Path(sys.executable).with_name("jetrelay"))
SMALL = ("--clients", "40", "--rooms", "8", "--rate", "40", "--warm-up", "1s")


def started(*arguments: object) -> subprocess.Popen[str]:
    """`jetrelay swarm ARGUMENTS`, that runs."""
    return subprocess.Popen(
        [PROGRAM, "swarm", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )


def swarm(*arguments: object) -> tuple[int, str, str]:
    """Its exit code, what it printed, and what it said besides."""
    process = started(*arguments)
    out, said = process.communicate(timeout=120)
    return process.returncode, out, said


def found(world: World, *arguments: object) -> dict[str, Any]:
    """What a swarm found that missed nothing."""
    code, out, said = swarm(*arguments, *SMALL, "--state", world.state_dir, "--json")
    assert code == 0, out + said
    record: dict[str, Any] = json.loads(out)
    assert (record["missing"], record["repeated"], record["unanswered"]) == (0, 0, 0)
    return record


@pytest.mark.parametrize(
    ("profile", "encoding"), [("steady", "json"), ("rooms", "msgpack"), ("spike", "json")]
)
def test_everybody_hears_everything_in_every_region(
    world: World, tmp_path: Path, profile: str, encoding: str
) -> None:
    record = found(world, profile, "--encoding", encoding, "--each", 2, "--for", "2s",
                   "--processes", 2, "--report", tmp_path)  # fmt: skip
    assert record["here"] == (40 if profile != "spike" else record["here"])
    assert record["here_most"] >= 32
    counts = record["counts"]
    # The answers to the last ones come after the last second that is counted; all have come.
    assert 0 <= counts["published"] - counts["acknowledged"] <= 10
    assert counts["acknowledged"] > 40
    assert counts["delivered"] == counts["looked into"] > counts["published"]
    pairs = {name for name in record["times"] if ">" in name}
    assert len(pairs) == 9, "each region hears each"
    assert set(record["fleet"]) >= {"us-1", "eu-2", "ap-1", "us-n1"}
    assert len(record["swarm"]) == 2
    assert "<svg" in (tmp_path / "index.html").read_text()
    assert json.loads((tmp_path / "swarm.json").read_text())["spec"]["profile"] == profile


def test_who_churns_comes_back_and_misses_nothing(world: World) -> None:
    record = found(world, "churn", "--for", "6s", "--seed", 3)
    counts = record["counts"]
    assert counts["went"] + counts.get("went without a word", 0) > 3
    assert counts["opened"] + counts.get("resumed", 0) > 44, "they came back"


def test_the_idle_say_nothing_and_slow_readers_hold_nobody_up(world: World) -> None:
    assert "published" not in found(world, "idle", "--for", "2s")["counts"]
    slow = found(world, "slow-readers", "--for", "3s")["counts"]
    assert slow["looked into"] < slow["delivered"] + 40 * 3


async def test_clients_of_an_edge_that_is_killed_resume_elsewhere(world: World) -> None:
    process = started("steady", *SMALL, "--for", "8s", "--state", world.state_dir, "--json")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(("warm-up", "measured")):
            break
    await world.ctl("kill", "us-1")
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, out + said
    record = json.loads(out)
    assert (record["here"], record["missing"], record["repeated"]) == (40, 0, 0)
    assert record["counts"]["resumed"] >= 6
    assert record["times"]["back"]["count"] >= 6
    assert record["counts"].get("sessions lost", 0) == 0
    await serving(world, "us-1")


def test_an_edge_is_enough_with_a_token(world: World) -> None:
    shown = token(world, "load")
    url = world.edges["eu-1"].url
    code, out, said = swarm("--url", url, "--token", shown, *SMALL, "--for", "2s")
    assert code == 0, out + said
    assert "NOTHING MISSING" in out
    assert "over 1 edges" in said


def test_the_limit_is_found_and_named(world: World) -> None:
    code, out, said = swarm(
        *SMALL, "--state", world.state_dir, "--find-limit", "clients", "--clients", 2, "--json"
    )
    assert code == 0, out + said
    limit = json.loads(out)["limit"]
    assert limit["what"] == "clients"
    assert limit["steps"]
    assert limit["broke_at"] is None or limit["full"]
    assert said.count("clients  ") == len(limit["steps"])


def test_ctrl_c_ends_it_in_order_with_what_was_measured(world: World) -> None:
    process = started(*SMALL, "--for", "60s", "--state", world.state_dir, "--json")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("measured"):
            break
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, out + said
    record = json.loads(out)
    assert 1 <= record["measured_s"] < 60
    assert record["missing"] == 0


def test_where_nobody_is_let_in_it_says_why(world: World) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/gateway"
        code, _, said = swarm("--url", url, "--token", "x", *SMALL)
    assert code == 2
    assert "nobody was let in: no connection:" in said
    code, _, said = swarm("--url", world.edges["eu-1"].url, "--token", "x", *SMALL)
    assert code == 2
    assert "nobody was let in" in said

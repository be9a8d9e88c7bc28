"""A world's life: ports kept, nothing left behind, one supervisor at a time, clear refusals."""

import asyncio
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from regions.ports import Claims
from regions.state import StateDir
from regions.supervisor import Supervisor
from regions.topology_file import parse_topology
from tests.world import World, WorldFailedError

ONE = '[[regions]]\nname = "us"\n'
TWO = ONE + '[[regions]]\nname = "eu"\n'


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[list[World]]:
    """Worlds that a test makes: cleaned up whatever happens."""
    made: list[World] = []
    yield made
    for world in made:
        world.clean()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_and_nothing_is_left(
    tmp_path: Path, worlds: list[World], number: signal.Signals
) -> None:
    world = World(tmp_path / "state", TWO)
    worlds.append(world)
    await world.start()
    assert len(world.processes()) == 2
    paused = await world.ctl("pause", "eu-n1")
    assert paused[0].paused
    assert await world.stop(number) == 0
    assert world.leftovers() == []
    assert [event.event for event in world.events] == ["ready", "stopping", "stopped"]
    assert not (tmp_path / "state" / "world.json").exists()


async def test_after_sigkill_the_next_start_cleans_up_and_keeps_ports_and_data(
    tmp_path: Path, worlds: list[World]
) -> None:
    world = World(tmp_path / "state", TWO)
    worlds.append(world)
    await world.start()
    ports = {name: region.nats[0].url for name, region in world.regions.items()}
    orphans = world.processes()
    world.kill_supervisor()
    assert world.leftovers() == orphans, "a world without supervisor serves on"
    refused = world.run("streams", "plan")
    assert refused.returncode == 2
    assert "is dead" in refused.stderr
    await world.start()
    assert not set(orphans) & set(world.leftovers())
    assert {name: region.nats[0].url for name, region in world.regions.items()} == ports
    plan = world.run("streams", "plan")
    assert plan.returncode == 0, plan.stdout + plan.stderr


async def test_two_worlds_run_side_by_side_but_not_in_one_directory(
    tmp_path: Path, worlds: list[World]
) -> None:
    here, there = World(tmp_path / "here", ONE), World(tmp_path / "there", ONE)
    worlds += [here, there]
    await asyncio.gather(here.start(), there.start())
    second = World(tmp_path / "here", ONE)
    with pytest.raises(WorldFailedError, match=f"a world runs in .*here .pid {here.pid}."):
        await second.start()
    status = await here.ctl("status")
    assert [(one.name, one.state) for one in status] == [("us-n1", "up")]


async def test_a_held_process_stays_down_until_it_is_started(
    tmp_path: Path, worlds: list[World]
) -> None:
    world = World(tmp_path / "state", ONE)
    worlds.append(world)
    await world.start()
    held = await world.ctl("hold", "nats:us-n1")
    assert (held[0].state, held[0].pid) == ("held", None)
    down = await world.event("nats_down", server="us-n1")
    assert (down.reason, down.retry_in_s) == ("held", None)
    await asyncio.sleep(1.0)
    assert world.leftovers() == []
    await world.ctl("start", "us-n1")
    await world.event("nats_up", server="us-n1")


async def test_secrets_are_private_and_never_in_a_command_line(
    tmp_path: Path, worlds: list[World]
) -> None:
    world = World(tmp_path / "state", ONE)
    worlds.append(world)
    await world.start()
    secrets = StateDir(world.state_dir).secrets()
    passwords = [*secrets.nats.values(), secrets.session_key, secrets.token_key]
    for process in world.processes():
        line = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert not [password for password in passwords if password in line]
    for path in world.state_dir.rglob("*"):
        if path.is_file() and any(one.encode() in path.read_bytes() for one in passwords):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(world.state_dir.stat().st_mode) == 0o700


async def test_a_port_of_the_topology_that_is_taken_is_named(
    tmp_path: Path, worlds: list[World]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        world = World(tmp_path / "state", f"{ONE}nats = {{ ports = [{port}] }}\n")
        worlds.append(world)
        with pytest.raises(WorldFailedError, match=f"us-n1: port {port} on 127.0.0.1 is taken"):
            await world.start()
    assert world.end() == 2


async def test_a_kept_port_that_was_taken_meanwhile_is_chosen_anew(
    tmp_path: Path, worlds: list[World]
) -> None:
    world = World(tmp_path / "state", ONE)
    worlds.append(world)
    await world.start()
    port = int(world.regions["us"].nats[0].url.rpartition(":")[2])
    await world.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        await world.start()
        assert not world.regions["us"].nats[0].url.endswith(f":{port}")
    assert f"us-n1: port {port} is taken" in world.log()


async def test_a_fresh_port_that_is_taken_before_it_is_used_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        unlucky = [taken.getsockname()[1]]
        pick = Claims.pick

        def pick_badly(self: Claims, host: str, *, local: bool = True) -> int:
            return unlucky.pop() if unlucky else pick(self, host, local=local)

        monkeypatch.setattr(Claims, "pick", pick_badly)
        said: list[str] = []
        events: list[str] = []
        supervisor = Supervisor(
            parse_topology(ONE, "w.toml"),
            StateDir(tmp_path / "state"),
            lambda event: events.append(event.event),
            said.append,
        )
        try:
            await supervisor.start()
        finally:
            await supervisor.stop()
    assert "the ports of us-n1 were taken meanwhile" in said
    assert events == ["ready", "stopping", "stopped"]


def test_commands_say_what_to_do_where_no_world_is(tmp_path: Path) -> None:
    world = World(tmp_path / "nothing")
    for arguments in (("streams", "plan"), ("ctl", "status")):
        done = world.run(*arguments)
        assert done.returncode == 2
        assert "start one with `jetrelay up" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_password_in_a_url_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path / "state")
    done = world.run("up", "--headless", "--nats", "us=nats://user:secret@127.0.0.1:4222")
    assert done.returncode == 2
    assert "--creds us=FILE" in done.stderr
    assert "secret" not in done.stderr

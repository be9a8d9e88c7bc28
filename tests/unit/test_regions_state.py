"""The state directory: secrets, ports, the world on record, and who may read them."""

import os
import stat
from pathlib import Path

import pytest

from regions.credentials import SecretsFile, read_login
from regions.deployment import parse_deployment
from regions.errors import WorldError
from regions.identity import Identity, boot_id, identify, is_alive
from regions.issuer import DOOR
from regions.layout import Layout, assign, listeners
from regions.permissions import inbox_of
from regions.ports import Claims
from regions.state import StateDir, find_world
from regions.topology_file import builtin_topology
from regions.world import VERSION, World, WorldRecord
from relay.config import NatsConfig

THREE = builtin_topology("three")
ALL = [f"{region}=nats://h:1" for region in THREE.names]


def record(state: StateDir, supervisor: Identity, boot: str) -> WorldRecord:
    """A world on record, with made-up ports and pids."""
    wanted = list(listeners(THREE, with_nats=True, with_edges=True))
    ports = {listener.key: 20_000 + number for number, listener in enumerate(wanted)}
    secrets = SecretsFile().completed(THREE)
    state.save_secrets(secrets)
    layout = Layout(THREE, state, secrets, ports)
    running = {"us-n1": Identity(4_000_001, 7), "us-1": Identity(4_000_002, 8)}
    return WorldRecord(VERSION, boot, supervisor, THREE.where, THREE.text, layout.regions(running))


def me() -> Identity:
    """This very process."""
    found = identify(os.getpid())
    assert found is not None
    return found


def test_a_world_is_found_as_it_was_saved(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    state.lock().close()
    saved = record(state, me(), boot_id())
    state.save_world(saved)
    world = find_world(tmp_path / "state")
    assert world.record == saved
    assert [region.name for region in world.regions] == ["us", "eu", "ap"]
    assert world.edge("us-1").url.endswith("/gateway")
    assert world.topology() == THREE
    config = world.nats_config("eu", "edge")
    assert config.servers == [world.region("eu").nats[0].url]
    assert (config.user, config.password) == ("edge", state.secrets().nats["eu/edge"])
    assert (world.issuer().key.kid, world.issuer(DOOR).key.kid) == ("local", "door")
    assert saved.processes() == [Identity(4_000_002, 8), Identity(4_000_001, 7)]


def test_pids_of_another_boot_mean_nobody(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.lock().close()
    saved = record(state, me(), "another")
    assert saved.processes() == []
    state.save_world(saved)
    with pytest.raises(WorldError, match="is dead"):
        find_world(tmp_path)


def test_a_pid_that_another_process_has_now_is_not_alive() -> None:
    assert is_alive(me())
    assert not is_alive(Identity(me().pid, me().started + 1))


def test_no_world_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"no world in .*: start one with `jetrelay up"):
        find_world(tmp_path)
    with pytest.raises(WorldError, match="no region 'mars'; the world has us, eu, ap"):
        _world(tmp_path).region("mars")
    with pytest.raises(WorldError, match="no edge 'x'"):
        _world(tmp_path).edge("x")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text("{")
    with pytest.raises(WorldError, match=r"world.json: .*remove the directory"):
        find_world(tmp_path)


def test_only_one_supervisor_has_a_directory_and_all_of_it_is_private(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    with state.lock(), pytest.raises(WorldError, match="a world runs in"):
        state.lock()
    state.lock().close()
    state.save_secrets(SecretsFile())
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "secrets.json").stat().st_mode) == 0o600


def test_secrets_that_stand_stay_when_the_topology_grows() -> None:
    before = SecretsFile().completed(THREE)
    after = before.completed(builtin_topology("three-by-three"))
    assert after == before
    assert len(set(before.nats.values())) == len(before.nats)


def test_ports_are_kept_while_they_are_free(tmp_path: Path) -> None:
    wanted = list(listeners(THREE, with_nats=True, with_edges=True))
    claims, others = Claims(), Claims()
    said: list[str] = []
    try:
        first = assign(wanted, {}, claims, said.append)
        assert len(set(first.values())) == len(wanted)
        claims.release()
        assert assign(wanted, first, claims, said.append) == first
        assert said == []
        moved = assign(wanted, first, others, said.append)
        assert not set(moved.values()) & set(first.values())
        assert len(said) == len(wanted)
    finally:
        claims.release()
        others.release()


@pytest.mark.parametrize(
    ("text", "user", "password"),
    [("me:s:3", "me", "s:3"), ('{"user": "me", "password": "p"}', "me", "p")],
)
def test_credentials_of_a_deployment(tmp_path: Path, text: str, user: str, password: str) -> None:
    path = tmp_path / "creds"
    path.write_text(text + "\n")
    path.chmod(0o600)
    config = read_login(path, ["nats://h:1"])
    assert (config.user, config.password, config.creds) == (user, password, None)


def test_a_creds_file_is_passed_on_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "edge.creds"
    path.write_text("-----BEGIN NATS USER JWT-----\nx\n")
    path.chmod(0o600)
    assert read_login(path, ["nats://h:1"]).creds == str(path)


def test_credentials_that_others_may_read_or_nobody_understands_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "creds"
    path.write_text("nonsense")
    path.chmod(0o644)
    with pytest.raises(WorldError, match="chmod 600"):
        read_login(path, [])
    path.chmod(0o600)
    with pytest.raises(WorldError, match=r"neither a \.creds file"):
        read_login(path, [])


@pytest.mark.parametrize(
    ("nats", "creds", "message"),
    [
        (["us=nats://h:1"], [], "--nats: eu, ap left out"),
        (["us"], [], "'us' is not REGION=VALUE"),
        (["mars=nats://h:1"], [], "no region 'mars'; three.toml has us, eu, ap"),
        (["us=nats://a:b@h:1"], [], "--creds us=FILE"),
        (["us=h:1"], [], "is not nats://host:port"),
        (["us=nats://h:1", "us=nats://h:2"], [], "us is given twice"),
        ([], ["us=file"], "--nats: us, eu, ap left out"),
        (ALL, ["us:root=file"], "--creds us:root: no user 'root'; there are edge, console"),
        (ALL, ["mars:edge=file"], "no region 'mars'"),
        (ALL, ["us:edge=a", "us:edge=b"], "us:edge is given twice"),
    ],
)
def test_options_for_a_deployment_that_make_no_sense(
    nats: list[str], creds: list[str], message: str
) -> None:
    with pytest.raises(WorldError) as caught:
        parse_deployment(THREE, nats, creds)
    assert message in str(caught.value)


def test_a_deployment_has_its_own_servers() -> None:
    options = [f"{region}=nats://{region}-a:4222,nats://{region}-b:4222" for region in THREE.names]
    deployment = parse_deployment(THREE, options, [])
    assert deployment is not None
    assert deployment.nats_config("eu", "edge").servers == ["nats://eu-a:4222", "nats://eu-b:4222"]
    assert parse_deployment(THREE, [], []) is None


def test_each_user_of_a_deployment_has_its_own_login_or_that_of_the_rest(tmp_path: Path) -> None:
    for name in ("rest", "watcher"):
        (tmp_path / name).write_text(f"{name}:secret\n")
        (tmp_path / name).chmod(0o600)
    creds = [f"us={tmp_path}/rest", f"us:console={tmp_path}/watcher", f"eu:console={tmp_path}/rest"]
    deployment = parse_deployment(THREE, ALL, creds)
    assert deployment is not None
    assert deployment.nats_config("us", "console").user == "watcher"
    assert deployment.nats_config("us", "edge").user == "rest"
    assert deployment.nats_config("eu", "console").user == "rest"
    assert deployment.nats_config("eu", "edge").user is None
    assert inbox_of(deployment.nats_config("us", "control"), "control") == "_INBOX_control"
    assert inbox_of(NatsConfig(["nats://h"], user="edge"), "control") == "_INBOX_edge"


def _world(tmp_path: Path) -> World:
    state = StateDir(tmp_path)
    state.lock().close()
    state.save_world(record(state, me(), boot_id()))
    return find_world(tmp_path)


def test_a_key_that_is_not_kept_here_is_named(tmp_path: Path) -> None:
    kept = _world(tmp_path)
    world = World(kept.record, SecretsFile(token_key=""))
    assert world.issuer(DOOR).key.users == ["jetrelay-door"]
    with pytest.raises(WorldError, match="no key 'local' that signs tokens is kept here"):
        world.issuer()

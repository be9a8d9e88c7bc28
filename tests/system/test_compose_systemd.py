"""What `jetrelay compose render --for systemd` makes, run by the commands of `compose/systemd`.

Each unit is a machine of its own, without systemd: its command, its environment, the files below
/etc/jetrelay, and its state directory.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from regions.compose.directory import Directory
from regions.compose.render import render
from regions.compose.services import USER
from regions.nats_server import find_nats_server
from regions.state import find_world
from regions.topology_file import parse_topology
from tests.containers import REPOSITORY, Engine, why_not
from tests.raw import EVERYTHING

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

TOPOLOGY = "".join(
    f"""
[[regions]]
name = "{name}"
addresses = ["192.0.2.{at}"]
bind = "0.0.0.0"
nats = {{ hosts = ["{name}-n1"] }}
edges = 1
"""
    for at, name in enumerate(("us", "eu"), 1)
)
GET = (
    "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=3); "
    "c.request('GET', sys.argv[2]); r = c.getresponse(); print(r.status); print(r.read().decode())"
)


def unit(out: Path, region: str, name: str, instance: str) -> dict[str, Any]:
    """A unit as a service: what it runs, with what, and what it may write."""
    text = (REPOSITORY / "compose" / "systemd" / f"{name}.service").read_text()
    pairs = re.findall(r"^(\w+)=(.*)$", text.replace("%i", instance), re.MULTILINE)
    values = dict(pairs)
    program, *arguments = values["ExecStart"].split()
    directory = Path(values["ConditionPathExists"]).parent
    assert values["User"] == "jetrelay"
    files = sorted((out / region / directory.name).iterdir())
    service: dict[str, Any] = {
        "user": f"{USER}:{USER}",
        "read_only": values["ProtectSystem"] == "strict",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"] * (values["NoNewPrivileges"] == "yes"),
        "tmpfs": ["/tmp"],
        "ulimits": {"nofile": {"soft": int(values.get("LimitNOFILE", 4096))}},
        "entrypoint": [Path(program).name],
        "command": arguments,
        "environment": dict([value.split("=", 1) for key, value in pairs if key == "Environment"]),
        "networks": ["machines"],
        "restart": "unless-stopped",
        "configs": [{"source": str(file), "target": str(directory / file.name)} for file in files],
    }
    if "CAP_NET_BIND_SERVICE" in values.get("AmbientCapabilities", ""):
        service["sysctls"] = {"net.ipv4.ip_unprivileged_port_start": "0"}
    if "StateDirectory" in values:
        state = values["StateDirectory"]
        service["volumes"] = [f"{region}-{Path(state).name}:/var/lib/{state}"]
    return service


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two regions, as rendered."""
    path = tmp_path_factory.mktemp("deployment")
    directory = Directory(path, (USER, USER))
    topology = parse_topology(TOPOLOGY, "world.toml")
    directory.write(render(topology, "systemd", directory.read, datetime.now(UTC)))
    return path


@pytest.fixture(scope="module")
def engine(out: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Each unit running."""
    work = tmp_path_factory.mktemp("engine")
    services: dict[str, Any] = {}
    for name in ("us", "eu"):
        services[f"{name}-n1"] = unit(out, name, "jetrelay-nats@", f"{name}-n1")
        services[f"{name}-1"] = unit(out, name, "jetrelay-edge@", f"{name}-1")
        services[f"{name}-dns"] = unit(out, name, "jetrelay-dns", "")
        services[f"{name}-keeper"] = unit(out, name, "jetrelay-keeper@", name)
    configs = {
        mount["source"]: {"file": mount["source"]}
        for service in services.values()
        for mount in service["configs"]
    }
    document = {"services": services, "networks": {"machines": {}}, "configs": configs}
    programs = {
        "nats-server": find_nats_server(),
        "jetrelay": REPOSITORY / ".venv" / "bin" / "jetrelay",
    }
    with Engine(document, out, work, programs) as running:
        running.up()
        yield running


def eventually(engine: Engine, look: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until it is so, as systemd does: what ended begins again."""
    deadline = time.monotonic() + seconds
    while not look():
        engine.tend()
        said = {name: engine.log(name)[-300:] for name in engine.running}
        assert time.monotonic() < deadline, said
        time.sleep(0.3)


def get(engine: Engine, service: str, port: int, path: str) -> str:
    """Status and body of a GET inside a machine; empty: nobody answers."""
    try:
        return engine.inside(service, ["python", "-c", GET, str(port), path]).stdout
    except ProcessLookupError:
        return ""


def test_edges_serve_and_keepers_have_made_the_streams(engine: Engine) -> None:
    def served(name: str) -> bool:
        return get(engine, f"{name}-1", 8080, "/readyz").startswith("200")

    def kept(name: str) -> bool:
        figures = get(engine, f"{name}-keeper", 9154, "/metrics")
        return f'jetrelay_streams_failing{{region="{name}"}} 0.0' in figures

    for name in ("us", "eu"):
        eventually(engine, partial(served, name))
        eventually(engine, partial(kept, name))


def test_a_keeper_signs_no_tokens_for_clients(engine: Engine) -> None:
    made = engine.inside(
        "us-keeper",
        ["jetrelay", "token", "--user", "me", "--room", "*", "--state", "/etc/jetrelay/keeper"],
    )
    assert (made.returncode, made.stdout) == (2, "")
    assert "no key 'local' that signs tokens is kept here" in made.stderr


def test_an_event_goes_from_region_to_region(engine: Engine, out: Path) -> None:
    token = find_world(out / "us" / "console").issuer().token("me", [EVERYTHING], 60)
    # An edge listens for its balancer alone, beside it.
    there = ["--url", "ws://127.0.0.1:8080/gateway", "--token", token]
    said = engine.inside("us-1", ["jetrelay", "publish", "--room", "r", "1", *there])
    assert said.returncode == 0, said.stderr
    tail = ["jetrelay", "tail", "--room", "r", "--last", "1", "--count", "1", "--json"]
    got = engine.inside("eu-1", [*tail, *there])
    assert got.returncode == 0, got.stderr
    assert json.loads(got.stdout.splitlines()[-1])["data"] == 1


def test_the_name_server_answers_at_port_53(engine: Engine) -> None:
    ask = (
        "import dns.message as m, dns.query as q; "
        "print(q.udp(m.make_query('eu.relay.test', 'A'), '127.0.0.1', 3).answer[0])"
    )

    def answered() -> bool:
        return "192.0.2.2" in engine.inside("us-dns", ["python", "-c", ask]).stdout

    eventually(engine, answered)


def test_every_unit_ends_when_told(engine: Engine) -> None:
    for service in ("eu-keeper", "eu-dns", "eu-n1"):
        assert engine.stop(service, 20) == 0, engine.log(service)[-500:]

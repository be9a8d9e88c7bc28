"""The rendered deployment of `compose/topology.toml`, run: every service of its compose file as
the process that the file says, confined as it says, with its files where it says.
"""

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from regions.compose.certificates import Authority
from regions.compose.directory import Directory
from regions.compose.render import render
from regions.compose.services import USER
from regions.nats_server import find_nats_server
from regions.topology import Topology
from regions.topology_file import parse_topology
from tests.containers import REPOSITORY, Engine, why_not
from tests.countries import write_cities

HEALTHY_S = 120.0


def deployed() -> Topology:
    """The topology that is run."""
    text = (REPOSITORY / "compose" / "topology.toml").read_text()
    # So many files as this machine allows a process, and no half minute of draining.
    limits = "[limits]\nconnections = 1000\ndrain_s = 3\n"
    clients = '[clients]\ngeoip = "cities.mmdb"\n'
    return parse_topology(f"{text}\n{limits}\n{clients}", "topology.toml")


def _why_not() -> str | None:
    if shutil.which("haproxy") is None:
        return "haproxy (a Debian package) is missing"
    return why_not()


pytestmark = pytest.mark.skipif(_why_not() is not None, reason=str(_why_not()))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """All services, and every one healthy by its own check."""
    out, work = tmp_path_factory.mktemp("deployment"), tmp_path_factory.mktemp("engine")
    topology = deployed()
    directory = Directory(out, (USER, USER))
    directory.write(render(topology, "containers", directory.read, datetime.now(UTC)))
    (out / "geoip").mkdir()
    write_cities(out / "geoip" / "cities.mmdb")
    document = yaml.safe_load((out / "compose.yaml").read_text())
    for name in list(document["services"]):
        # No package has Grafana; one Prometheus is enough for two cores.
        if name.endswith("-grafana") or (
            name.endswith("-prometheus")
            and (name != "us-prometheus" or shutil.which("prometheus") is None)
        ):
            del document["services"][name]
    programs = {
        "nats-server": find_nats_server(),
        "jetrelay": REPOSITORY / ".venv" / "bin" / "jetrelay",
        "haproxy": Path(str(shutil.which("haproxy"))),
        "prometheus": Path(shutil.which("prometheus") or "/nowhere"),
    }
    with Engine(document, out, work, programs) as running:
        running.environment["JETRELAY_BY"] = "operator"
        running.up()
        waiting = list(running.running)
        deadline = time.monotonic() + HEALTHY_S
        while waiting:
            running.tend()  # an edge that came before its streams tries again
            waiting = [name for name in waiting if not running.healthy(name)]
            said = {name: running.log(name)[-500:] for name in waiting}
            assert time.monotonic() < deadline, said
        yield running


def jetrelay(engine: Engine, *command: str, region: str = "us") -> str:
    """What an operator's command says, in a container of its own."""
    done = engine.run(f"{region}-console", command)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def eventually(look: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `look` gives as soon as it gives anything."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing within {seconds:g} s"
        time.sleep(0.2)
    return found


def test_all_regions_are_ok_and_canaries_fly_between_all_of_them(engine: Engine) -> None:
    def well() -> Any:
        done = engine.run("us-console", ["steer", "status", "--json"])
        status = json.loads(done.stdout)
        # One look waits for 2 s: on a busy machine a canary may need longer.
        arrived = {origin: set(flights) for origin, flights in status["canaries_ms"].items()}
        everywhere = arrived == dict.fromkeys(names, names)
        return status if done.returncode == 0 and everywhere else None

    names = set(deployed().names)
    status = eventually(well, 60)
    assert {region["name"]: region["state"] for region in status["regions"]} == dict.fromkeys(
        names, "ok"
    )


def test_an_event_goes_through_the_public_doors_from_region_to_region(engine: Engine) -> None:
    published = json.loads(
        jetrelay(engine, "publish", "--room", "doors", '{"n": 1}', "--region", "us", "--json")
    )
    follow = ("tail", "--room", "doors", "--last", "1", "--count", "1", "--json")
    got = jetrelay(engine, *follow, "--region", "eu", region="eu")
    event = json.loads(got.splitlines()[-1])
    assert (event["data"], event["origin"], event["seq"]) == ({"n": 1}, "us", published["seq"])


def test_places_come_from_the_directory_beside_the_compose_file(engine: Engine) -> None:
    for address, region in (("192.0.2.1", "us"), ("198.51.100.1", "eu"), ("203.0.113.1", "ap")):
        found = json.loads(jetrelay(engine, "steer", "explain", address, "--no-try", "--json"))
        assert found["order"][0] == region


def test_the_name_server_names_the_region_and_what_is_steered(engine: Engine) -> None:
    ask = (
        "import dns.message as m, dns.query as q, sys; "
        "a = q.udp(m.make_query(sys.argv[1], sys.argv[2]), '127.0.0.1', 3, 5353); "
        "print(*(str(each) for each in a.answer), sep='\\n')"
    )

    def answer(name: str, kind: str) -> str:
        done = engine.inside("eu-dns", ["python", "-c", ask, name, kind])
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "127.0.1.2" in answer("eu.relay.test", "A")
    steered = answer("relay.test", "A")  # one answer: the next may name another region
    assert any(f"127.0.1.{at}" in steered for at in (1, 2, 3)), steered
    assert 'port="8443"' in answer("relay.test", "HTTPS")


def test_a_link_takes_nobody_without_a_certificate_of_the_deployment(
    engine: Engine, tmp_path: Path
) -> None:
    def dial(port: int, *more: str) -> subprocess.CompletedProcess[str]:
        script = f"""
import asyncio, ssl, sys
async def dial():
    reader, writer = await asyncio.open_connection("eu-n1", {port})
    info = await reader.readline()
    trust = ssl.create_default_context(cafile="/etc/jetrelay/us-n1/ca.pem")
    if sys.argv[1:]:
        trust.load_cert_chain(*sys.argv[1:])
    await writer.start_tls(trust, server_hostname="eu-n1")
    writer.write(b"PING\\r\\n")
    print(info.decode(), (await asyncio.wait_for(reader.read(4096), 5)).decode())
asyncio.run(dial())
"""
        return engine.inside("us-n1", ["python", "-c", script, *more])

    ours = ("/etc/jetrelay/us-n1/server.pem", "/etc/jetrelay/us-n1/server.key")
    assert '"tls_verify":true' in dial(7422, *ours).stdout
    nobody = dial(7422)
    assert nobody.returncode != 0
    assert "certificate required" in nobody.stderr.replace("_", " ").lower()
    another = Authority.make("another", datetime.now(UTC)).issue(["us-n1"], datetime.now(UTC))
    for name, data in (("other.pem", another.certificate), ("other.key", another.key)):
        engine.put("us-n1", f"/tmp/{name}", data)
    stranger = dial(7422, "/tmp/other.pem", "/tmp/other.key")
    assert stranger.returncode != 0
    assert engine.log("eu-n1").count("certificate signed by unknown authority") == 1


def test_the_keeper_sees_when_every_certificate_ends(engine: Engine) -> None:
    script = (
        "import urllib.request as u; "
        "print(u.urlopen('http://127.0.0.1:9154/metrics', timeout=5).read().decode())"
    )

    def ends() -> dict[str, float]:
        done = engine.inside("us-keeper", ["python", "-c", script])
        assert done.returncode == 0, done.stderr
        name = r'jetrelay_certificate_ends_timestamp_seconds\{name="([^"]+)"\} (\S+)'
        return {found[1]: float(found[2]) for found in re.finditer(name, done.stdout)}

    doors = {f"{region}.relay.test" for region in ("us", "eu", "ap")}
    servers = {f"{region}-n{at}" for region in ("us", "eu", "ap") for at in (1, 2, 3)}
    # The first look may come before all servers listen; the next one is a minute later.
    eventually(lambda: ends().keys() == doors | servers, 90)
    year_s = 365 * 86_400
    assert all(abs(end - time.time() - year_s) < 86_400 for end in ends().values())


def test_nothing_is_said_in_plain_text_to_nats(engine: Engine) -> None:
    script = """
import asyncio
async def dial():
    reader, writer = await asyncio.open_connection("eu-n1", 4222)
    assert b'"tls_required":true' in await reader.readline()
    writer.write(b'CONNECT {"verbose":true}\\r\\nPING\\r\\n')
    try:
        print(await asyncio.wait_for(reader.read(4096), 5))
    except ConnectionError:
        print(b"")
asyncio.run(dial())
"""
    done = engine.inside("us-n1", ["python", "-c", script])
    assert done.returncode == 0, done.stderr
    assert "PONG" not in done.stdout


def test_prometheus_scrapes_everything_of_its_region(engine: Engine) -> None:
    if "us-prometheus" not in engine.running:
        pytest.skip("prometheus (a Debian package) is missing")
    script = (
        "import urllib.request as u, sys; "
        "print(u.urlopen('http://127.0.0.1:9090/api/v1/targets', timeout=5).read().decode())"
    )

    def all_up() -> Any:
        done = engine.inside("us-prometheus", ["python", "-c", script])
        assert done.returncode == 0, done.stderr
        targets = json.loads(done.stdout)["data"]["activeTargets"]
        health = {each["labels"]["instance"]: each["health"] for each in targets}
        return health if set(health.values()) == {"up"} else None

    health = eventually(all_up)
    kinds = ("1", "2", "dns", "keeper", "balancer", "prometheus")
    assert health.keys() == {f"us-{kind}" for kind in kinds}


def test_configurations_pass_their_own_programs_checks_where_they_are_mounted(
    engine: Engine,
) -> None:
    checks: list[tuple[str, Sequence[str]]] = [
        ("us-n2", ["nats-server", "-t", "-c", "/etc/jetrelay/us-n2/nats-server.conf"]),
        ("eu-balancer", ["haproxy", "-c", "-f", "/etc/jetrelay/haproxy/haproxy.cfg"]),
    ]
    if shutil.which("promtool"):
        config = "/etc/jetrelay/prometheus/prometheus.yaml"
        checks.append(("us-prometheus", ["promtool", "check", "config", config]))
    for service, command in checks:
        done = engine.inside(service, command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_nobody_is_root_and_no_root_can_be_written(engine: Engine) -> None:
    for service in ("us-n1", "us-1", "us-balancer", "us-dns", "us-keeper"):
        done = engine.inside(service, ["sh", "-c", "id -u; touch /x /usr/x /etc/jetrelay/x"])
        assert done.stdout == f"{USER}\n"
        assert done.stderr.count("Read-only file system") + done.stderr.count("denied") == 3
        status = Path(f"/proc/{engine.first(service)}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status


def test_an_operator_drains_an_edge_and_lets_it_in_again(engine: Engine) -> None:
    jetrelay(engine, "ctl", "drain", "us-1", "--why", "a look", "--yes")
    eventually(lambda: _ready(engine, "us-1", 503))
    # Its door leads to the other edge of the region meanwhile.
    said = jetrelay(engine, "publish", "--room", "doors", "2", "--region", "us", "--json")
    assert json.loads(said)["origin"] == "us"
    jetrelay(engine, "ctl", "uncordon", "us-1", "--why", "looked", "--yes")
    eventually(lambda: _ready(engine, "us-1", 200))


def _ready(engine: Engine, edge: str, status: int) -> bool:
    script = (
        "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 8080, timeout=3); "
        "c.request('GET', '/readyz'); print(c.getresponse().status)"
    )
    return engine.inside(edge, ["python", "-c", script]).stdout.strip() == str(status)


def test_an_edge_that_was_killed_comes_again_and_one_that_is_stopped_drains(
    engine: Engine,
) -> None:
    engine.kill("us-1", signal.SIGKILL)
    engine.wait("us-1", 10)
    assert engine.tend() == ["us-1"]
    eventually(lambda: engine.healthy("us-1"))
    assert engine.stop("us-2") == 0
    assert "drain" in engine.log("us-2")


def test_a_server_a_balancer_a_keeper_and_a_name_server_end_when_told(engine: Engine) -> None:
    for service in ("eu-balancer", "eu-keeper", "eu-dns", "eu-n1"):
        assert engine.stop(service) == 0, engine.log(service)[-500:]

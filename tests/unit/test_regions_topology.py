"""Topology files: what they may say, and what is said when they say something else."""

from pathlib import Path

import pytest

from regions.errors import TopologyError
from regions.topology import Edge, Link
from regions.topology_file import builtin_topology, load_topology, parse_topology

US = '[[regions]]\nname = "us"\n'
EU = '[[regions]]\nname = "eu"\n'


def test_the_built_in_world_has_three_regions_with_two_edges_each() -> None:
    topology = load_topology(None)
    assert topology.names == ("us", "eu", "ap")
    assert [region.index for region in topology.regions] == [0, 1, 2]
    assert [edge.name for edge in topology.region("eu").edges] == ["eu-1", "eu-2"]
    assert [server.name for server in topology.region("ap").servers] == ["ap-n1"]
    assert {region.bind for region in topology.regions} == {"127.0.0.1"}


def test_the_other_one_has_three_servers_a_region() -> None:
    topology = builtin_topology("three-by-three")
    assert [len(region.servers) for region in topology.regions] == [3, 3, 3]


def test_everything_that_can_be_given() -> None:
    topology = parse_topology(
        """
        origins = ["https://example.org"]
        [[regions]]
        name = "us"
        index = 4
        lat = 39
        lon = -77.5
        bind = "10.77.1.1"
        netns = "us"
        nats = { ports = [4222], leaf_ports = [7422] }
        edges = ["first", { name = "second", port = 8080, admin_port = 9090 }]
        [[regions]]
        name = "eu"
        [[links]]
        from = "eu"
        to = "us"
        via = ["127.0.0.1:7000"]
        [streams]
        max_age_s = 3600
        sync = "500ms"
        [tokens]
        audience = "relay"
        tenant = true
        keys = [{ kid = "main", alg = "EdDSA", key = '''-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAO2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=
-----END PUBLIC KEY-----''' }]
        [limits]
        drain_s = 5
        """,
        "world.toml",
    )
    us = topology.region("us")
    assert (us.index, us.lat, us.bind, us.netns) == (4, 39.0, "10.77.1.1", "us")
    assert (us.servers[0].port, us.servers[0].leaf_port, us.servers[0].monitor_port) == (
        4222,
        7422,
        None,
    )
    assert us.edges == (Edge("first"), Edge("second", 8080, 9090))
    assert topology.links == (Link("eu", "us", ("127.0.0.1:7000",)),)
    assert (topology.streams.max_age_s, topology.streams.sync) == (3600, "500ms")
    assert topology.tokens.keys[0].kid == "main"
    assert topology.limits.drain_s == 5
    assert topology.origins == ("https://example.org",)


def test_each_pair_is_dialled_from_one_side_and_a_link_turns_it_round() -> None:
    plain = parse_topology(US + EU, "w.toml")
    assert (plain.dials("us", "eu"), plain.dials("eu", "us")) == (True, False)
    turned = parse_topology(
        US + EU + '[[links]]\nfrom = "eu"\nto = "us"\nvia = ["h:1"]\n', "w.toml"
    )
    assert (turned.dials("us", "eu"), turned.dials("eu", "us")) == (False, True)
    assert (turned.via("eu", "us"), turned.via("us", "eu")) == (("h:1",), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("regions = [", "w.toml: not TOML"),
        ("", "w.toml: Object missing required field `regions`"),
        ("regions = 3", "w.toml: regions: Expected `array`, got `int`"),
        ("regions = []", "w.toml: regions: 0 given, 1 to 16 can be"),
        ("region = []", "w.toml: region: unknown key; did you mean 'regions'?"),
        (US + "latt = 3", "w.toml: regions.us.latt: unknown key; did you mean 'lat'?"),
        (
            US + "nats = { server = 3 }",
            "w.toml: regions.us.nats.server: unknown key; did you mean 'servers'?",
        ),
        (
            US + '[[regions.edges]]\nnam = "x"',
            "w.toml: regions.us.edges[0].nam: unknown key; did you mean 'name'?",
        ),
        (
            US + '[[tokens.keys]]\nkidd = "x"',
            "w.toml: tokens.keys[0].kidd: unknown key; did you mean 'kid'?",
        ),
        (
            US + "[limits]\nframe_byte = 3",
            "w.toml: limits.frame_byte: unknown key; did you mean 'frame_bytes'?",
        ),
        (
            US + "[streams]\nzzz = 3",
            "streams.zzz: unknown key; known are max_age_s, max_bytes, log_max_age_s",
        ),
        (US + 'lat = "3"', "w.toml: regions.us.lat: Expected `float`, got `str`"),
        (US + "lat = 91", "w.toml: regions.us.lat: 91.0 is not in -90 to 90"),
        (US + "weight = 101", "w.toml: regions.us.weight: 101 is not in 0 to 100"),
        (US + "port = 0", "w.toml: regions.us.port: 0 is not in 1 to 65535"),
        (US + 'addresses = ["x"]', "w.toml: regions.us.addresses: 'x' is no IP address"),
        (US + "[dns]\nttl_s = -1", "w.toml: dns.ttl_s: -1 is not in 0 to 86400"),
        (US + "[dns]\nanswers_per_s = 0", "w.toml: dns.answers_per_s: 0.0 is not above 0"),
        (
            US + '[dns.nameservers]\nns1 = ["x"]',
            "w.toml: dns.nameservers.ns1: 'x' is no IP address",
        ),
        (US + "[dns]\nzne = 1", "w.toml: dns.zne: unknown key; did you mean 'zone'?"),
        (US + "nats = 3", "w.toml: regions.us.nats: Expected `object`, got `int`"),
        (US + "nats = { servers = 2 }", "w.toml: regions.us.nats.servers: 2, but 1 or 3"),
        (US + "nats = { ports = [1, 2] }", "w.toml: regions.us.nats.ports: 2 given for 1 servers"),
        (US + US, "w.toml: regions.name: 'us' is given twice"),
        (US + "index = 1\n" + EU, "w.toml: regions.index: 1 is given twice"),
        (US + "index = 16", "w.toml: regions.us.index: 16 is not in 0 to 15"),
        (
            US + 'edges = ["a"]\n' + EU + 'edges = ["a"]',
            "w.toml: name of an edge or nats-server: 'a' is given twice",
        ),
        (US + 'edges = ["us-n1"]', "'us-n1' is given twice"),
        (US + 'edges = ["A.b"]', "w.toml: regions.us.edges: 'A.b' is not 1 to 32 of"),
        ('[[regions]]\nname = "u*"', "w.toml: regions.u*.name: 'u*' is not 1 to 16 of"),
        (US + 'bind = "0.0.0.0 "', "w.toml: regions.us.bind: '0.0.0.0 ' is not an address"),
        (US + 'netns = "a;b"', "w.toml: regions.us.netns: 'a;b' is not a name"),
        (
            US + 'edges = [{ name = "a", port = 4 }, { name = "b", port = 4 }]',
            "w.toml: b.port: port 4 is also that of a.port",
        ),
        (US + 'edges = [{ name = "a", port = 70000 }]', "a.port: port 70000 is not in 1 to 65535"),
        (
            US + '[[links]]\nfrom = "us"\nto = "mars"\nvia = ["h:1"]',
            "w.toml: links (us to mars): no region 'mars'; there are us",
        ),
        (
            US + EU + '[[links]]\nfrom = "us"\nto = "eu"\nvia = ["h"]',
            "w.toml: links (us to eu).via: 'h' is not host:port",
        ),
        (US + '[streams]\nsync = "never"', "w.toml: streams.sync: 'never' is neither"),
        (
            US + '[[tokens.keys]]\nkid = "k"\nalg = "none"\nkey = ""',
            "w.toml: tokens.keys.k.alg: 'none' is neither HS256 nor EdDSA",
        ),
        (
            US + "[limits]\nvisits_per_s = 0.0",
            "w.toml: limits.visits_per_s: 0 is not positive",
        ),
        (
            US + "[limits]\nvisit_beat_s = 90.0",
            "w.toml: limits.visit_beat_s: 90 is not in 0 to visit_timeout_s",
        ),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(TopologyError) as caught:
        parse_topology(text, "w.toml")
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"nothing.toml: No such file"):
        load_topology(tmp_path / "nothing.toml")


def test_names_that_would_make_a_cursor_too_long_are_refused() -> None:
    text = "".join(f'[[regions]]\nname = "a-long-region-{n:02}"\n' for n in range(16))
    with pytest.raises(TopologyError, match="shorter names"):
        parse_topology(text, "world.toml")


@pytest.mark.parametrize(
    ("alg", "key"), [("HS256", "zz"), ("HS256", "00"), ("EdDSA", "no key in PEM")]
)
def test_a_token_key_that_no_edge_would_take_is_named(alg: str, key: str) -> None:
    table = f'[[tokens.keys]]\nkid = "a"\nalg = "{alg}"\nkey = "{key}"\n'
    with pytest.raises(TopologyError, match=r"world.toml: tokens.keys.a: "):
        parse_topology('[[regions]]\nname = "us"\n' + table, "world.toml")


def test_clients_are_told_the_age_that_the_streams_keep() -> None:
    text = '[[regions]]\nname = "us"\n[streams]\nmax_age_s = 3600\n'
    assert parse_topology(text, "world.toml").limits.resume_window_s == 3_600
    given = text + "[limits]\nresume_window_s = 60\n"
    assert parse_topology(given, "world.toml").limits.resume_window_s == 60

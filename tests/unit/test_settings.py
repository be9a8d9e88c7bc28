"""How edges are set up, told without a secret and compared."""

import msgspec
import pytest

from cli.inquire_text import settings_lines, settings_note
from regions.inquiries.fleet import SettingsAt
from regions.inquiries.unlike import compare
from regions.steering.health import EdgeKey
from relay.config import EdgeConfig, Limits, NatsConfig, RegionConfig, TokenKey
from relay.edge.settings import settings_of

SECRET = "5e" * 32
CONFIG = EdgeConfig(
    region="us", edge="us-1", host="127.0.0.1", port=4001, url="ws://us-1/gateway",
    admin_host="127.0.0.1", admin_port=4002,
    nats=NatsConfig(["nats://n1:4222"], user="edge", password="hush"),
    regions=[RegionConfig("us", 0, 39.0, -77.5, ["ws://us-1/gateway"]), RegionConfig("eu", 1)],
    session_key="1a" * 32, cursor_key="2b" * 32,
    token_keys=[
        TokenKey("main", "HS256", SECRET, users=["ana", "bo"]),
        TokenKey("other", "EdDSA", "-----BEGIN PUBLIC KEY-----", rooms=["chat:*"]),
    ],
)  # fmt: skip


def at(edge: str, region: str = "us", **changes: str) -> SettingsAt:
    """An edge with some settings of its own."""
    return SettingsAt(
        region=region, edge=edge, settings={"linger_s": "60", "session key": "aa"} | changes
    )


def test_no_key_and_no_login_is_told() -> None:
    told = settings_of(CONFIG)
    text = str(told)
    for secret in (SECRET, "1a1a", "2b2b", "hush", "BEGIN", "4001", "4222"):
        assert secret not in text
    assert told["token key main"].startswith("HS256 ")
    assert told["token key main"].endswith(", users ana, bo, rooms any")
    assert told["token key other"].endswith(", users any, rooms chat:*")
    assert (told["allowed origins"], told["trusted proxies"], told["geoip"]) == (
        "any", "none", "none",
    )  # fmt: skip
    assert told["region us"] == "index 0, weight 100 %, at 39 -77.5, 1 edges, 1 NATS"
    limits = msgspec.structs.asdict(Limits())
    assert limits.keys() <= told.keys()
    assert (told["feed_buffer_bytes"], told["resume_timeout_s"]) == ("67108864", "2")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"session_key": "1c" * 32}, "session key"),
        ({"cursor_key": "1c" * 32}, "cursor key"),
        ({"token_keys": [TokenKey("main", "HS256", "77" * 32, users=["ana", "bo"]),
                         CONFIG.token_keys[1]]}, "token key main"),
        ({"token_tenant": True}, "token tenant"),
        ({"token_audience": "relay"}, "token audience"),
        ({"origins": []}, "allowed origins"),
        ({"trusted_proxies": ["10.0.0.0/8"]}, "trusted proxies"),
        ({"geoip": "/data/country.mmdb"}, "geoip"),
        ({"limits": Limits(linger_s=30.5)}, "linger_s"),
        ({"regions": [CONFIG.regions[0], RegionConfig("eu", 2)]}, "region eu"),
    ],
)  # fmt: skip
def test_what_is_set_otherwise_is_told_otherwise_and_nothing_else(
    changes: dict[str, object], name: str
) -> None:
    before, after = settings_of(CONFIG), settings_of(msgspec.structs.replace(CONFIG, **changes))
    assert [each for each in before | after if before.get(each) != after.get(each)] == [name]


def test_what_tells_an_edge_from_others_is_no_difference() -> None:
    other = msgspec.structs.replace(
        CONFIG, region="eu", edge="eu-1", port=1, url="ws://eu-1/gateway", nats=NatsConfig([])
    )
    assert settings_of(other) == settings_of(CONFIG)


def test_most_edges_say_what_is_usual() -> None:
    edges = [at("us-1"), at("us-2"), at("eu-1", "eu", linger_s="30"), at("eu-2", "eu", geoip="x")]
    geoip, linger, key = compare(edges)
    assert (geoip.name, geoip.usual, geoip.differs) == ("geoip", "", True)
    assert (linger.usual, dict(linger.values)["30"]) == ("60", (EdgeKey("eu", "eu-1"),))
    assert (key.usual, key.differs) == ("aa", False)
    assert compare([]) == []


def test_people_read_who_differs_in_what() -> None:
    edges = [at("us-1"), at("us-2"), at("eu-1", "eu", linger_s="\x1b[31m30")]
    compared = compare(edges)
    shown = settings_lines([each for each in compared if each.differs], 3)
    assert [line.split() for line in shown] == [
        ["setting", "value", "edges"],
        ["linger_s", "60", "us-1,", "us-2"],
        ["\\x1b[31m30", "eu-1"],
    ]
    assert all(line.isprintable() for line in shown)
    assert settings_lines(compared, 3)[-1].split() == ["session", "key", "aa", "all"]
    assert settings_note(compared, 3) == "1 settings are alike at all 3 edges, 1 are not"
    assert settings_note(compare(edges[:1]), 1) == "2 settings of one edge"
    assert settings_lines([], 3) == []

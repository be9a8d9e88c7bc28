"""Tokens: what is granted, and everything that is refused."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from relay.config import TokenKey
from relay.core.grants import Act, Grants, RoomGrant
from relay.core.tokens import TokenError, TokenRules, mint, token_rules, verify
from relay.errors import ConfigError

SECRET = "11" * 64
KEY = TokenKey("k1", "HS256", SECRET)
NOW = 1_800_000_000
CLAIMS = {"sub": "ann", "iat": NOW, "exp": NOW + 60, "rooms": [{"match": "a:*", "can": []}]}


def rules(**changes: object) -> TokenRules:
    values: dict[str, object] = {"audience": None, "tenant": False, "lifetime_s": 86_400}
    return token_rules([KEY], **(values | changes))  # type: ignore[arg-type]


def signed(
    claims: dict[str, object], secret: bytes = bytes.fromhex(SECRET), **header: object
) -> str:
    return jwt.encode(claims, secret, "HS256", headers={"kid": "k1", **header})


def test_a_token_grants_what_it_says() -> None:
    rooms = [
        RoomGrant("chat:*", frozenset({Act.SUBSCRIBE, Act.PUBLISH})),
        RoomGrant("news", frozenset({Act.SUBSCRIBE}), auto=True),
    ]
    grants = verify(mint(KEY, "ann", rooms, NOW, 60), rules(), NOW)
    assert (grants.user, grants.tenant, grants.expires_s) == ("ann", "_", NOW + 60)
    assert grants.allows(Act.PUBLISH, "chat:lobby")
    assert not grants.allows(Act.PUBLISH, "news")
    assert not grants.allows(Act.SUBSCRIBE, "chat")
    assert not grants.allows(Act.HISTORY, "chat:lobby")
    assert grants.auto_rooms == ("news",)


def test_a_star_alone_covers_every_room() -> None:
    grants = verify(mint(KEY, "ann", [RoomGrant("*", frozenset(Act))], NOW, 60), rules(), NOW)
    assert grants.allows(Act.HISTORY, "anything")
    assert grants.auto_rooms == ()


def test_an_ed25519_token_is_checked_with_the_public_key() -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    key = TokenKey("ed", "EdDSA", public.decode())
    known = token_rules([KEY, key], None, tenant=False, lifetime_s=86_400)
    token = jwt.encode(CLAIMS, pem, "EdDSA", headers={"kid": "ed"})
    assert verify(token, known, NOW).user == "ann"
    # The public key is no secret: nothing may be signed with it as one.
    with pytest.raises(TokenError):
        verify(signed(dict(CLAIMS), b"x" * 32, kid="ed"), known, NOW)


HEADER_NONE = jwt.encode(CLAIMS, "", "none", headers={"kid": "k1"})


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("a.b.c", id="garbage"),
        pytest.param("x" * 9000, id="too long"),
        pytest.param(HEADER_NONE, id="alg none"),
        pytest.param(signed(CLAIMS, b"y" * 32), id="other secret"),
        pytest.param(signed(CLAIMS, kid="k2"), id="unknown kid"),
        pytest.param(signed(CLAIMS, kid="../k1"), id="a path as kid"),
        pytest.param(jwt.encode(CLAIMS, bytes.fromhex(SECRET), "HS256"), id="no kid"),
        pytest.param(
            jwt.encode(CLAIMS, bytes.fromhex(SECRET), "HS384", headers={"kid": "k1"}),
            id="another algorithm",
        ),
        *(
            pytest.param(signed({k: v for k, v in CLAIMS.items() if k != name}), id=f"no {name}")
            for name in ("sub", "iat", "exp")
        ),
        pytest.param(signed(CLAIMS | {"exp": NOW}), id="expired"),
        pytest.param(signed(CLAIMS | {"exp": str(NOW + 60)}), id="exp a string"),
        pytest.param(signed(CLAIMS | {"exp": 10**18}), id="lives for ever"),
        pytest.param(signed(CLAIMS | {"exp": NOW + 90_000}), id="lives too long"),
        pytest.param(signed(CLAIMS | {"iat": NOW + 30}), id="issued in the future"),
        pytest.param(signed(CLAIMS | {"nbf": NOW + 30}), id="not yet valid"),
        pytest.param(signed(CLAIMS | {"sub": "a b"}), id="user with a space"),
        pytest.param(signed(CLAIMS | {"sub": "a\n"}), id="user with a line end"),
        pytest.param(signed(CLAIMS | {"sub": ""}), id="no user"),
        pytest.param(signed(CLAIMS | {"rooms": [{"match": "a*b", "can": []}]}), id="star inside"),
        pytest.param(signed(CLAIMS | {"rooms": [{"match": "**", "can": []}]}), id="two stars"),
        pytest.param(signed(CLAIMS | {"rooms": [{"match": "", "can": []}]}), id="no pattern"),
        pytest.param(signed(CLAIMS | {"rooms": [{"match": "a.>", "can": []}]}), id="a subject"),
        pytest.param(signed(CLAIMS | {"rooms": [{"match": "a", "can": ["fly"]}]}), id="no act"),
        pytest.param(
            signed(CLAIMS | {"rooms": [{"match": "a", "can": []}] * 300}), id="too many grants"
        ),
    ],
)
def test_everything_else_is_refused(token: str) -> None:
    with pytest.raises(TokenError) as refused:
        verify(token, rules(), NOW)
    assert not token or token not in str(refused.value)


def test_the_audience_is_checked_where_it_is_configured() -> None:
    checked = rules(audience="relay")
    assert verify(signed(CLAIMS | {"aud": "relay"}), checked, NOW).user == "ann"
    assert verify(signed(CLAIMS | {"aud": ["x", "relay"]}), checked, NOW).user == "ann"
    for claims in (CLAIMS, CLAIMS | {"aud": "other"}):
        with pytest.raises(TokenError):
            verify(signed(claims), checked, NOW)


def test_the_tenant_comes_from_the_token_where_it_is_configured() -> None:
    checked = rules(tenant=True)
    assert verify(signed(CLAIMS | {"tenant": "acme"}), checked, NOW).tenant == "acme"
    for claims in (CLAIMS, CLAIMS | {"tenant": "-"}, CLAIMS | {"tenant": "a.b"}):
        with pytest.raises(TokenError):
            verify(signed(claims), checked, NOW)
    assert verify(signed(CLAIMS | {"tenant": "acme"}), rules(), NOW).tenant == "_"


@pytest.mark.parametrize(
    "keys",
    [
        [TokenKey("a", "RS256", SECRET)],
        [TokenKey("a", "HS256", "11" * 8)],
        [TokenKey("a", "HS256", "zz" * 32)],
        [KEY, KEY],
        [TokenKey("a", "EdDSA", "no key")],
        [TokenKey("a", "HS256", SECRET, users=["a*b"])],
        [TokenKey("a", "HS256", SECRET, rooms=[""])],
    ],
)
def test_wrong_keys_are_named_at_start(keys: list[TokenKey]) -> None:
    with pytest.raises(ConfigError, match=keys[0].kid):
        token_rules(keys, None, tenant=False, lifetime_s=60)


def test_a_token_without_any_grant_grants_nothing() -> None:
    assert Grants("_", "ann", 0, ()).nothing
    assert Grants("_", "ann", 0, (RoomGrant("a", frozenset()),)).nothing
    assert not Grants("_", "ann", 0, (RoomGrant("a", frozenset({Act.PUBLISH})),)).nothing


LIMITED = TokenKey("k1", "HS256", SECRET, users=["ann", "bot:*"], rooms=["chat:*", "news"])


@pytest.mark.parametrize(
    ("user", "rooms", "watch"),
    [
        ("ann", ("chat:a", "chat:*", "chat:b:*", "news"), ("ann", "bot:*", "bot:1")),
        ("bot:7", (), ()),
    ],
)
def test_a_limited_key_signs_what_lies_within_its_patterns(
    user: str, rooms: tuple[str, ...], watch: tuple[str, ...]
) -> None:
    grants = [RoomGrant(room, frozenset(Act)) for room in rooms]
    token = mint(LIMITED, user, grants, NOW, 60, watch=watch)
    known = token_rules([LIMITED], None, tenant=False, lifetime_s=86_400)
    assert [grant.match for grant in verify(token, known, NOW).rooms] == list(rooms)


@pytest.mark.parametrize(
    ("user", "rooms", "watch"),
    [
        ("bob", (), ()),
        ("annabel", (), ()),
        ("ann", ("chat",), ()),
        ("ann", ("*",), ()),
        ("ann", ("news*",), ()),
        ("ann", ("chat:a", "other"), ()),
        ("ann", (), ("bob",)),
        ("ann", (), ("*",)),
        ("ann", (), ("ann*",)),
    ],
)
def test_what_reaches_further_is_refused(
    user: str, rooms: tuple[str, ...], watch: tuple[str, ...]
) -> None:
    grants = [RoomGrant(room, frozenset(Act)) for room in rooms]
    token = mint(LIMITED, user, grants, NOW, 60, watch=watch)
    known = token_rules([LIMITED], None, tenant=False, lifetime_s=86_400)
    with pytest.raises(TokenError, match="token key not for"):
        verify(token, known, NOW)

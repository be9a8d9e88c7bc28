"""Tokens that authenticate nobody."""

import asyncio
import hashlib
import hmac
import json
import math
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relay.core.codes import Op
from tests.raw import Raw, token
from tests.system.bad_input.small import ED_KEY, ED_PEM, b64, live
from tests.world import World


def signed(
    header: object,
    claims: object,
    secret: bytes,
    digest: Callable[..., Any] = hashlib.sha256,
) -> str:
    """A token signed by hand, since libraries refuse to make these."""
    parts = [
        b64(part if isinstance(part, bytes) else json.dumps(part).encode())
        for part in (header, claims)
    ]
    text = ".".join(parts)
    return f"{text}.{b64(hmac.new(secret, text.encode(), digest).digest())}"


def bad_tokens(world: World) -> dict[str, str]:
    secret = bytes.fromhex(world.token_key().key)
    head = {"alg": "HS256", "typ": "JWT", "kid": "local"}
    now = int(time.time())
    rooms = [{"match": "*", "can": ["subscribe"]}]
    good: dict[str, object] = {"sub": "ana", "iat": now, "exp": now + 600, "rooms": rooms}

    def without(key: str) -> dict[str, object]:
        return {k: v for k, v in good.items() if k != key}

    def claims(**changed: object) -> str:
        return signed(head, good | changed, secret)

    def header(**changed: object) -> str:
        return signed(head | changed, good, secret)

    unsigned = signed({"alg": "none", "kid": "local"}, good, secret).rpartition(".")[0] + "."
    fine = claims()
    first, middle, last = fine.split(".")
    other = b64(json.dumps(good | {"sub": "root"}).encode())
    return {
        "expired": claims(iat=now - 700, exp=now - 1),
        "expires now": claims(exp=now),
        "alg none": unsigned,
        "alg None with a signature": header(alg="None"),
        "alg none, signed": header(alg="none"),
        "unknown kid": header(kid="other"),
        "no kid": signed({"alg": "HS256"}, good, secret),
        "kid is a list": header(kid=["local"]),
        "kid is a number": header(kid=1),
        "kid is a path": header(kid="../../dev/null"),
        "HS512 for the key of HS256": signed(head | {"alg": "HS512"}, good, secret, hashlib.sha512),
        "EdDSA for the key of HS256": jwt.encode(
            good, ED_KEY, algorithm="EdDSA", headers={"kid": "local"}
        ),
        "HS256 with the public key as secret": signed(head | {"kid": "ed"}, good, ED_PEM),
        "EdDSA said, HMAC signed": signed({"alg": "EdDSA", "kid": "ed"}, good, ED_PEM),
        "another EdDSA key": jwt.encode(
            good, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "ed"}
        ),
        "another secret": signed(head, good, b"x" * 32),
        "an empty secret": signed(head, good, b""),
        "claims changed": f"{first}.{other}.{last}",
        "no signature": f"{first}.{middle}.",
        "two parts": f"{first}.{middle}",
        "four parts": f"{fine}.x",
        "lives too long": claims(exp=now + 86_401),
        "no exp": signed(head, without("exp"), secret),
        "no iat": signed(head, without("iat"), secret),
        "no sub": signed(head, without("sub"), secret),
        "exp is text": claims(exp="never"),
        "exp of 4,000 digits": claims(exp=int("9" * 4000)),
        "exp is infinite": claims(exp=math.inf),
        "iat in the future": claims(iat=now + 60, exp=now + 600),
        "not yet valid": claims(nbf=now + 60),
        "sub is empty": claims(sub=""),
        "sub with a dot": claims(sub="a.b"),
        "sub with a wildcard": claims(sub=">"),
        "sub with a space": claims(sub="a b"),
        "sub with a newline": claims(sub="ana\n"),
        "sub with NUL": claims(sub="a\x00"),
        "sub is long": claims(sub="u" * 129),
        "sub is a number": claims(sub=7),
        "sub has a lone surrogate": claims(sub="\ud800"),
        "rooms is a map": claims(rooms={"match": "*"}),
        "a star in the middle": claims(rooms=[{"match": "a*b", "can": ["subscribe"]}]),
        "two stars": claims(rooms=[{"match": "**", "can": ["subscribe"]}]),
        "a pattern with a dot": claims(rooms=[{"match": "a.*", "can": ["subscribe"]}]),
        "an empty pattern": claims(rooms=[{"match": "", "can": ["subscribe"]}]),
        "an act that is none": claims(rooms=[{"match": "*", "can": ["rule"]}]),
        "300 grants": claims(rooms=[{"match": "a", "can": []}] * 300),
        "claims are a list": signed(head, [good], secret),
        "claims are no JSON": signed(head, b"{", secret),
        "claims are no UTF-8": signed(head, b'{"sub": "\xff"}', secret),
        "claims nested deep": signed(head, b"[" * 5000, secret),
        "header nested deep": signed(b"[" * 5000, good, secret),
        "header is a list": signed([head], good, secret),
        "a critical extension": header(crit=["exp2"], exp2=1),
        "a detached payload": header(b64=False, crit=["b64"]),
        "empty": "",
        "dots": "..",
        "no base64": "!.?.*",
        "text": "let me in",
        "Unicode": "é.室.\x00",
        "9,000 characters": "a" * 9000,
    }


async def test_tokens_that_authenticate_nobody(world: World, url: str) -> None:
    bad = bad_tokens(world)
    codes: dict[str, int | None] = {}

    async def identify(name: str, text: str) -> None:
        async with Raw(url) as raw:
            await raw.send(Op.IDENTIFY, {"token": text, "rooms": ["a"]})
            codes[name] = await raw.close_code()
            assert len(raw.seen) == 1

    names = list(bad)
    for start in range(0, len(names), 8):
        await asyncio.gather(*(identify(name, bad[name]) for name in names[start : start + 8]))
    assert codes == dict.fromkeys(bad, 4004)


async def test_tokens_that_resume_or_refresh_nothing(world: World, url: str) -> None:
    bad = bad_tokens(world)
    for name in ("expired", "alg none", "another secret", "text"):
        async with live(world) as raw:
            ready = raw.seen[-1]["d"]
            await raw.send(Op.REFRESH, {"token": bad[name], "nonce": 1})
            assert await raw.close_code() == 4004
        async with Raw(url) as raw:
            await raw.resume(bad[name], ready["session_id"], cursor=ready["cursor"], rooms=[])
            assert await raw.close_code() == 4004
    async with live(world) as raw:
        await raw.send(Op.REFRESH, {"token": token(world, "bo"), "nonce": 1})
        assert await raw.close_code() == 4004


async def test_the_good_tokens_beside_the_bad_ones(world: World, url: str) -> None:
    now = int(time.time())
    claims = {"sub": "ed", "iat": now, "exp": now + 60}
    claims |= {"rooms": [{"match": "*", "can": ["subscribe"]}]}
    for good in (
        jwt.encode(claims, ED_KEY, algorithm="EdDSA", headers={"kid": "ed"}),
        jwt.encode(
            claims | {"exp": now + 86_400, "custom": [1]},
            bytes.fromhex(world.token_key().key),
            headers={"kid": "local"},
        ),
    ):
        async with Raw(url) as raw:
            assert (await raw.identify(good))["d"]["user"] == {"id": "ed"}


async def test_a_token_that_grants_nothing(world: World, url: str) -> None:
    secret = bytes.fromhex(world.token_key().key)
    now = int(time.time())
    for rooms in ([], [{"match": "*", "can": []}]):
        claims = {"sub": "ana", "iat": now, "exp": now + 60, "rooms": rooms}
        async with Raw(url) as raw:
            await raw.send(
                Op.IDENTIFY, {"token": signed({"alg": "HS256", "kid": "local"}, claims, secret)}
            )
            assert await raw.close_code() == 4014


async def test_a_token_that_runs_out_ends_the_connection(world: World, url: str) -> None:
    async with Raw(url) as raw:
        await raw.identify(token(world, "ana", ttl_s=4), "a")
        warning = await raw.op(Op.ERROR)
        assert warning["d"]["code"] == "token_expiring"
        assert await raw.close_code() == 4004

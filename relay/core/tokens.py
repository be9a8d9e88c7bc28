"""Client tokens: JWTs (RFC 7519), HS256 or EdDSA, each key bound to one algorithm."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm
from jwt.exceptions import InvalidKeyError

from relay.config import TokenKey
from relay.core.grants import Act, Grants, RoomGrant, covers
from relay.core.names import DEFAULT_TENANT, is_room, is_tenant, is_user
from relay.errors import ConfigError, RelayError

ALGORITHMS = ("HS256", "EdDSA")
MAX_TOKEN_BYTES = 8 * 1024
MAX_GRANTS = 256
HEADERS = 64  # that are remembered, decoded
_LEEWAY_S = 5  # clocks of the issuer and the edge


class TokenError(RelayError):
    """The token is refused; the text says why and never repeats the token."""


class _RoomClaim(msgspec.Struct):
    match: str
    can: list[Act]
    auto: bool = False


class _UserClaim(msgspec.Struct):
    match: str
    can: list[str]


class _Claims(msgspec.Struct):
    sub: str
    iat: int
    exp: int
    rooms: list[_RoomClaim] = []
    users: list[_UserClaim] = []
    tenant: str | None = None
    aud: str | list[str] | None = None
    nbf: int | None = None


@dataclass(frozen=True, slots=True)
class TokenRules:
    """How tokens are judged."""

    keys: Mapping[str, TokenKey]
    audience: str | None = None
    tenant: bool = False
    lifetime_s: int = 86_400


def token_rules(
    keys: Iterable[TokenKey], audience: str | None, tenant: bool, lifetime_s: int
) -> TokenRules:
    """Rules from a configuration.

    Raises:
        ConfigError: an algorithm is not supported, a secret too short, or a `kid` stands twice.
    """
    table: dict[str, TokenKey] = {}
    for key in keys:
        if key.alg not in ALGORITHMS:
            raise ConfigError(f"token key {key.kid!r}: alg {key.alg!r} is not HS256 or EdDSA")
        if key.kid in table:
            raise ConfigError(f"token key {key.kid!r} stands twice")
        try:
            material = _material(key)
        except ValueError as error:
            raise ConfigError(f"token key {key.kid!r}: the secret is not hex") from error
        if isinstance(material, str):
            _check_public(key)
        if isinstance(material, bytes) and len(material) < 32:
            raise ConfigError(f"token key {key.kid!r}: an HS256 secret has 32 bytes at least")
        for pattern in (*(key.users or ()), *(key.rooms or ())):
            if not _is_pattern(pattern):
                raise ConfigError(f"token key {key.kid!r}: {pattern!r} is no pattern of names")
        table[key.kid] = key
    return TokenRules(table, audience, tenant, lifetime_s)


def _check_public(key: TokenKey) -> None:
    try:
        public = OKPAlgorithm().prepare_key(key.key)
    except (InvalidKeyError, ValueError, TypeError) as error:
        raise ConfigError(f"token key {key.kid!r}: not a key in PEM") from error
    if not isinstance(public, Ed25519PublicKey):
        raise ConfigError(f"token key {key.kid!r}: not the public key of an Ed25519 pair")


def _material(key: TokenKey) -> bytes | str:
    return bytes.fromhex(key.key) if key.alg == "HS256" else key.key


def verify(token: str, rules: TokenRules, now_s: float) -> Grants:
    """Check a token and read what it grants.

    Args:
        token: the compact JWT.
        rules: keys by `kid`, audience, tenant, longest lifetime.
        now_s: Unix time of the edge.

    Raises:
        TokenError: anything at all is wrong with it.
    """
    key, claims = _signed_claims(token, rules)
    _check_reach(key, claims)
    if claims.exp <= now_s:
        raise TokenError("token expired")
    if claims.iat > now_s + _LEEWAY_S or (claims.nbf or 0) > now_s + _LEEWAY_S:
        raise TokenError("token not valid yet")
    if claims.exp - claims.iat > rules.lifetime_s:
        raise TokenError(f"token lives longer than {rules.lifetime_s} s")
    if rules.audience is not None:
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud or []
        if rules.audience not in audiences:
            raise TokenError("token is for another audience")
    return Grants(
        tenant=_tenant(claims, rules),
        user=_user(claims),
        expires_s=claims.exp,
        rooms=tuple(_room_grant(claim) for claim in claims.rooms),
        watch=tuple(claim.match for claim in claims.users if "watch" in claim.can),
    )


def _check_reach(key: TokenKey, claims: _Claims) -> None:
    """Whether the key may say that at all."""
    users = (claims.sub, *(claim.match for claim in claims.users))
    if not all(_within(key.users, user) for user in users):
        raise TokenError("token key not for this user")
    if not all(_within(key.rooms, claim.match) for claim in claims.rooms):
        raise TokenError("token key not for these rooms")


def _within(patterns: Sequence[str] | None, name: str) -> bool:
    return patterns is None or any(covers(pattern, name) for pattern in patterns)


def _signed_claims(token: str, rules: TokenRules) -> tuple[TokenKey, _Claims]:
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenError("token too long")
    try:
        header = _header(token.partition(".")[0])
        kid = header.get("kid")
        key = rules.keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise TokenError("token key not known")
        if header.get("alg") != key.alg:
            raise TokenError("token algorithm is not its key's")
        # Times and audience are judged here, by the caller's clock.
        claims: dict[str, Any] = jwt.decode(
            token,
            _material(key),
            algorithms=[key.alg],
            options={
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": False,
                "verify_sub": False,
                "verify_jti": False,
                "verify_iss": False,
            },
        )
    except TokenError:
        raise
    except Exception as error:  # the library meets hostile bytes here: any failure is a refusal
        raise TokenError("token not valid") from error
    try:
        decoded = msgspec.convert(claims, _Claims)
    except (msgspec.ValidationError, RecursionError) as error:
        raise TokenError("token claims not valid") from error
    if len(decoded.rooms) > MAX_GRANTS or len(decoded.users) > MAX_GRANTS:
        raise TokenError(f"token has more than {MAX_GRANTS} grants")
    return key, decoded


@lru_cache(HEADERS)
def _header(segment: str) -> dict[str, Any]:
    """The header of a token: the same text for all that one key signs."""
    return jwt.get_unverified_header(f"{segment}.e30.")


def _user(claims: _Claims) -> str:
    if not is_user(claims.sub):
        raise TokenError("token subject is no user name")
    return claims.sub


def _tenant(claims: _Claims, rules: TokenRules) -> str:
    if not rules.tenant:
        return DEFAULT_TENANT
    if claims.tenant is None or not is_tenant(claims.tenant):
        raise TokenError("token tenant not valid")
    return claims.tenant


def _room_grant(claim: _RoomClaim) -> RoomGrant:
    if not _is_pattern(claim.match):
        raise TokenError("token grants a room pattern that is not valid")
    return RoomGrant(claim.match, _acts(tuple(claim.can)), claim.auto)


@lru_cache(HEADERS)
def _acts(acts: tuple[Act, ...]) -> frozenset[Act]:
    """One set for all who may do the same."""
    return frozenset(acts)


def _is_pattern(match: str) -> bool:
    """Whether it is a pattern of rooms or users (the same names may be either)."""
    name = match.removesuffix("*")
    return is_room(name) if name else match == "*"


def mint(
    key: TokenKey,
    user: str,
    rooms: Sequence[RoomGrant],
    now_s: int,
    ttl_s: int,
    tenant: str | None = None,
    audience: str | None = None,
    watch: Sequence[str] = (),
) -> str:
    """Make a token (for HS256 keys: an edge's configuration holds only public keys of EdDSA).

    Args:
        key: an HS256 key.
        user: the `sub`.
        rooms: what is granted.
        now_s: Unix time.
        ttl_s: lifetime in s.
        tenant: the `tenant` claim, where edges ask for one.
        audience: the `aud` claim, where edges ask for one.
        watch: patterns of users who may be watched.

    Raises:
        ConfigError: the key is not HS256, or `user` is no user name.
    """
    if key.alg != "HS256":
        raise ConfigError(f"token key {key.kid!r}: only HS256 keys can sign here")
    if not is_user(user):
        raise ConfigError(f"user {user!r}: 1 to 128 of A-Z a-z 0-9 _ - :")
    claims: dict[str, Any] = {
        "sub": user,
        "iat": now_s,
        "exp": now_s + ttl_s,
        "rooms": [
            {"match": grant.match, "can": sorted(grant.can), "auto": grant.auto} for grant in rooms
        ],
    }
    if tenant is not None:
        claims["tenant"] = tenant
    if audience is not None:
        claims["aud"] = audience
    if watch:
        claims["users"] = [{"match": match, "can": ["watch"]} for match in watch]
    return jwt.encode(claims, _material(key), algorithm="HS256", headers={"kid": key.kid})

"""How an edge is set up, in words that can be compared with another edge's. None is a secret."""

import hashlib
import hmac
import platform
from pathlib import Path

import msgspec

from relay.config import EdgeConfig, RegionConfig, TokenKey

_ANY, _NONE = "any", "none"


def settings_of(config: EdgeConfig) -> dict[str, str]:
    """Name -> value of all that has to be alike at the edges of a fleet, as a rule.

    Limits are called as in the configuration. What tells one edge from another is not in it: its
    name, its addresses, its login. Of a key there are 8 hexadecimal digits, by which two can be
    told apart, and nothing else.
    """
    settings = {
        "python": platform.python_version(),
        "session key": _mark(bytes.fromhex(config.session_key)),
        "cursor key": _mark(bytes.fromhex(config.cursor_key)),
        "token audience": config.token_audience or _ANY,
        "token tenant": "required" if config.token_tenant else "not asked for",
        "allowed origins": _ANY if config.origins is None else _list(config.origins),
        "trusted proxies": _list(config.trusted_proxies),
        "geoip": Path(config.geoip).name if config.geoip else _NONE,
    }
    settings |= {f"token key {each.kid}": _token_key(each) for each in config.token_keys}
    settings |= {f"region {each.name}": _region(each) for each in config.regions}
    limits = msgspec.to_builtins(config.limits)
    return settings | {name: _number(value) for name, value in limits.items()}


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _token_key(key: TokenKey) -> str:
    secret = bytes.fromhex(key.key) if key.alg.startswith("HS") else key.key.encode()
    users = _ANY if key.users is None else _list(key.users)
    rooms = _ANY if key.rooms is None else _list(key.rooms)
    return f"{key.alg} {_mark(secret)}, users {users}, rooms {rooms}"


def _region(region: RegionConfig) -> str:
    return (
        f"index {region.index}, weight {region.weight} %, at {region.lat:g} {region.lon:g}, "
        f"{len(region.urls)} edges, {region.nats_servers} NATS"
    )


def _list(values: list[str]) -> str:
    return ", ".join(sorted(values)) or _NONE


def _mark(secret: bytes) -> str:
    """By what a key is told from others. It has 32 bytes at least, so nobody guesses it by that."""
    return hmac.new(secret, b"jetrelay: which key this is", hashlib.sha256).hexdigest()[:8]

"""Passwords and keys: those a state directory makes for itself, and those of a deployment."""

import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from regions.errors import WorldError
from regions.issuer import DOOR, DOOR_ROOM, DOOR_USER, LOCAL
from regions.nats_config import Secrets
from regions.permissions import USERS, User
from regions.topology import Topology
from relay.config import NatsConfig, TokenKey

EVERYONE = "*"  # whoever has no credentials of its own


def _key() -> str:
    return secrets.token_hex(32)


class SecretsFile(msgspec.Struct, frozen=True):
    """What stands in `secrets.json`."""

    nats: dict[str, str] = {}  # `<region>/<user>` and `<dialling region>><region>` -> password
    session_key: str = msgspec.field(default_factory=_key)
    cursor_key: str = msgspec.field(default_factory=_key)
    token_key: str = msgspec.field(default_factory=_key)
    door_key: str = msgspec.field(default_factory=_key)

    def own_keys(self) -> dict[str, TokenKey]:
        """By kid, the keys with which this world's own tokens are signed: those that are kept here.

        `LOCAL` is good for everything, `DOOR` for trying doors alone.
        """
        keys = (
            TokenKey(LOCAL, "HS256", self.token_key),
            TokenKey(DOOR, "HS256", self.door_key, users=[DOOR_USER], rooms=[DOOR_ROOM]),
        )
        return {key.kid: key for key in keys if key.key}

    def completed(self, topology: Topology) -> "SecretsFile":
        """With a password for every user and link of `topology`; what stands, stays."""
        wanted = [
            f"{region}/{user}" for region in topology.names for user in ("sys", "cluster", *USERS)
        ]
        wanted += [
            f"{source}>{target}" for source in topology.names for target in topology.others(source)
        ]
        passwords = {name: self.nats.get(name) or secrets.token_hex(24) for name in wanted}
        return msgspec.structs.replace(self, nats=self.nats | passwords)

    def of_region(self, region: str, topology: Topology) -> Secrets:
        """What stands in the configurations of one region's servers."""
        others = topology.others(region)
        return Secrets(
            users={user: self.nats[f"{region}/{user}"] for user in ("sys", "cluster", *USERS)},
            links_in={
                other: self.nats[f"{other}>{region}"]
                for other in others
                if topology.dials(other, region)
            },
            links_out={
                other: self.nats[f"{region}>{other}"]
                for other in others
                if topology.dials(region, other)
            },
        )


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    user: str
    password: str


def login_of(user: User, files: Mapping[str, str], servers: list[str]) -> NatsConfig:
    """How `user` reaches a deployment's NATS.

    Args:
        user: who it is to be.
        files: user -> file with its credentials; that of `EVERYONE` else. Without: no login.
        servers: URLs.

    Raises:
        WorldError: the credentials can't be read.
    """
    file = files.get(user) or files.get(EVERYONE)
    return NatsConfig(servers) if file is None else read_login(Path(file), servers)


def read_login(path: Path, servers: list[str]) -> NatsConfig:
    """A deployment's NATS with the credentials in `path`.

    The file is a NATS `.creds` file, JSON with `user` and `password`, or one line `user:password`.

    Raises:
        WorldError: it can't be read, is open to other users of the machine, or is none of these.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WorldError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if mode & 0o077:
        raise WorldError(f"{path}: other users may read it; `chmod 600 {path}`")
    if "-----BEGIN NATS USER JWT-----" in text:
        return NatsConfig(servers, creds=str(path.absolute()))
    if text.startswith("{"):
        try:
            login = msgspec.json.decode(text, type=_Login)
        except msgspec.DecodeError as error:
            raise WorldError(f"{path}: {error}") from error
        return NatsConfig(servers, user=login.user, password=login.password)
    user, colon, password = text.partition(":")
    if not colon or not user or "\n" in text:
        raise WorldError(
            f"{path}: neither a .creds file, nor JSON with user and password, nor user:password"
        )
    return NatsConfig(servers, user=user, password=password)

"""An existing NATS deployment, as `--nats REGION=URL` and `--creds REGION[:USER]=FILE` name it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from regions.credentials import EVERYONE, login_of
from regions.errors import WorldError
from regions.permissions import USERS, User
from regions.topology import Topology
from relay.config import NatsConfig


@dataclass(frozen=True, slots=True)
class Deployment:
    """The NATS servers of each region, and the files with the credentials there.

    `logins`: region -> user -> file; the user `*` is everyone who has no file of its own.
    """

    urls: dict[str, tuple[str, ...]]
    logins: dict[str, dict[str, str]]

    def nats_config(self, region: str, user: User) -> NatsConfig:
        """How `user` reaches the NATS of `region`.

        Raises:
            WorldError: the credentials can't be read.
        """
        return login_of(user, self.logins.get(region, {}), list(self.urls[region]))


def parse_deployment(
    topology: Topology, nats: Sequence[str], creds: Sequence[str]
) -> Deployment | None:
    """The deployment that the options name; None without any.

    Raises:
        WorldError: an option is not `REGION=VALUE`, names an unknown region or user, leaves a
            region out, or holds a password.
    """
    if not nats and not creds:
        return None
    urls = {
        region: tuple(_url(url, region) for url in value.split(","))
        for region, value in _pairs("--nats", nats, topology).items()
    }
    missing = [region for region in topology.names if region not in urls]
    if missing:
        raise WorldError(f"--nats: {', '.join(missing)} left out; give all regions or none")
    logins: dict[str, dict[str, str]] = {}
    for whose, value in _pairs("--creds", creds, topology).items():
        region, colon, user = whose.partition(":")
        if colon and user not in USERS:
            raise WorldError(f"--creds {whose}: no user {user!r}; there are {', '.join(USERS)}")
        files = logins.setdefault(region, {})
        files[user if colon else EVERYONE] = str(Path(value).absolute())
    return Deployment(urls, logins)


def _pairs(option: str, given: Sequence[str], topology: Topology) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        whose, equals, value = text.partition("=")
        if not equals or not value:
            raise WorldError(f"{option}: {whose!r} is not REGION=VALUE")
        region = whose.partition(":")[0] if option == "--creds" else whose
        if region not in topology.names:
            raise WorldError(
                f"{option}: no region {region!r}; {topology.where} has {', '.join(topology.names)}"
            )
        if whose in found:
            raise WorldError(f"{option}: {whose} is given twice")
        found[whose] = value
    return found


def _url(text: str, region: str) -> str:
    parts = urlsplit(text)
    if "@" in parts.netloc:
        raise WorldError(
            f"--nats {region}=…: a password in the command line can be read by everyone on this "
            f"machine; put it into a file (user:password, mode 600) and give --creds {region}=FILE"
        )
    if parts.scheme not in ("nats", "tls", "ws", "wss") or not parts.hostname:
        raise WorldError(f"--nats {region}: {text!r} is not nats://host:port")
    return text

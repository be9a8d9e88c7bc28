"""An existing NATS deployment, as `--nats REGION=URL` and `--creds REGION=FILE` name it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from regions.credentials import read_login
from regions.errors import WorldError
from regions.topology import Topology
from relay.config import NatsConfig


@dataclass(frozen=True, slots=True)
class Deployment:
    """The NATS servers of each region, and the file with the credentials there."""

    urls: dict[str, tuple[str, ...]]
    creds: dict[str, Path]

    def nats_config(self, region: str) -> NatsConfig:
        """How to reach the NATS of `region`.

        Raises:
            WorldError: the credentials can't be read.
        """
        servers = list(self.urls[region])
        creds = self.creds.get(region)
        return NatsConfig(servers) if creds is None else read_login(creds, servers)


def parse_deployment(
    topology: Topology, nats: Sequence[str], creds: Sequence[str]
) -> Deployment | None:
    """The deployment that the options name; None without any.

    Raises:
        WorldError: an option is not `REGION=VALUE`, names an unknown region, leaves one out, or
            holds a password.
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
    files = _pairs("--creds", creds, topology)
    return Deployment(urls, {region: Path(value).absolute() for region, value in files.items()})


def _pairs(option: str, given: Sequence[str], topology: Topology) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        region, equals, value = text.partition("=")
        if not equals or not value:
            raise WorldError(f"{option}: {region!r} is not REGION=VALUE")
        if region not in topology.names:
            raise WorldError(
                f"{option}: no region {region!r}; {topology.where} has {', '.join(topology.names)}"
            )
        if region in found:
            raise WorldError(f"{option}: region {region!r} is given twice")
        found[region] = value
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

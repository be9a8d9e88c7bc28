"""Where a client is: its address, behind proxies that are trusted, and the country of it."""

import ipaddress
from collections.abc import Iterable
from pathlib import Path

from relay.errors import ConfigError
from relay.geo.atlas import Atlas

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Geography:
    """Whose a request is, and where that is.

    Args:
        database: an `.mmdb` file with countries or cities; None: nobody is anywhere.
        proxies: networks whose `X-Forwarded-For` is believed.

    Raises:
        ConfigError: the file is no such database, or a network is none.
    """

    def __init__(self, database: Path | None = None, proxies: Iterable[str] = ()) -> None:
        self._proxies = [_network(text) for text in proxies]
        self.atlas = Atlas(database)

    def close(self) -> None:
        """Close the database."""
        self.atlas.close()

    def address(self, peer: str, forwarded: Iterable[str]) -> str:
        """Whose request it is: the last address that no trusted proxy has.

        Args:
            peer: the other end of the connection.
            forwarded: values of `X-Forwarded-For`, in order.
        """
        hops = [hop.strip() for value in forwarded for hop in value.split(",")]
        address = peer
        while hops and self._trusts(address):
            address = hops.pop()
        return address

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped  # as a listener for both kinds says it
        return any(parsed in network for network in self._proxies)

    def country(self, address: str) -> str:
        """The country of an address, as ISO 3166 codes it; `ZZ` where it is not known."""
        return self.atlas.country(address)


def share_of(address: str) -> str:
    """Whose share of a limit a request takes: one address, or the /64 that an IPv6 client has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def network_of(address: str) -> str:
    """The network that an address is in, wide enough to be nobody's alone: /24, or /48 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(parsed) >> 80 << 80, 48)))
        parsed = parsed.ipv4_mapped
    return str(ipaddress.ip_network((int(parsed) >> 8 << 8, 24)))


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigError(f"trusted_proxies: {text!r} is no network") from error

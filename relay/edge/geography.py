"""Where a client is: its address, behind proxies that are trusted, and the country of it."""

import ipaddress
import logging
import re
from collections.abc import Iterable
from pathlib import Path

import geoip2.database
import geoip2.errors
import maxminddb

from relay.core.headcount import UNKNOWN
from relay.errors import ConfigError
from relay.geoip import open_database

_log = logging.getLogger("jetrelay.geography")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_CODE = re.compile(r"[A-Z]{2}\Z")


class Geography:
    """Countries by address, from a GeoIP2 or GeoLite2 database that the operator gives.

    Args:
        database: an `.mmdb` file with countries or cities; None: every country is unknown.
        proxies: networks whose `X-Forwarded-For` is believed.

    Raises:
        ConfigError: the file is no such database, or a network is none.
    """

    def __init__(self, database: Path | None = None, proxies: Iterable[str] = ()) -> None:
        self._path = database
        self._proxies = [_network(text) for text in proxies]
        self._reader: geoip2.database.Reader | None = None
        self._cities = False
        self._stamp = 0.0
        if database is not None:
            self._open(database)

    def _open(self, path: Path) -> None:
        try:
            stamp = path.stat().st_mtime
        except OSError as error:
            raise ConfigError(f"geoip: {path}: {error.strerror}") from error
        reader, self._cities = open_database(path)
        old, self._reader, self._stamp = self._reader, reader, stamp
        if old is not None:
            old.close()

    def refresh(self) -> None:
        """Read the database again if the file is another. A bad one changes nothing."""
        if self._path is None:
            return
        try:
            if self._path.stat().st_mtime != self._stamp:
                self._open(self._path)
                _log.info("the database of countries was read again")
        except (OSError, ConfigError) as error:
            _log.warning("the database of countries stays the old one: %s", error)

    def close(self) -> None:
        """Close the database."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

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
        if self._reader is None:
            return UNKNOWN
        look = self._reader.city if self._cities else self._reader.country
        try:
            code = look(address).country.iso_code
        except (geoip2.errors.AddressNotFoundError, ValueError):
            return UNKNOWN
        except maxminddb.InvalidDatabaseError:
            return UNKNOWN
        return code if code is not None and _CODE.match(code) else UNKNOWN


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


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigError(f"trusted_proxies: {text!r} is no network") from error

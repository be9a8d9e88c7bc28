"""Where client networks are, by a GeoIP2 or GeoLite2 database that the operator gives."""

import asyncio
import ipaddress
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import geoip2.errors
import geoip2.models
import maxminddb

from relay.core.headcount import UNKNOWN
from relay.core.steering import Place, Whence
from relay.errors import ConfigError
from relay.geo.countries import COUNTRIES
from relay.geo.database import Database, open_database

_log = logging.getLogger("jetrelay.geo")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PREFIX = {4: 24, 6: 48}  # of a client network, where nothing else is known
_CODE = re.compile(r"[A-Z]{2}\Z")


@dataclass(frozen=True, slots=True)
class Origin:
    """A client network, and where it is."""

    network: Network
    whence: Whence
    country: str = ""  # ISO 3166; empty: not known
    how: str = ""  # its place is known, for people


class Atlas:
    """Looks addresses up.

    Args:
        database: an `.mmdb` file of cities or countries; None: nobody is anywhere.

    Raises:
        ConfigError: the file is no such database.
    """

    def __init__(self, database: Path | None = None) -> None:
        self._path = database
        self._database: Database | None = None
        self._stamp = (0.0, 0)
        if database is not None:
            self._stamp = _stamp(database)
            self._database = open_database(database)

    async def refresh(self) -> bool:
        """Read the database again if the file is another. A bad one changes nothing.

        Returns:
            Whether it is another now.
        """
        if self._path is None:
            return False
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return False
            self._stamp = stamp  # also of a bad one: it is said once
            fresh = await asyncio.to_thread(open_database, self._path)  # it may be large
        except ConfigError as error:
            _log.warning("the database of places stays the old one: %s", error)
            return False
        old, self._database = self._database, fresh
        if old is not None:
            old.close()
        _log.info("the database of places was read again")
        return True

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def networks(self) -> Iterator[Network]:
        """The networks that the database knows, none smaller than one that is looked up.

        Of one that has several, its first address counts, as where it is looked up.
        """
        for network in () if self._database is None else self._database.networks():
            most = PREFIX[network.version]
            if network.prefixlen <= most:
                yield network
                continue
            whole = network.supernet(new_prefix=most)
            if whole.network_address == network.network_address:
                yield whole

    def _look(self, address: str) -> geoip2.models.Country | None:
        if self._database is None:
            return None
        try:
            return self._database.look(address)
        except (geoip2.errors.AddressNotFoundError, ValueError, maxminddb.InvalidDatabaseError):
            return None

    def country(self, address: str) -> str:
        """The country of an address, as ISO 3166 codes it; `ZZ` where it is not known."""
        found = self._look(address)
        code = None if found is None else found.country.iso_code
        return code if code is not None and _CODE.match(code) else UNKNOWN

    def find(self, address: Address) -> Origin:
        """Where the network of an address is."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        network = ipaddress.ip_network((address, PREFIX[address.version]), strict=False)
        nowhere = Origin(network, Whence(), how="the database does not know it")
        if self._database is None:
            return Origin(network, Whence(), how="no database of places is configured")
        found = self._look(str(address))
        if found is None:
            return nowhere
        code = found.country.iso_code or found.registered_country.iso_code or ""
        if isinstance(found, geoip2.models.City):
            lat, lon = found.location.latitude, found.location.longitude
            if lat is not None and lon is not None:
                name = found.city.name or found.country.name or code
                return Origin(network, Whence(Place(lat, lon)), code, f"{name or 'a place'}")
        if code in COUNTRIES:
            place = Place(*COUNTRIES[code])
            return Origin(network, Whence(place), code, f"somewhere in {code}")
        return Origin(network, Whence(), code, nowhere.how)


def _stamp(path: Path) -> tuple[float, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise ConfigError(f"geoip: {path}: {error.strerror}") from error
    return stat.st_mtime, stat.st_size

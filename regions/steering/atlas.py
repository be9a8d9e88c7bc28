"""Where client networks are, by a GeoIP2 or GeoLite2 database that the operator gives."""

import ipaddress
import logging
from dataclasses import dataclass
from pathlib import Path

import geoip2.database
import geoip2.errors
import geoip2.models
import maxminddb

from regions.steering.countries import COUNTRIES
from regions.steering.decide import Place, Whence
from relay.errors import ConfigError
from relay.geoip import open_database

_log = logging.getLogger("jetrelay.steering")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PREFIX = {4: 24, 6: 48}  # of a client network, where nothing else is known


@dataclass(frozen=True, slots=True)
class Origin:
    """A client network, and where it is."""

    network: Network
    whence: Whence
    country: str = ""  # ISO 3166; empty: not known
    how: str = ""  # its place is known, for people


class Atlas:
    """Looks client networks up.

    Args:
        database: an `.mmdb` file of cities or countries; None: nobody is anywhere.

    Raises:
        ConfigError: the file is no such database.
    """

    def __init__(self, database: Path | None) -> None:
        self._path = database
        self._reader: geoip2.database.Reader | None = None
        self._cities = False
        self._stamp = (0.0, 0)
        if database is not None:
            self._open(database)

    def _open(self, path: Path) -> None:
        try:
            stat = path.stat()
        except OSError as error:
            raise ConfigError(f"geoip: {path}: {error.strerror}") from error
        reader, self._cities = open_database(path)
        old, self._reader = self._reader, reader
        self._stamp = stat.st_mtime, stat.st_size
        if old is not None:
            old.close()

    def refresh(self) -> bool:
        """Read the database again if the file is another. A bad one changes nothing.

        Returns:
            Whether it is another now.
        """
        if self._path is None:
            return False
        try:
            stat = self._path.stat()
            if (stat.st_mtime, stat.st_size) == self._stamp:
                return False
            self._stamp = stat.st_mtime, stat.st_size  # also of a bad one: it is said once
            self._open(self._path)
        except (OSError, ConfigError) as error:
            _log.warning("the database of places stays the old one: %s", error)
            return False
        return True

    def close(self) -> None:
        """Close the database."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _look(self, address: str) -> geoip2.models.Country:
        assert self._reader is not None
        if not self._cities:
            return self._reader.country(address)
        if "Enterprise" in self._reader.metadata().database_type:
            return self._reader.enterprise(address)
        return self._reader.city(address)

    def find(self, address: Address) -> Origin:
        """Where the network of an address is."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        network = ipaddress.ip_network((address, PREFIX[address.version]), strict=False)
        nowhere = Origin(network, Whence(), how="the database does not know it")
        if self._reader is None:
            return Origin(network, Whence(), how="no database of places is configured")
        try:
            found = self._look(str(address))
        except (geoip2.errors.AddressNotFoundError, ValueError, maxminddb.InvalidDatabaseError):
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

"""GeoIP2 and GeoLite2 databases, as operators give them."""

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

import geoip2.database
import geoip2.models
import maxminddb

from relay.errors import ConfigError

KINDS = ("Enterprise", "City", "Country")  # what the type of a database is called by


class Database:
    """A database of cities or countries. `open_database` opens it."""

    def __init__(self, reader: geoip2.database.Reader, kind: str, path: Path) -> None:
        self._reader = reader
        self._path = path
        looks = {
            "Enterprise": reader.enterprise,
            "City": reader.city,
            "Country": reader.country,
        }
        self._look = looks[kind]

    def look(self, address: str) -> geoip2.models.Country:
        """What is known of an address.

        Raises:
            geoip2.errors.AddressNotFoundError: nothing.
            ValueError: it is no address.
            maxminddb.InvalidDatabaseError: the database is broken there.
        """
        return self._look(address)

    def networks(self) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """All that it says anything of, as the file stands now."""
        # In memory: a file that is mapped, and overwritten meanwhile, would end the process.
        for network, _ in maxminddb.open_database(self._path, maxminddb.MODE_MEMORY):
            yield network

    def close(self) -> None:
        """Close it."""
        self._reader.close()


def open_database(path: Path) -> Database:
    """The database of cities or countries in a file, as it is now.

    The library maps files into memory: one that is overwritten in place would end the process
    (SIGBUS). So it maps a copy that nobody else has.

    Raises:
        ConfigError: the file can't be read, or is no such database.
    """
    copy = os.memfd_create("geoip", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(copy), "wb") as file:
            file.write(path.read_bytes())
        reader = geoip2.database.Reader(f"/proc/self/fd/{copy}")
    except OSError as error:
        raise ConfigError(f"geoip: {path}: {error.strerror}") from error
    except maxminddb.InvalidDatabaseError as error:
        raise ConfigError(f"geoip: {path} is no GeoIP2 database") from error
    finally:
        os.close(copy)
    called = reader.metadata().database_type
    kind = next((kind for kind in KINDS if kind in called), None)
    if kind is None:
        reader.close()
        raise ConfigError(f"geoip: {path} is of type {called}: countries or cities are needed")
    return Database(reader, kind, path)

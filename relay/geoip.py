"""GeoIP2 and GeoLite2 databases, as operators give them."""

import os
from pathlib import Path

import geoip2.database
import maxminddb

from relay.errors import ConfigError

CITIES = ("City", "Enterprise")
COUNTRIES = ("Country",)


def open_database(path: Path) -> tuple[geoip2.database.Reader, bool]:
    """The database of cities or countries in a file, as it is now.

    The library maps files into memory: one that is overwritten in place would end the process
    (SIGBUS). So it maps a copy that nobody else has.

    Returns:
        The database, and whether it is one of cities.

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
    kind = reader.metadata().database_type
    if not any(word in kind for word in (*CITIES, *COUNTRIES)):
        reader.close()
        raise ConfigError(f"geoip: {path} is of type {kind}: countries or cities are needed")
    return reader, not any(word in kind for word in COUNTRIES)

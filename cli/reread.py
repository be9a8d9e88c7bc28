"""Files that are read again when they change."""

from pathlib import Path

from regions.topology import Topology
from regions.topology_file import load_topology

Stamp = tuple[int, int] | None  # of a file: when it was written, and how long it is


def stamp_of(path: Path) -> Stamp:
    """What differs when a file is another one; None: it can't be looked at."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


class TopologyFile:
    """A topology file, as it was read last.

    Args:
        path: of the file.
        geoip: where the database of places is here, if not where the file says.

    Raises:
        TopologyError: it can't be read, or is wrong.
    """

    def __init__(self, path: Path, geoip: str | None = None) -> None:
        self._path = path
        self._geoip = geoip
        self._stamp = stamp_of(path)  # before it is read: it may change meanwhile
        self.first = load_topology(path, geoip)

    def again(self) -> Topology | None:
        """Another one than that which was read last; None: it is the same.

        Raises:
            TopologyError: it is wrong; that is said once for each writing.
        """
        now = stamp_of(self._path)
        if now == self._stamp:
            return None
        self._stamp = now
        return load_topology(self._path, self._geoip)

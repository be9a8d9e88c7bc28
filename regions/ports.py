"""Free TCP ports, such that no two worlds of one machine take the same.

A port is tried by binding it, and claimed by an abstract unix socket of the same name that the
supervisor holds while it lives. Ports come from below the kernel's range for outgoing connections,
so that a port whose process is being restarted is not taken by somebody's connection meanwhile.
"""

import random
import socket
from pathlib import Path

from regions.errors import WorldError

_LOWEST = 10_000
_TRIES = 2_000


class Claims:
    """The ports that this process has claimed; given back by `release`, or by its death."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], socket.socket] = {}
        self._random = random.SystemRandom()

    def claim(self, host: str, port: int, *, local: bool = True) -> bool:
        """Claim one port; False if it is taken. `local`: `host` is an address of this namespace."""
        key = (host, port)
        if key in self._held:
            return False
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(f"\0jetrelay/port/{host}/{port}")
        except OSError:
            holder.close()
            return False
        if local and not can_bind(host, port):
            holder.close()
            return False
        self._held[key] = holder
        return True

    def pick(self, host: str, *, local: bool = True) -> int:
        """Claim some free port.

        Raises:
            WorldError: none was found.
        """
        highest = _first_outgoing_port()
        for _ in range(_TRIES):
            port = self._random.randrange(_LOWEST, highest)
            if self.claim(host, port, local=local):
                return port
        raise WorldError(f"no free port on {host} in {_LOWEST} to {highest}")

    def release(self) -> None:
        """Give all claims back."""
        for holder in self._held.values():
            holder.close()
        self._held.clear()


def can_bind(host: str, port: int) -> bool:
    """Whether a listener could be opened there now.

    Raises:
        WorldError: `host` is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == 99:  # EADDRNOTAVAIL
                raise WorldError(f"bind: {host} is not an address of this machine") from error
            return False
    return True


def _first_outgoing_port() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    except OSError:
        return 32_768
    lowest = int(text.split()[0])
    return lowest if lowest >= _LOWEST + 2_000 else 32_768

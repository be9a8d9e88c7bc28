"""Whose requests are answered: the names by which a browser may know this server.

A page of any other server may be open in the operator's browser too, and may ask what is on
loopback; a name of its own may even point there (DNS rebinding). Both show in the headers `Origin`
(RFC 6454) and `Host`, which no page can set.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from console.errors import ConsoleError

PORTS = {"http": 80, "https": 443}


class Origins:
    """The origins that are this server's.

    Args:
        host: the loopback address that it listens on.
        port: the port.
        public: what a proxy calls it, an origin; None: there is no proxy.
    """

    def __init__(self, host: str, port: int, public: str | None = None) -> None:
        self.address = origin("http", host, port)
        known = [self.address, origin("http", "localhost", port), *([public] if public else [])]
        self._by_host = {host: each for each in known for host in _hosts(each)}

    def of(self, host: str) -> str | None:
        """The origin of pages that are asked for with this `Host`; None: it is not this server."""
        return self._by_host.get(host.lower())

    def allows(self, given: str) -> bool:
        """Whether a page of this `Origin` is one of this server."""
        return given in self._by_host.values()


def origin(scheme: str, host: str, port: int | None) -> str:
    """An origin as browsers write it: without the scheme's own port."""
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" + ("" if port in (None, PORTS[scheme]) else f":{port}")


def loopback(host: str) -> str:
    """The address of a host that only this machine reaches.

    Raises:
        ConsoleError: others reach it too.
    """
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise ConsoleError(
            f"--web: {host} is not a loopback address, and the console has no login: let it listen "
            "on 127.0.0.1, behind a proxy that authenticates (docs/console.md, In a browser)"
        )
    return str(address)


def public_origin(url: str) -> str:
    """The origin of what a proxy calls this server.

    Raises:
        ConsoleError: it is no address of a whole server.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if (
        parts.scheme not in PORTS
        or not parts.hostname
        or parts.username is not None
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
    ):
        raise ConsoleError(
            f"--public-url: {url!r} is not https://NAME or https://NAME:PORT: the console needs a "
            "name of its own, without a path"
        )
    return origin(parts.scheme, parts.hostname, port)


def _hosts(known: str) -> list[str]:
    """The `Host` headers that mean an origin: a proxy may say the scheme's own port."""
    scheme, _, host = known.partition("://")
    return [host] if urlsplit(known).port is not None else [host, f"{host}:{PORTS[scheme]}"]

"""When the certificates of a deployment end, as those who connect see them."""

import asyncio
import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from regions.world import World

_log = logging.getLogger("jetrelay.certificates")

LOOK_S = 3_600.0
AGAIN_S = 60.0  # while one could not be seen
PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Shown:
    """Where a certificate is shown."""

    name: str  # `us.relay.example.org`, `us-n1`
    host: str
    port: int
    after_info: bool = False  # NATS says something in plain text first


def places_of(world: World) -> list[Shown]:
    """The public doors and the nats-servers of a deployment, each once."""
    found: dict[tuple[str, int], Shown] = {}
    for region in world.regions:
        for edge in region.edges:
            parts = urlsplit(edge.url)
            if parts.scheme == "wss" and parts.hostname:
                place = Shown(parts.hostname, parts.hostname, parts.port or 443)
                found.setdefault((place.host, place.port), place)
        for server in region.nats:
            parts = urlsplit(server.url)
            if parts.scheme == "tls" and parts.hostname:
                place = Shown(server.name, parts.hostname, parts.port or 4222, after_info=True)
                found.setdefault((place.host, place.port), place)
    return list(found.values())


async def end_of(place: Shown) -> float:
    """When the certificate that is shown there ends: Unix seconds.

    Raises:
        OSError: nobody answers, in time, with a certificate that is valid and for that host.
    """
    trust = ssl.create_default_context()
    async with asyncio.timeout(PATIENCE_S):
        first = None if place.after_info else trust
        reader, writer = await asyncio.open_connection(place.host, place.port, ssl=first)
        try:
            if place.after_info:
                await reader.readline()
                await writer.start_tls(trust, server_hostname=place.host)
            shown: Mapping[str, object] = writer.get_extra_info("peercert")
            return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))
        finally:
            writer.close()


class CertificateWatch:
    """Looks again and again.

    Args:
        places: where certificates are shown.
    """

    def __init__(self, places: Sequence[Shown]) -> None:
        self._places = places
        self.ends: dict[str, float] = {}  # name -> Unix s, of those that were seen last time

    async def run(self) -> None:
        """Go on looking."""
        while True:
            failed = await self.look()
            await asyncio.sleep(AGAIN_S if failed else LOOK_S)

    async def look(self) -> bool:
        """Look everywhere once. Returns whether one could not be seen."""
        seen = await asyncio.gather(*map(end_of, self._places), return_exceptions=True)
        for place, end in zip(self._places, seen, strict=True):
            if isinstance(end, float):
                self.ends[place.name] = end
            elif isinstance(end, OSError):  # a time-out and TLS's errors are
                _log.info(
                    "%s shows no certificate that is valid: %s", place.name, str(end) or "no answer"
                )
            elif end is not None:
                raise end
        return any(not isinstance(end, float) for end in seen)

"""`GET /v1/negotiate`: how a client may connect, and to which regions, best first."""

import ipaddress
from collections.abc import Iterable
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relay.core.round_trips import parse_round_trips
from relay.core.wire import CODECS
from relay.edge import clock
from relay.edge.compass import Compass
from relay.edge.geography import Geography
from relay.edge.origins import Origins
from relay.geo.atlas import Origin

TTL_S = 30  # that an answer may be used again; as long as DNS answers
_NOWHERE = ipaddress.ip_address("0.0.0.0")  # noqa: S104 (no address to listen at)


class Negotiation:
    """Answers for one edge, also while it takes nobody itself.

    Args:
        compass: ranks the regions.
        geography: says whose a request is, and where that is.
        origins: allowed `Origin` headers; None: any.
    """

    def __init__(
        self, compass: Compass, geography: Geography, origins: Iterable[str] | None
    ) -> None:
        self._compass = compass
        self._geography = geography
        self._origins = Origins(origins, "GET")

    @property
    def routes(self) -> list[Route]:
        """For the public application."""
        return [Route("/v1/negotiate", self._negotiate, methods=["GET", "OPTIONS"])]

    async def _negotiate(self, request: Request) -> Response:
        refused = self._origins.refused(request)
        if refused is not None:
            return refused
        try:
            measured = parse_round_trips(request.query_params.get("rtt", ""))
        except ValueError as error:
            why = {"code": "invalid_data", "message": f"rtt: {error}"}
            return JSONResponse({"error": why}, 400, headers=self._origins.headers(request))
        origin, now = self._origin(request), clock.now()
        origin = replace(origin, whence=replace(origin.whence, rtt_ms=measured))
        answer = {
            "v": 1,
            "network": str(origin.network),
            "country": origin.country or None,
            "transports": [
                {"name": "websocket", "path": "/gateway", "encodings": list(CODECS)},
            ],
            "regions": [
                {
                    "name": course.name,
                    "url": course.url,
                    "distance_ms": None
                    if course.distance_ms is None
                    else round(course.distance_ms, 1),
                }
                for course in self._compass.rank(origin, now.mono_s, now.wall_ms)
            ],
            "ttl_s": TTL_S,
        }
        return JSONResponse(answer, headers=self._origins.headers(request))

    def _origin(self, request: Request) -> Origin:
        """Where the caller is; an address that is none is nowhere."""
        peer = request.client.host if request.client is not None else ""
        text = self._geography.address(peer, request.headers.getlist("x-forwarded-for"))
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            address = _NOWHERE
        return self._geography.atlas.find(address)

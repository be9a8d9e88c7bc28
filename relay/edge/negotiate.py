"""`GET /v1/negotiate`: how a client may connect, and to which regions, best first."""

import ipaddress
import math
from collections.abc import Iterable
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relay.config import Limits
from relay.core.limits import Shares, TokenBucket
from relay.core.round_trips import parse_round_trips
from relay.core.wire import CODECS
from relay.edge import clock
from relay.edge.compass import Compass
from relay.edge.counters import Counters
from relay.edge.geography import Geography, share_of
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
        limits: how many are answered.
        counters: count them.
    """

    def __init__(
        self,
        compass: Compass,
        geography: Geography,
        origins: Iterable[str] | None,
        limits: Limits,
        counters: Counters,
    ) -> None:
        self._compass = compass
        self._geography = geography
        self._origins = Origins(origins, "GET")
        self._counters = counters
        rate = limits.negotiations_per_s
        self._rate = TokenBucket.full(rate, rate, clock.now().mono_s)
        self._shares = Shares(limits.address_negotiations_per_s)

    @property
    def routes(self) -> list[Route]:
        """For the public application."""
        return [Route("/v1/negotiate", self._negotiate, methods=["GET", "OPTIONS"])]

    async def _negotiate(self, request: Request) -> Response:
        refused = self._origins.refused(request)
        if refused is not None:
            return refused
        address, now_s = self._address(request), clock.now().mono_s
        wait_s = self._shares.take(share_of(address), now_s) or self._rate.take(now_s)
        if wait_s > 0:
            self._counters.negotiations_refused += 1
            return self._too_many(request, wait_s)
        self._counters.negotiations += 1
        try:
            measured = parse_round_trips(request.query_params.get("rtt", ""))
        except ValueError as error:
            why = {"code": "invalid_data", "message": f"rtt: {error}"}
            return JSONResponse({"error": why}, 400, headers=self._origins.headers(request))
        origin, now = self._origin(address), clock.now()
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

    def _too_many(self, request: Request, wait_s: float) -> Response:
        error = {
            "code": "rate_limited",
            "message": "too many ask: an answer may be used again for its `ttl_s`",
            "retry_after": max(round(wait_s, 3), 0.1),
        }
        headers = self._origins.headers(request) | {"Retry-After": str(math.ceil(wait_s))}
        return JSONResponse({"error": error}, 429, headers=headers)

    def _address(self, request: Request) -> str:
        peer = request.client.host if request.client is not None else ""
        return self._geography.address(peer, request.headers.getlist("x-forwarded-for"))

    def _origin(self, text: str) -> Origin:
        """Where the caller is; an address that is none is nowhere."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            address = _NOWHERE
        return self._geography.atlas.find(address)

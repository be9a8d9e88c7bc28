"""`POST /v1/visits/open|beat|close`: visits of plain pages, from any origin that may."""

import math
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relay.config import Limits
from relay.edge.geography import Geography, share_of
from relay.edge.origins import Origins
from relay.edge.visits import FullError, Outcome, RateError, Visits
from relay.errors import UnavailableError

MAX_BODY_BYTES = 1024


class _Body(msgspec.Struct):
    visit: str = ""


class VisitRoutes:
    """The HTTP side of the visits of one edge.

    Args:
        visits: of this edge.
        geography: countries of addresses.
        origins: allowed `Origin` headers; None: any.
        limits: what pages are told.
        not_ready: why no new visit is taken; None when they are.
    """

    def __init__(
        self,
        visits: Visits,
        geography: Geography,
        origins: list[str] | None,
        limits: Limits,
        not_ready: Callable[[], str | None],
    ) -> None:
        self._visits = visits
        self._geography = geography
        self._origins = Origins(origins, "POST")
        self._limits = limits
        self._not_ready = not_ready

    @property
    def routes(self) -> list[Route]:
        """For the public application."""
        return [
            Route(f"/v1/visits/{name}", handler, methods=["POST", "OPTIONS"])
            for name, handler in (
                ("open", self._open),
                ("beat", self._beat),
                ("close", self._close),
            )
        ]

    # --- requests ------------------------------------------------------------------------------

    async def _open(self, request: Request) -> Response:
        refused = self._origins.refused(request)
        if refused is not None:
            return refused
        if self._not_ready() is not None:
            return self._error(request, 503, "unavailable", "this edge takes no visits now", 1.0)
        try:
            await _body(request)
            address = self._address(request)
            country = self._geography.country(address)
            visit = await self._visits.open(country, share_of(address))
        except _BadBodyError as error:
            return self._error(request, error.status, error.code, str(error))
        except RateError as error:
            return self._error(request, 429, "rate_limited", str(error), error.retry_after_s)
        except (FullError, UnavailableError) as error:
            return self._error(request, 503, "unavailable", str(error), 1.0)
        told = {
            "visit": visit,
            "beat_s": self._limits.visit_beat_s,
            "timeout_s": self._limits.visit_timeout_s,
        }
        return JSONResponse(told, 201, headers=self._origins.headers(request))

    async def _beat(self, request: Request) -> Response:
        return await self._of_visit(request, closes=False)

    async def _close(self, request: Request) -> Response:
        return await self._of_visit(request, closes=True)

    async def _of_visit(self, request: Request, *, closes: bool) -> Response:
        refused = self._origins.refused(request)
        if refused is not None:
            return refused
        try:
            body = await _body(request)
            visit = self._visits.read(body.visit)
            if visit is None:
                text = "`visit` is no id that was given at open"
                return self._error(request, 400, "invalid_visit", text)
            act = self._visits.end if closes else self._visits.beat
            outcome = await act(visit)
        except _BadBodyError as error:
            return self._error(request, error.status, error.code, str(error))
        except UnavailableError as error:
            return self._error(request, 503, "unavailable", str(error), 1.0)
        if outcome is Outcome.OVER and not closes:
            return self._error(request, 410, "over", "this visit is over: open another")
        status = 202 if outcome is Outcome.HELD else 204
        return Response(status_code=status, headers=self._origins.headers(request))

    def _address(self, request: Request) -> str:
        peer = request.client.host if request.client is not None else ""
        return self._geography.address(peer, request.headers.getlist("x-forwarded-for"))

    def _error(
        self, request: Request, status: int, code: str, text: str, retry_after_s: float = 0.0
    ) -> Response:
        error: dict[str, str | float] = {"code": code, "message": text}
        headers = self._origins.headers(request)
        if retry_after_s:
            error["retry_after"] = max(round(retry_after_s, 3), 0.1)
            headers["Retry-After"] = str(math.ceil(retry_after_s))
        return JSONResponse({"error": error}, status, headers=headers)


class _BadBodyError(Exception):
    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


async def _body(request: Request) -> _Body:
    """The body, whatever its type is called: `sendBeacon` says text/plain of a string."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise _BadBodyError(413, "too_large", f"a body has {MAX_BODY_BYTES} bytes at most")
    if not data.strip():
        return _Body()
    try:
        return msgspec.json.decode(data, type=_Body)
    except (ValueError, RecursionError) as error:  # also what is not UTF-8
        text = 'the body is no JSON object like {"visit": "…"}'
        raise _BadBodyError(400, "invalid_data", text) from error

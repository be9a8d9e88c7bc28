"""Which web pages may ask: `Origin` headers, and what they are answered (CORS)."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Origins:
    """The pages that may use some routes.

    Args:
        allowed: their `Origin` headers; None: any.
        methods: that the routes take, as `Access-Control-Allow-Methods` says them.
    """

    def __init__(self, allowed: Iterable[str] | None, methods: str) -> None:
        self._allowed = None if allowed is None else set(allowed)
        self._methods = methods

    def refused(self, request: Request) -> Response | None:
        """An answer to a preflight, or to an origin that may not; None: go on."""
        origin = request.headers.get("origin")
        if origin is not None and self._allowed is not None and origin not in self._allowed:
            error = {"code": "not_permitted", "message": "this origin may not ask here"}
            return JSONResponse({"error": error}, 403, headers=self.headers(request))
        if request.method == "OPTIONS":
            headers = self.headers(request) | {
                "Access-Control-Allow-Methods": self._methods,
                "Access-Control-Allow-Headers": "Content-Type",
                "Access-Control-Max-Age": "86400",
            }
            return Response(status_code=204, headers=headers)
        return None

    def headers(self, request: Request) -> dict[str, str]:
        """Of every answer."""
        headers = {"Cache-Control": "no-store"}
        origin = request.headers.get("origin")
        if self._allowed is None:
            headers["Access-Control-Allow-Origin"] = "*"
        elif origin in self._allowed:
            headers |= {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        return headers

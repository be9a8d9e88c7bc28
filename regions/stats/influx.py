"""The series in InfluxDB line protocol, and its way to a receiver.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from http.client import HTTPException
from urllib.parse import urlsplit

from regions.stats.series import FIGURES, Row, Spread
from relay.errors import RelayError

MEASUREMENT = "jetrelay"
AT_ONCE = 5_000  # lines, as the InfluxDB documentation advises
TRIES = 5
TIMEOUT_S = 10.0
TRANSIENT = (429, 500, 502, 503, 504)


class ExportError(RelayError):
    """The receiver did not take the series."""


def lines_of(row: Row) -> Iterable[str]:
    """The lines of a row: none where nothing was counted. Times are in seconds."""
    fields = [f"edges={row.edges}i"]
    for name in FIGURES:
        value: Spread | None = getattr(row, name)
        if value is not None:
            fields.append(f"{name}={value.mean:.3f}")
            fields += [f"{name}_max={value.max}i", f"{name}_p95={value.p95}i"]
    if len(fields) > 1:
        for name, total in (("opened", row.opened), ("closed", row.closed)):
            if total is not None:
                fields.append(f"{name}={total}i")
    silent = row.silent
    if len(fields) > 1 or silent.edges:  # also 0: an export that is repeated corrects one before
        fields.append(f"silent_edges={silent.edges}i")
        fields.append(f"silent_sessions={silent.sessions}i")
        fields.append(f"silent_visits={silent.visits}i")
        yield f"{MEASUREMENT},scope={row.scope} {','.join(fields)} {row.at_s}"


def check_url(url: str) -> str:
    """The address of a receiver.

    Raises:
        ExportError: it is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ExportError(f"{url!r} is no http:// or https:// address")
    if "precision=" in parts.query and "precision=s" not in parts.query.split("&"):
        raise ExportError("the times are in seconds: the address must say precision=s")
    if "precision=" not in parts.query:
        url += ("&" if parts.query else "?") + "precision=s"
    return url


async def send(url: str, lines: Sequence[str], token: str | None) -> None:
    """Write lines to a receiver; what it can't take now is sent again.

    Args:
        url: where lines are written, such as `http://host:8086/api/v2/write?org=o&bucket=b`.
        lines: at most `AT_ONCE`.
        token: for its `Authorization` header.

    Raises:
        ExportError: it refused them, or did not take them after some tries.
    """
    body = ("\n".join(lines) + "\n").encode()
    why = ""
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(0.5 * 2 ** (attempt - 1))
        try:
            await asyncio.to_thread(_post, url, body, token)
        except urllib.error.HTTPError as error:
            text = error.read(200).decode("utf-8", "replace")
            why = f"{error.code} {text}".strip()
            if error.code not in TRANSIENT:
                raise ExportError(f"{urlsplit(url).netloc} refuses the series: {why}") from error
        except (OSError, HTTPException) as error:
            why = str(getattr(error, "reason", error))
        else:
            return
    raise ExportError(f"{urlsplit(url).netloc} did not take the series: {why}")


def _post(url: str, body: bytes, token: str | None) -> None:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    if token:
        headers["Authorization"] = f"Token {token}"
    request = urllib.request.Request(url, body, headers)  # noqa: S310 (the scheme was checked)
    with _opener.open(request, timeout=TIMEOUT_S):
        pass


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, and take the token to another host."""

    def redirect_request(self, *_: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)

"""One GET request to a process of a world."""

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer, and its headers by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes


async def get(url: str, timeout_s: float = 2.0) -> Answer | None:
    """GET an `http://` or `https://` URL; None if nobody answers in time, or not in HTTP."""
    parts = urlsplit(url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (80 if tls is None else 443)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = f"GET {target} HTTP/1.0\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
            try:
                writer.write(request.encode())
                return _parse(await reader.read(1 << 20))
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None


def _parse(data: bytes) -> Answer | None:
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        return None
    pairs = (line.partition(":") for line in lines[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Answer(int(words[1]), headers, body)

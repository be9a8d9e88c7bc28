"""What a try of a door says: it came through, it failed, or it was asked to come later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from regions.issuer import Issuer
from regions.steering.health import EdgeKey, Try
from regions.steering.trying import nothing, try_door, try_doors
from relay.config import TokenKey

KEY, OTHER = EdgeKey("us", "us-1"), EdgeKey("eu", "eu-1")
ISSUER = Issuer(TokenKey("door", "HS256", "5e" * 32))
LATER = b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nbusy"
NOBODY = b"HTTP/1.1 503 No server\r\nContent-Length: 9\r\n\r\nno server"


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[str]:
    """A server that answers each handshake so; None: not at all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is not None:
            writer.write(answer)
        else:
            await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/gateway"


async def test_who_says_when_to_come_again_is_busy_and_has_not_failed() -> None:
    async with answering(LATER) as url:
        tried = await try_door(ISSUER, KEY, url, timeout_s=0.5)
    assert (tried.failed, tried.busy, tried.passed) == ("", "HTTP 503: busy", False)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (NOBODY, "connect: HTTP 503: no server"),  # a balancer that has no edge behind it
        (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", "connect: HTTP 404: no"),
        (b"what?\r\n", "connect: "),
        (None, "connect: no answer"),
    ],
)
async def test_whatever_else_is_answered_has_failed_and_says_why(
    answer: bytes | None, why: str
) -> None:
    async with answering(answer) as url:
        tried = await try_door(ISSUER, KEY, url, timeout_s=0.5)
    assert tried.failed.startswith(why)
    assert (tried.busy, tried.passed, tried.times) == ("", False, 1)


async def test_nobody_who_listens_has_failed() -> None:
    async with answering(None) as url:
        pass
    tried = await try_door(ISSUER, KEY, url, timeout_s=0.5)
    assert "connect: " in tried.failed
    assert "refused" in tried.failed or "111" in tried.failed


async def test_all_doors_are_tried_and_failures_in_a_row_are_counted() -> None:
    answers = {KEY: Try(2, "connect"), OTHER: Try(2)}

    async def through(key: EdgeKey, _url: str, _note: object) -> Try:
        return answers[key]

    urls = dict.fromkeys(answers, "ws://somewhere")
    first = await try_doors(through, urls, nothing, {})
    assert first == answers
    second = await try_doors(through, urls, nothing, first)
    assert (second[KEY].times, second[OTHER].times) == (2, 1)

"""Seeing when certificates end."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regions.certificates import CertificateWatch, Shown
from regions.compose.certificates import Authority, Pair


@asynccontextmanager
async def showing(pair: Pair, directory: Path) -> AsyncIterator[int]:
    """Somebody on 127.0.0.1 who shows a certificate; the port."""
    path = directory / "shown.pem"
    path.write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server = await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_certificate_counts_if_its_authority_is_trusted_and_the_host_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    ours, theirs = Authority.make("ours", now), Authority.make("theirs", now)
    (tmp_path / "ca.pem").write_bytes(ours.pair.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    for authority, host, seen in (
        (ours, "127.0.0.1", True), (theirs, "127.0.0.1", False), (ours, "192.0.2.1", False),
    ):  # fmt: skip
        async with showing(authority.issue([host], now), tmp_path) as port:
            watch = CertificateWatch([Shown("door", "127.0.0.1", port)])
            assert await watch.look() is not seen
        assert [round((end - now.timestamp()) / 86_400) for end in watch.ends.values()] == [
            365
        ] * seen


async def test_where_nobody_answers_is_looked_again_and_what_was_seen_stands(
    unused_tcp_port: int,
) -> None:
    watch = CertificateWatch([Shown("door", "127.0.0.1", unused_tcp_port)])
    watch.ends["door"] = 1.0
    assert await watch.look()
    assert watch.ends == {"door": 1.0}

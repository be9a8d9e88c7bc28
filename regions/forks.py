"""Mirrors that parted from their origin: found, saved to a file, and filled anew.

An origin that lost its end gave out sequences a second time, or filled them when a new epoch began;
a mirror that held that end holds other events there. The origin's edges note in its metadata where
copies may part (`epoch_forks`). What only such a mirror holds is written to a file before it goes.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

import msgspec

from regions.errors import AdminError
from regions.jetstream import JetStream
from relay.bus.compare import first_unlike
from relay.core.names import events_stream
from relay.errors import UnavailableError

FORKS, ABOVE = "epoch_forks", "epoch_above"  # of the home stream's metadata
SEQUENCE, SUBJECT, STAMP = "Nats-Sequence", "Nats-Subject", "Nats-Time-Stamp"
BATCH = 500
NOWHERE = 1 << 63  # a sequence that no stream has

_Message = tuple[dict[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Fork:
    """A mirror that holds other events than its origin."""

    stream: str
    first: int  # where they part
    upto: int  # the newest sequence under which they can differ


class Saved(msgspec.Struct, frozen=True):
    """One event that only the mirror held, as a line of the file."""

    seq: int
    subject: str
    stored: str  # RFC 3339
    headers: dict[str, str]
    data: str | None  # its payload as text
    base64: str | None = None  # else, where it is no UTF-8


async def find_fork(origin: str, home: JetStream, mirror: JetStream) -> Fork | None:
    """Where a region's mirror of `origin` parts from it; None where it does not.

    Raises:
        UnavailableError: one of the two did not answer.
    """
    stream = events_stream(origin)
    info = await home.info(stream)
    metadata: Mapping[str, Any] = (info or {}).get("config", {}).get("metadata") or {}
    above = _number(metadata.get(ABOVE))
    for first in sorted(_number(text) for text in str(metadata.get(FORKS, "")).split(",")):
        if not first:
            continue
        seq, unlike = await _compare(stream, home, mirror, first)
        if unlike and seq <= above:
            # It may be noted later than where it is: an edge could not ask a mirror.
            look = partial(_compare, stream, home, mirror)
            return Fork(stream, await first_unlike(seq, look), above)
    return None


async def save(fork: Fork, home: JetStream, mirror: JetStream, directory: Path) -> Path:
    """Write the events that only the mirror holds to a new file, as JSON lines.

    Raises:
        AdminError: it can't be written.
        UnavailableError: one of the two did not answer.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    path = directory / f"{fork.stream}-in-{mirror.region}-from-{fork.first}-{stamp}.jsonl"
    partial = path.with_suffix(".partial")
    try:
        await asyncio.to_thread(directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        with partial.open("wb") as lines:
            await _write(fork, home, mirror, lines)
        partial.replace(path)
    except OSError as error:
        raise AdminError(f"{partial}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return path


async def _write(fork: Fork, home: JetStream, mirror: JetStream, lines: IO[bytes]) -> None:
    async for page in _pages(fork, mirror):
        first, last = min(page), max(page)
        theirs: dict[int, _Message] = {}
        while (following := max(theirs, default=first - 1) + 1) <= last:
            got = await home.messages(fork.stream, following, min(BATCH, last - following + 1))
            if not got:
                break
            theirs |= {_seq(headers): (headers, data) for headers, data in got}
        for seq, (headers, data) in sorted(page.items()):
            if seq not in theirs or not _alike((headers, data), theirs[seq]):
                lines.write(msgspec.json.encode(_saved(seq, headers, data)) + b"\n")


async def _pages(fork: Fork, mirror: JetStream) -> AsyncIterator[dict[int, _Message]]:
    following = fork.first
    while following <= fork.upto:
        got = await mirror.messages(fork.stream, following, min(BATCH, fork.upto - following + 1))
        page = {_seq(headers): (headers, data) for headers, data in got}
        page = {seq: message for seq, message in page.items() if seq <= fork.upto}
        if not got and following <= min(fork.upto, await _last(mirror, fork.stream)):
            raise UnavailableError(f"a replica of {fork.stream} does not show {following} yet")
        if not page:
            return
        yield page
        following = max(page) + 1


async def _last(stands: JetStream, stream: str) -> int:
    """The last sequence of a stream, as its leader says."""
    answer = await stands.info(stream)
    return 0 if answer is None else int(answer["state"]["last_seq"])


async def _compare(stream: str, home: JetStream, mirror: JetStream, first: int) -> tuple[int, bool]:
    """The first sequence from one on that both hold, and whether they are unlike there."""
    while True:
        ours = await mirror.messages(stream, first, 1)
        theirs = await home.messages(stream, first, 1)
        if not ours or not theirs:
            return NOWHERE, False
        here, there = _seq(ours[0][0]), _seq(theirs[0][0])
        if here == there:
            return here, not _alike(ours[0], theirs[0])
        first = max(here, there)


def _alike(one: _Message, other: _Message) -> bool:
    # Not by their stamps: what was written back to the origin has a new one there.
    keys = (SUBJECT, "Jr-User", "Jr-Id")
    return one[1] == other[1] and all(one[0].get(key) == other[0].get(key) for key in keys)


def _saved(seq: int, headers: dict[str, str], data: bytes) -> Saved:
    kept = {name: value for name, value in headers.items() if name.startswith("Jr-")}
    try:
        return Saved(seq, headers[SUBJECT], headers[STAMP], kept, data.decode())
    except UnicodeDecodeError:
        text = base64.b64encode(data).decode()
        return Saved(seq, headers[SUBJECT], headers[STAMP], kept, None, text)


def _seq(headers: Mapping[str, str]) -> int:
    return int(headers[SEQUENCE])


def _number(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isdigit() else 0

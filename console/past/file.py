"""Recordings: what was heard, in a file that can be attached to a report of an incident.

A file is a row of gzip members (RFC 1952), one every few seconds: it can be read from any of them
on, and what was written before a crash stays readable. A line is a JSON array of a time (Unix ms),
a subject and the message; the first line says what it is.
"""

import gzip
import io
import zlib
from bisect import bisect_left
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from console.errors import RecordingError
from console.feed import BooksRead
from console.past.moment import Extent, Moment, alert_times

VERSION = 1
MEMBER_MS = 60_000
BOOKS = "books"
CHUNK = 256 * 1024


class Header(msgspec.Struct, frozen=True):
    """The first line of a recording."""

    jetrelay: str
    version: int
    world: str
    began_ms: int
    known: dict[str, list[str]] = {}  # region -> edges


class _Books(msgspec.Struct, frozen=True):
    runs: tuple[Any, ...]
    orders: tuple[Any, ...]
    holders: dict[str, Any]


class Line(NamedTuple):
    """One line: when, what about, and the message as it came."""

    at_ms: int
    subject: str
    message: msgspec.Raw


class _Member(NamedTuple):
    """A part of the file that can be read for itself."""

    first_ms: int
    last_ms: int
    offset: int
    size: int


def _when(moment: Moment) -> int:
    return moment.at_ms


_line = msgspec.json.Decoder(Line)
_header = msgspec.json.Decoder(Header)
_books = msgspec.json.Decoder(BooksRead)


class Recorder:
    """Writes a recording.

    Args:
        path: of the file, which must not be there.
        header: its first line.

    Raises:
        RecordingError: it is there, or can't be written.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self._path = path
        try:
            self._file: IO[bytes] = path.open("xb")
        except FileExistsError as error:
            raise RecordingError(f"{path} is there already") from error
        except OSError as error:
            raise RecordingError(f"{path}: {error.strerror}") from error
        self._lines = io.BytesIO()
        self._member_ms = header.began_ms
        self._last_books = b""
        self.lines = 0
        self._lines.write(msgspec.json.encode(header) + b"\n")

    def message(self, at_ms: int, subject: str, data: bytes) -> None:
        """Something was heard; what is no JSON in one line is left out."""
        try:
            raw = msgspec.Raw(msgspec.json.encode(msgspec.json.decode(data)))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        self._write(at_ms, subject, raw)

    def books(self, at_ms: int, books: BooksRead) -> None:
        """The books were read; they are written where they are others than before."""
        data = msgspec.json.encode(books)
        if data != self._last_books:
            self._last_books = data
            self._write(at_ms, BOOKS, msgspec.Raw(data))

    def _write(self, at_ms: int, subject: str, message: msgspec.Raw) -> None:
        if at_ms - self._member_ms >= MEMBER_MS or at_ms < self._member_ms:
            self.flush()
            self._member_ms = at_ms
        self._lines.write(msgspec.json.encode((at_ms, subject, message)) + b"\n")
        self.lines += 1

    def flush(self) -> None:
        """Write what was heard.

        Raises:
            RecordingError: it can't be written.
        """
        data = self._lines.getvalue()
        if not data:
            return
        self._lines = io.BytesIO()
        try:
            self._file.write(gzip.compress(data, mtime=0))
            self._file.flush()
        except OSError as error:
            raise RecordingError(f"{self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Write the rest."""
        try:
            self.flush()
        finally:
            self._file.close()


class FilePast:
    """A recording, as the past. Its minutes are found when it is opened, and read when needed.

    Args:
        path: of the file.

    Raises:
        RecordingError: it can't be read, or is no recording.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members: list[_Member] = []
        self._alerts: list[tuple[int, bytes]] = []
        self._drills: list[Moment] = []
        self._books: list[tuple[int, BooksRead]] = []
        self.header = self._index()
        # The clock of who recorded it may have been set back meanwhile.
        self._members.sort()
        self._drills.sort(key=_when)
        self._books.sort(key=lambda read: read[0])

    def _index(self) -> Header:
        header: Header | None = None
        for offset, size, data in self._inflated():
            lines = data.splitlines()
            if header is None:
                header, lines = self._head(lines), lines[1:]
            times = [self._note(line) for line in lines]
            if times:
                self._members.append(_Member(min(times), max(times), offset, size))
        if header is None:
            raise RecordingError(f"{self._path}: no recording of a console")
        return header

    def _head(self, lines: list[bytes]) -> Header:
        try:
            header = _header.decode(lines[0])
        except (IndexError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RecordingError(f"{self._path}: no recording of a console") from error
        if header.jetrelay != "recording" or header.version != VERSION:
            raise RecordingError(
                f"{self._path}: version {header.version}, and version {VERSION} can be read here"
            )
        return header

    def _note(self, data: bytes) -> int:
        """What an index needs of a line; when it was."""
        line = self._parse(data)
        if line.subject == BOOKS:
            try:
                self._books.append((line.at_ms, _books.decode(line.message)))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise RecordingError(f"{self._path}: a line is damaged: {error}") from error
        elif line.subject.startswith("news.") and line.subject.endswith(".alert"):
            self._alerts.append((line.at_ms, bytes(line.message)))
        elif line.subject.startswith("news.") and line.subject.endswith(".drill"):
            self._drills.append(Moment(line.at_ms, line.subject, bytes(line.message)))
        return line.at_ms

    def _parse(self, data: bytes) -> Line:
        try:
            return _line.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RecordingError(f"{self._path}: a line is damaged: {error}") from error

    def _inflated(self) -> Iterator[tuple[int, int, bytes]]:
        """Each member: offset, size, and what is in it. One that is cut off ends the file."""
        try:
            with self._path.open("rb") as file:
                offset = 0
                while True:
                    file.seek(offset)
                    unzip = zlib.decompressobj(wbits=31)
                    parts, taken = [], 0
                    while not unzip.eof:
                        chunk = file.read(CHUNK)
                        if not chunk:
                            return
                        parts.append(unzip.decompress(chunk))
                        taken += len(chunk)
                    size = taken - len(unzip.unused_data)
                    yield offset, size, b"".join(parts)
                    offset += size
        except OSError as error:
            raise RecordingError(f"{self._path}: {error.strerror}") from error
        except zlib.error as error:
            raise RecordingError(f"{self._path}: no recording of a console") from error

    async def extent(self) -> Extent:
        """From when until when there is something."""
        first_ms = self._members[0].first_ms if self._members else self.header.began_ms
        last_ms = max((member.last_ms for member in self._members), default=first_ms)
        return Extent(first_ms, last_ms)

    async def read(self, since_ms: int, until_ms: int) -> AsyncGenerator[Moment, None]:
        """What was heard from a time on, and before another one, in order."""
        waiting: list[Moment] = []  # in order; of members that the next one may come between
        with self._path.open("rb") as file:
            for member in self._members:
                if member.first_ms >= until_ms:
                    break
                if member.last_ms < since_ms:
                    continue
                ready = bisect_left(waiting, member.first_ms, key=_when)
                for moment in waiting[:ready]:
                    yield moment
                del waiting[:ready]
                file.seek(member.offset)
                lines = self._lines(gzip.decompress(file.read(member.size)))
                waiting += [line for line in lines if since_ms <= line.at_ms < until_ms]
                waiting.sort(key=_when)
        for moment in waiting:
            yield moment

    def _lines(self, data: bytes) -> Iterator[Moment]:
        """What was heard, in a member."""
        for text in data.splitlines():
            if not text.startswith(b"["):
                continue  # the header
            line = self._parse(text)
            if line.subject != BOOKS:
                yield Moment(line.at_ms, line.subject, bytes(line.message))

    async def books(self, until_ms: int) -> BooksRead | None:
        """What operators had ordered and done by then."""
        known = [books for at_ms, books in self._books if at_ms <= until_ms]
        return known[-1] if known else None

    async def drills(self, until_ms: int) -> list[Moment]:
        """All that was told of drills before a time, in order."""
        return [moment for moment in self._drills if moment.at_ms < until_ms]

    async def alerts(self) -> list[int]:
        """When alerts began to fire, or were over, in order."""
        return alert_times(self._alerts)

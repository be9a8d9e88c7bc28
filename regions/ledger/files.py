"""The files of a ledger: appended by one process each, read in the order of their names."""

import gzip
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import msgspec

from regions.errors import LedgerError
from regions.ledger.record import Base, Clock, Record, decode, encode

BUFFER_BYTES = 64 * 1024
CLOCK_NS = 10_000_000_000
Found = tuple[Record, tuple[str, int]]  # a record, and the file and line where it stands


class Writer:
    """Appends records to a file of its own; what is buffered is on disk after `flush`.

    Raises:
        LedgerError: the file can't be written.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / f"{name}.jsonl"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise LedgerError(f"{self.path}: {error.strerror}") from error
        self._buffer = bytearray()
        self._clock_at = 0
        self.records = 0

    def write(self, record: Base) -> None:
        """Append a record."""
        if record.t >= self._clock_at:
            self._clock_at = record.t + CLOCK_NS
            self._put(Clock(time.monotonic_ns(), time.time_ns() // 1_000_000))
        self._put(record)

    def _put(self, record: Base) -> None:
        self._buffer += encode(record)
        self._buffer += b"\n"
        self.records += 1
        if len(self._buffer) >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand what is buffered to the operating system.

        Raises:
            LedgerError: it can't be written.
        """
        if not self._buffer:
            return
        try:
            self._file.write(self._buffer)
        except OSError as error:
            raise LedgerError(f"{self.path}: {error.strerror}") from error
        self._buffer.clear()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()


def ledger_files(directory: Path) -> list[Path]:
    """The ledger's files in the order of their names.

    `directory` may be the ledger itself or a report that has it as `ledger/`.

    Raises:
        LedgerError: there are none.
    """
    inner = directory / "ledger"
    where = inner if inner.is_dir() else directory
    if not where.is_dir():
        raise LedgerError(f"{where}: no such directory")
    found = sorted((*where.glob("*.jsonl"), *where.glob("*.jsonl.gz")), key=lambda path: path.name)
    if not found:
        raise LedgerError(f"{where}: no ledger (*.jsonl or *.jsonl.gz) in it")
    return found


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of one file, numbered from 1. A last one without an end: its writer was killed.

    Raises:
        LedgerError: it can't be read.
    """
    try:
        with _open(path) as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield number, line
    except (OSError, EOFError) as error:
        raise LedgerError(f"{path}: {error}") from error


def records(path: Path, *, numbered: bool = False, skip: bytes = b"-") -> Iterator[Found]:
    """The records of one file.

    Args:
        path: the file.
        numbered: each line begins with the number it had in another file, and a tab.
        skip: leave out lines that begin so.

    Raises:
        LedgerError: it can't be read, or a line is no record.
    """
    name = path.name
    for number, line in lines(path):
        if numbered:
            head, _, line = line.partition(b"\t")  # noqa: PLW2901
            number = int(head)  # noqa: PLW2901
        if not line.startswith(skip):
            yield parse(name, number, line), (name, number)


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def parse(name: str, number: int, line: bytes) -> Record:
    """The record in a line.

    Raises:
        LedgerError: it is none.
    """
    try:
        record: Record = decode(line)
    except msgspec.DecodeError as error:
        raise LedgerError(f"{name}:{number}: not a record: {error}") from error
    return record


def history_hash(files: list[Path]) -> str:
    """SHA-256 over all lines, file by file: `cat *.jsonl | sha256sum` says the same."""
    digest = hashlib.sha256()
    for path in files:
        with _open(path) as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()

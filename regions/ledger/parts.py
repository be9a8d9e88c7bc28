"""A ledger in parts: some rooms each, so that one part at a time fits into memory."""

import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from regions.ledger.files import Found, lines, parse, records
from regions.ledger.record import Record
from regions.ledger.sessions import Sessions

_EVENT = b'{"k":"event"'  # how deliveries, most of the records, begin


@dataclass(frozen=True, slots=True)
class Part:
    """The records of part `index` of `count`, and those that are of no room."""

    files: list[Path]
    index: int = 0
    count: int = 1

    def has(self, room: str) -> bool:
        """Whether a room is in it."""
        return self.count == 1 or _part_of(room, self.count) == self.index

    def records(self) -> Iterator[Found]:
        """All of them, in order."""
        for path in self.files:
            yield from records(path, numbered=self.count > 1)

    def facts(self) -> Iterator[Found]:
        """All but the deliveries."""
        for path in self.files:
            yield from records(path, numbered=self.count > 1, skip=_EVENT)


def split(files: list[Path], count: int, scratch: Path, sessions: Sessions) -> list[Part]:
    """Cut a ledger into `count` parts, with `sessions` reading all of it on the way.

    Args:
        files: of the ledger.
        count: how many parts; 1 leaves the files where they are.
        scratch: a directory for the parts.
        sessions: gets every record.
    """
    if count == 1:
        whole = Part(files)
        for record, where in whole.records():
            sessions.read(record, where)
        return [whole]
    parts = [Part([], index, count) for index in range(count)]
    for path in files:
        with ExitStack() as stack:
            outs: list[IO[bytes]] = []
            for part in parts:
                target = scratch / str(part.index) / path.name.removesuffix(".gz")
                target.parent.mkdir(exist_ok=True)
                part.files.append(target)
                outs.append(stack.enter_context(target.open("wb")))
            for number, line in lines(path):
                record = parse(path.name, number, line)
                sessions.read(record, (path.name, number))
                for out in _outs_of(record, outs):
                    out.write(b"%d\t%b" % (number, line))
    return parts


def _outs_of(record: Record, outs: list[IO[bytes]]) -> list[IO[bytes]]:
    room = getattr(record, "room", None)
    return outs if room is None else [outs[_part_of(room, len(outs))]]


def _part_of(room: str, count: int) -> int:
    return zlib.crc32(room.encode()) % count

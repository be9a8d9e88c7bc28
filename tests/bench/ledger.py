"""`python -m tests.bench.ledger`: how fast the checker is, and what it needs."""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from regions.ledger.checker import PART_BYTES, check
from regions.ledger.content import data_of, hash_of
from regions.ledger.files import Writer
from regions.ledger.record import (
    Acked,
    Asked,
    Delivered,
    Drained,
    Ended,
    Ready,
    Stored,
    Stream,
)

REGIONS = ("us", "eu", "ap")
MS = 1_000_000


def write(directory: Path, events: int, clients: int, rooms: int, rooms_each: int) -> None:
    """A ledger of a run without a fault: 200 events/s, each to everybody in its room."""
    writer = Writer(directory, "crowd-0")
    names = [f"c-{number}" for number in range(clients)]
    of_client = {
        name: tuple(f"room:{(number + step * 7) % rooms}" for step in range(rooms_each))
        for number, name in enumerate(names)
    }
    members = {
        f"room:{number}": [name for name in names if f"room:{number}" in of_client[name]]
        for number in range(rooms)
    }
    start = dict.fromkeys(REGIONS, (1, 0))
    for name in names:
        writer.write(Ready(MS, name, f"s-{name}", "us", "us-1", of_client[name], start))
    stored: list[Stored] = []
    numbers: dict[tuple[str, str], int] = {}
    for count in range(events):
        t = (10 + count * 5) * MS
        room = f"room:{count % rooms}"
        user = members[room][count % len(members[room])]
        number = numbers[user, room] = numbers.get((user, room), 0) + 1
        origin, seq = REGIONS[count % 3], count // 3 + 1
        publish_id, data_hash = f"{user}.{room}.{number}", hash_of(data_of(number, "." * 64))
        writer.write(Asked(t, user, room, publish_id, number, data_hash))
        writer.write(Acked(t + MS, user, room, publish_id, origin, 1, seq))
        for name in members[room]:
            writer.write(
                Delivered(
                    t + 2 * MS, name, room, user, publish_id, number, origin, 1, seq, data_hash
                )
            )
        stored.append(
            Stored(t, "", origin, 1, seq, room, user, publish_id, number, data_hash, t // MS)
        )
    end = dict.fromkeys(REGIONS, (1, events))
    for name in names:
        writer.write(Drained(t + 5 * MS, name, reached=True))
        writer.write(Ended(t + 6 * MS, name, end))
    writer.close()
    scan = Writer(directory, "scan")
    for region in REGIONS:
        for origin in REGIONS:
            scan.write(Stream(t + 9 * MS, region, origin, 1, 1, events))
        for one in stored:
            scan.write(
                Stored(
                    t + 9 * MS, region, one.origin, 1, one.seq, one.room, one.user, one.id,
                    one.number, one.hash, one.ts,
                )
            )  # fmt: skip
    scan.close()


def main() -> int:
    """Write a ledger, judge it, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ledger", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="each goes to 30 clients")
    parser.add_argument("--clients", type=int, default=300)
    parser.add_argument("--rooms", type=int, default=30)
    parser.add_argument("--part-mb", type=int, default=PART_BYTES >> 20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jetrelay-bench-") as scratch:
        directory = Path(scratch)
        write(directory, arguments.events, arguments.clients, arguments.rooms, 3)
        size = sum(path.stat().st_size for path in directory.iterdir())
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun_s, begun_cpu_s = time.monotonic(), time.process_time()
        findings = check(directory, arguments.part_mb << 20)
        took_s, cpu_s = time.monotonic() - begun_s, time.process_time() - begun_cpu_s
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"records  {findings.records}  ({size / 1e6:.0f} MB, {findings.delivered} deliveries)")
    print(
        f"took     {took_s:.1f} s, {cpu_s:.1f} s of CPU: {findings.records / cpu_s:.0f} records/s"
    )
    print(f"memory   {peak_kb / 1024:.0f} MB, {before_kb / 1024:.0f} MB before")
    print(f"verdict  {'passed' if findings.passed else 'failed'}")
    return 0 if findings.passed else 1


if __name__ == "__main__":
    sys.exit(main())

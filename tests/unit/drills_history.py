"""A small history of a drill, as its crowd would have written it: to test what is read from it."""

from pathlib import Path

from regions.ledger.files import Writer
from regions.ledger.record import (
    Acked,
    Asked,
    Base,
    Delivered,
    Down,
    Drained,
    Ended,
    Phase,
    Ready,
    Resumed,
    Resuming,
    Stored,
    Stream,
    Trying,
)

S = 1_000_000_000
MS = 1_000_000
START = 1_000 * S  # on the monotonic clock


class Story:
    """Two clients in one room: `a` publishes in us, `b` listens. Times are in s since the start."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._writer = Writer(directory / "ledger", "crowd-0")
        self._marks = Writer(directory / "ledger", "marks")
        self._scan = Writer(directory / "ledger", "scan")
        self._seq = 0
        for client, region in (("a", "us"), ("b", "eu")):
            self.add(Ready(START, client, f"s-{client}", region, f"{region}-1", ("r",), {}))

    def add(self, record: Base) -> None:
        """Any record of the crowd."""
        self._writer.write(record)

    def mark(self, at_s: float, name: str) -> None:
        """A phase begins."""
        self._marks.write(Phase(at(at_s), name))

    def publish(
        self, at_s: float, reaches_b_s: float | None, origin: str = "us", *, ack_ms: int = 10
    ) -> int:
        """`a` publishes, has it acknowledged soon and delivered 20 ms later; `b` gets it, or not.

        Returns its sequence.
        """
        self._seq += 1
        seq, name = self._seq, f"a.r.{self._seq}"
        self.add(Asked(at(at_s), "a", "r", name, seq, "h"))
        self.add(Acked(at(at_s) + ack_ms * MS, "a", "r", name, origin, 1, seq))
        arrivals = {"a": at(at_s) + 20 * MS}
        if reaches_b_s is not None:
            arrivals["b"] = at(reaches_b_s)
        for client, t in arrivals.items():
            self.add(Delivered(t, client, "r", "a", name, seq, origin, 1, seq, "h"))
        for region in ("us", "eu"):
            stored = Stored(at(at_s), region, origin, 1, seq, "r", "a", name, seq, "h")
            self._scan.write(stored)
        return seq

    def lose(self, at_s: float, heard_s: float, back_s: float, region: str = "us") -> None:
        """`b` loses its connection, chooses at once, and resumes."""
        self.add(Down(at(at_s), "b", None, "the connection broke", at(heard_s)))
        self.add(Trying(at(at_s), "b", "ws://there", 0, 100))
        self.add(Resuming(at(back_s) - 50 * MS, "b", "s-b", {}))
        self.add(Resumed(at(back_s), "b", region, f"{region}-1", 0, {}, {}))

    def end(self, at_s: float) -> Path:
        """Everybody has everything; the directory of the report."""
        for client in ("a", "b"):
            self.add(Drained(at(at_s), client, reached=True))
            self.add(Ended(at(at_s), client, {}))
        for region in ("us", "eu"):
            for origin in ("us", "eu"):
                last = self._seq if origin == "us" else 0
                self._scan.write(Stream(at(at_s), region, origin, 1, 1, last))
        for writer in (self._writer, self._marks, self._scan):
            writer.close()
        return self.directory


def at(seconds: float) -> int:
    """Seconds of the story on the ledger's clock."""
    return START + round(seconds * S)

"""What a herd that comes back may cost, and whether it did not cost more."""

from dataclasses import dataclass, field

from tests.soak.member import Tally

MIB = 2**20


@dataclass(frozen=True)
class Row:
    """What one return of the herd cost."""

    resumes: int
    took_s: float
    lacking: int
    reads: float
    rss_before: float
    rss_peak: float
    rss_after: float
    refused: int = 0
    retried: int = 0
    other_reads: float = 0  # more than without a herd
    calm_reads_per_s: float = 0
    replayed: float = 0
    ring_bytes: float = 0
    cpu_s: float = 0
    resume_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Bounds:
    """The most that is allowed.

    `reads`: from NATS, of every kind, for each room and origin, beyond those without a herd.
    `rss_mib`: resident memory of the edge, at any moment, whatever the size of the herd.
    """

    back_s: float = 60.0
    reads: float = 5.0
    rss_mib: float = 400.0

    def exceeded(self, clients: int, places: int, rows: dict[str, Row], tally: Tally) -> list[str]:
        """What was more than that, or is wrong at all; empty where nothing is.

        Args:
            clients: of the herd.
            places: pairs of a room and an origin.
            rows: the returns, by name.
            tally: what all of the herd heard.
        """
        found: list[str] = []
        for name, row in rows.items():
            if row.resumes < clients:
                found.append(f"{name}: {row.resumes:,} of {clients:,} resumed")
            if row.took_s > self.back_s:
                found.append(
                    f"{name}: all back after {row.took_s:.1f} s, at most {self.back_s:g} s"
                )
            if row.reads + row.other_reads > self.reads * places:
                each = (row.reads + row.other_reads) / places
                found.append(f"{name}: {each:.2f} reads a room and origin, at most {self.reads:g}")
            if row.rss_peak > self.rss_mib * MIB:
                peak = row.rss_peak / MIB
                found.append(f"{name}: RSS {peak:,.0f} MiB, at most {self.rss_mib:,.0f}")
            if row.lacking:
                found.append(f"{name}: {row.lacking:,} events lacking at the end")
        heard = {
            "missing": tally.missing, "repeated": tally.repeated, "gaps": tally.gaps,
            "problems": len(tally.problems),
        }  # fmt: skip
        return found + [f"{count:,} {what}" for what, count in heard.items() if count]

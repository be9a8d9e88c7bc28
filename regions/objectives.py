"""What a drill has to reach: times, as the topology file sets them. Values only.

Losses are no objective: that nothing is lost, repeated or reordered is not to be set.
"""

from dataclasses import dataclass, fields

MAX_S = 3600.0


@dataclass(frozen=True, slots=True)
class Objectives:
    """Bounds in seconds; a gap is a client's longest wait for an acknowledged event."""

    planned_gap_p99_s: float = 1.0  # drain, rolling deploy, failback
    edge_killed_gap_p99_s: float = 5.0
    edge_hung_gap_p99_s: float = 15.0
    region_lost_gap_p99_s: float = 10.0
    region_lost_gap_max_s: float = 30.0
    current_s: float = 5.0  # until every client is current, after a fault was healed
    rewind_found_s: float = 5.0  # an origin that lost its newest events
    cut_ack_p99_s: float = 2.0  # publishes while links are cut: each region serves alone

    def problem(self) -> str | None:
        """What is wrong with them, if anything."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value <= MAX_S:
                return f"{field.name}: {value:g} is not in 0 to {MAX_S:g}, 0 excluded"
        return None

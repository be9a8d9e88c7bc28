"""What a drill has to reach, as the topology file sets it. Values only.

Losses are no objective: that nothing is lost, repeated or reordered is not to be set. What clients
are told that they will not get is no loss, and has objectives: else telling would do for bringing.
"""

from dataclasses import dataclass, fields

MAX_S = 3600.0


@dataclass(frozen=True, slots=True)
class Objectives:
    """Bounds: in seconds (`_s`), a share that is to be reached (`_min`), a number (`_max`), how
    many times what it was (`_times`).

    A gap is a client's longest wait for an acknowledged event.
    """

    planned_gap_p99_s: float = 1.0  # drain, rolling deploy, failback
    operated_latency_times: float = 2.0  # what latency's p99 may be of what it was, meanwhile
    refused_max: int = 0  # handshakes, for too many at once or in all, while clients are moved
    edge_killed_gap_p99_s: float = 5.0
    edge_hung_gap_p99_s: float = 15.0
    region_lost_gap_p99_s: float = 10.0
    region_lost_gap_max_s: float = 30.0
    current_s: float = 5.0  # until every client is current, after a fault was healed
    rewind_found_s: float = 5.0  # an origin that lost its newest events
    cut_ack_p99_s: float = 2.0  # publishes while links are cut: each region serves alone
    recovered_s: float = 60.0  # until every client is connected and every mirror current
    # Until nobody is away from home, after a lost region returned: that has to last 10 s, then it
    # takes more and more for 60 s (`relay.core.steady`), and clients look every few seconds.
    home_s: float = 90.0
    resume_success_min: float = 1.0  # sessions that went on, of those that came back
    sessions_lost_max: int = 0
    declared_events_max: int = (
        0  # events that clients were told they will not get, over all clients
    )
    lost_by_epoch_max: int = 0  # acknowledged events that an origin lost, with a new epoch for it

    def problem(self) -> str | None:
        """What is wrong with them, if anything."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_max"):
                if value < 0:
                    return f"{field.name}: {value} is negative"
            elif field.name.endswith("_min"):
                if not 0 <= value <= 1:
                    return f"{field.name}: {value:g} is not in 0 to 1"
            elif field.name.endswith("_times"):
                if not value >= 1:
                    return f"{field.name}: {value:g} is less than 1"
            elif not 0 < value <= MAX_S:
                return f"{field.name}: {value:g} is not in 0 to {MAX_S:g}, 0 excluded"
        return None

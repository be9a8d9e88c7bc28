"""What a ledger shows: the checker's verdict, in figures and examples."""

import msgspec

# What must be zero. The texts say what each counts.
RULES = {
    "missing": "events that a client was owed, did not get, and was not told of in time",
    "undeclared_gaps": "runs of such events (one for each client, room and origin)",
    "late_gaps": "events declared missing only after a later one of their room was delivered",
    "lost": "events acknowledged or delivered that their origin's stream does not hold",
    "phantom": "events delivered or stored that nobody published, or whose publish had failed",
    "repeated": "events handed to the application twice",
    "reordered": "events delivered after a later one of the same room and origin",
    "disagreements": "places (origin, epoch, seq) that name different events to different readers",
    "misdelivered": "events delivered to a client that is not in their room",
    "resent": "events sent twice in one session, whose cursor covered them",
    "outside_window": "events replayed from before the session began",
    "miscounted": "RESUMEs without an answer, and RESUMED that do not fit what was sent",
    "stored_twice": "publishes stored twice in one stream within the window of 120 s",
    "mirror_missing": "events of an origin that a mirror of it does not hold",
    "unread": "streams and mirrors that the final scan could not read, or did not look at",
    "undrained": "clients that did not get as far as what was acknowledged, or ended on their own",
}


class Spread(msgspec.Struct, frozen=True):
    """A distribution, in ms, exact to 2 %."""

    count: int = 0
    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0


class Example(msgspec.Struct, frozen=True):
    """One violation in plain words; `where` has the records that show it, as file:line."""

    rule: str
    text: str
    where: tuple[str, ...] = ()


class ClientGap(msgspec.Struct, frozen=True):
    """What a client felt of the faults.

    `gap_ms`: the worst time from the acknowledgement of an event to its delivery. `outage_ms`: the
    longest time from the last frame on a connection that ended to RESUMED or READY on the next.
    """

    client: str
    gap_ms: float
    outage_ms: float = 0.0
    outages: int = 0


class PhaseTimes(msgspec.Struct, frozen=True):
    """A phase: when it began (s from the first record), and what was slow in it.

    `latency_ms`: from the publish to each delivery, of events published in this phase.
    `current_ms`: per client, how long after the phase's begin the last event came that had been
    acknowledged before it. `ack_ms`: from the publish to its acknowledgement, of events published
    in this phase, retries included; what was never acknowledged is not in it.
    """

    name: str
    at_s: float
    latency_ms: Spread = Spread()
    current_ms: Spread = Spread()
    ack_ms: Spread = Spread()


class Findings(msgspec.Struct, frozen=True):
    """The verdict on a ledger: `passed` is true when nothing in `RULES` was found."""

    passed: bool
    history: str  # SHA-256 of the ledger
    records: int
    clients: int
    asked: int
    acked: int
    failed: int
    unknown: int
    delivered: int  # on the wire, repeats included
    replayed: int  # of them, in a resume
    surfaced: int  # handed to applications
    stored: int  # events in the origins' streams
    missing: int
    undeclared_gaps: int
    late_gaps: int
    lost: int
    phantom: int
    repeated: int
    reordered: int
    disagreements: int
    misdelivered: int
    resent: int
    outside_window: int
    miscounted: int
    stored_twice: int
    mirror_missing: int
    unread: int
    undrained: int
    raw_repeats: int  # events that came again on the wire, in this session or in a later one
    declared_gaps: int  # GAPs and lost sessions that clients were told of
    declared_events: int  # events that clients did not get, and were told of in time
    declared: dict[str, int]  # GAPs and lost sessions, by reason
    declared_events_by: dict[str, int]  # by reason
    declared_delivered: int  # events that came after the same session was told that they will not
    lost_by_epoch: int  # acknowledged events that their origin lost, with a new epoch for it
    disconnects: int
    resumes: int
    sessions_lost: int
    sessions_lost_by: dict[str, int]  # by reason
    hit: int  # clients that lost a connection
    gap_ms: Spread  # of all clients: see ClientGap
    gap_hit_ms: Spread  # of those that lost a connection
    outage_ms: Spread  # of those that lost a connection
    phases: tuple[PhaseTimes, ...]
    gaps: tuple[ClientGap, ...]
    examples: tuple[Example, ...]

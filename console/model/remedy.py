"""What is wrong with a stream, and what to do about it, in sentences."""

from console.model.copies import Agreement, copies
from console.model.streams import StreamRow
from console.model.view import FleetView, Freshness
from relay.core.telemetry import ENDED

HEARD_MS = 8_000  # a keeper tells of steering every 2 s
RUNS = "`jetrelay ctl ps`, or `docker compose ps`, says what runs"

SALVAGE = (
    "`jetrelay streams apply --salvage DIR` saves what only it holds, and fills it anew; so does a"
    " keeper with --salvage, and the supervisor of a local world"
)


def remedies(view: FleetView, row: StreamRow) -> list[str]:
    """What to know and to do, the most urgent first; never empty.

    Args:
        view: the fleet.
        row: the stream, in one region.
    """
    if row.freshness is Freshness.GONE:
        return _silent(view, row)
    found = [*_quorum(row), *_mirror(row), *_room(row), *_copies(view, row)]
    return found or ["nothing to do"]


def servers(row: StreamRow) -> list[str]:
    """The servers that hold it, the leader first; none: it stands alone, on one."""
    leader = [row.stream.leader] if row.stream.leader else []
    return [*leader, *(peer.name for peer in row.stream.peers)]


def _silent(view: FleetView, row: StreamRow) -> list[str]:
    region, names = row.region, servers(row)
    edges = [each for each in view.edges if each.region == region and each.state != ENDED]
    said = ", ".join(f"{each.name} {each.state.replace('_', ' ')}" for each in edges[:6])
    steering = view.steering.get(region)
    heard = steering is not None and steering.age_ms <= HEARD_MS
    found = [f"nothing was told of it for {(row.age_ms or 0) // 1000} s"]
    if heard:
        found.append(
            f"JetStream of {region} does not answer, though its NATS carries news: as a rule no"
            " majority of its servers is there"
        )
    found += [f"as told last: {_last(row)}"] if names else []
    found += [f"edges: {said}"] if said else []
    if not heard:
        found.append(f"next: see whether a keeper tells of {region} (docs/alerts.md), and its NATS")
    elif names:
        need = len(names) // 2 + 1
        found.append(f"next: start {need} of {', '.join(names)} at least; {RUNS}")
    else:
        found.append(f"next: look at its server; {RUNS}")
    return found


def _last(row: StreamRow) -> str:
    words = [f"{row.stream.leader} led"] if row.stream.leader else []
    for peer in row.stream.peers:
        word = "was offline" if peer.offline else "was current" if peer.current else "was behind"
        words.append(f"{peer.name} {word}")
    return ", ".join(words)


def _quorum(row: StreamRow) -> list[str]:
    size, missing = len(row.stream.peers) + 1, [*row.offline, *row.behind]
    need = size // 2 + 1
    found = [
        f"{peer.name} is offline"
        if peer.offline
        else f"{peer.name} lacks {peer.lag:,} entries: it catches up, or is gone"
        for peer in row.stream.peers
        if peer.offline or not peer.current
    ]
    if row.stream.peers and not row.stream.leader:
        start = ", ".join(row.offline or row.behind or servers(row))
        return [
            f"it has no leader: nothing is stored until {need} of its {size} servers agree on one",
            *found,
            f"next: start {start}; {RUNS}",
        ]
    if missing:
        spare = size - len(missing) - need
        stand = "one more lost stops it" if spare <= 0 else f"{spare} more may be lost"
        found.append(f"{size - len(missing)} of {size} are current, {need} are needed: {stand}")
        found.append(f"next: start {', '.join(missing)}; {RUNS}")
    return found


def _mirror(row: StreamRow) -> list[str]:
    origin = row.stream.origin
    match row.state:
        case "diverged":
            return [
                f"it holds other events than {origin} under the same sequences",
                f"next: {SALVAGE}",
            ]
        case "wedged":
            lacks = "messages" if row.lacks is None else f"{row.lacks:,} messages"
            return [
                f"it stands still, and lacks {lacks}: edges read them in {origin} meanwhile",
                f"next: see the link to {origin}, and what the keeper of {row.region} logs",
            ]
        case "cut":
            return [
                f"nothing comes from {origin}: nobody here knows how far that is",
                f"next: see whether {origin} lives (screen 1), and the link between the two",
            ]
        case "late":
            return [f"events of {origin} are read {row.lag_ms or 0:,.0f} ms after they were stored"]
    return []


def _room(row: StreamRow) -> list[str]:
    if row.state != "full":
        return []
    what = "nothing more is ordered through its region once it is full"
    if not row.stream.name.startswith("OPS_"):
        what = "what is oldest goes before its time"
    return [
        f"it takes {row.full or 0:.0%} of what it may: {what}",
        "next: give it more room in the topology (docs/topology.md, `streams`)",
    ]


def _copies(view: FleetView, row: StreamRow) -> list[str]:
    found: list[str] = []
    for copy in copies(view, row.stream.name):
        if copy.agreement is Agreement.DIVERGES:
            found.append(copy.why)
            if copy.region != row.region:
                found.append(f"next: `:stream {row.stream.name} {copy.region}`")
        if copy.epoch_differs:
            found.append(
                f"{copy.region} reads it in epoch {copy.epoch:,}, which is over at home: that lasts"
                " seconds as a rule"
            )
    return found

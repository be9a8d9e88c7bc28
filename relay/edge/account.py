"""What an edge says of itself: its telemetry frame, and what `/metrics` has besides."""

from relay import __version__
from relay.core.alarm import Wrong
from relay.core.headcount import Tally
from relay.core.pair import MirrorState
from relay.core.telemetry import EdgeFrame
from relay.edge import clock
from relay.edge.edge import Edge
from relay.edge.feeds import lag_ms
from relay.edge.machine import cpu_s, rss_bytes


def frame_of(edge: Edge) -> EdgeFrame:
    """The telemetry frame of now."""
    gateway, hub, feeds, headcount = edge.gateway, edge.hub, edge.feeds, edge.counting.headcount
    counters, now_ms = gateway.counters, clock.wall_ms()
    return EdgeFrame(
        region=edge.config.region,
        edge=edge.config.edge,
        epoch=edge.epoch,
        frame=edge.frames,
        at_ms=now_ms,
        url=edge.config.url,
        version=__version__,
        state=edge.state,
        nats_connected=edge.bus.connected,
        connections=len(gateway.connections),
        sessions=len(headcount),
        rooms=edge.rooms.held,
        events_in=feeds.events_in,
        events_out=hub.events_out + edge.joining.replayed,
        bytes_out=counters.bytes_out + edge.hub.fanout.bytes_out,
        publishes=edge.publisher.stored,
        publishes_failed=edge.publisher.failed,
        publishes_waiting=edge.publisher.in_flight,
        resumes=counters.resumes,
        resumes_refused=counters.resumes_refused,
        replayed=edge.joining.replayed,
        holes=sum(feed.holes for feed in feeds.feeds.values()),
        closes={str(code): count for code, count in counters.closes.items()},
        refused=dict(counters.refused),
        users=headcount.users,
        changes=headcount.changes,
        opened=dict(headcount.opened),
        closed={str(code): count for code, count in headcount.closed.items()},
        countries=_tallies(headcount.countries),
        transports=_tallies(headcount.transports),
        visits=len(edge.counting.visits.table),
        visits_opened=edge.counting.visits.table.opened,
        visits_ended={str(how): total for how, total in edge.counting.visits.table.ended.items()},
        census=edge.counting.census.result(),
        send_buffer_bytes=sum(c.socket.buffered() for c in gateway.connections),
        loop_lag_ms=round(edge.loop_lag_ms, 1),
        rss_bytes=rss_bytes(),
        cpu_s=round(cpu_s(), 3),
        epochs=hub.epochs(),
        positions=dict(hub.seqs),
        heads={origin: head.seq for origin, (head, _) in feeds.heads.items()},
        lag_ms={o: lag_ms(feeds.marks.get(o), now_ms) for o in edge.copies.origins},
        lag_events={o: pair.lag_events for o, pair in edge.mirrors.pairs.items()},
        mirrors=_mirror_states(edge),
        ordered=edge.standing.known,
        room=edge.config.limits.connections,
        watching=edge.watcher.watching,
        alarms=[str(alarm) for alarm in edge.alarms.standing(clock.now().mono_s)],
    )


def _tallies(tallies: dict[str, Tally]) -> dict[str, tuple[int, int, int]]:
    return {label: (tally.now, tally.opened, tally.closed) for label, tally in tallies.items()}


def _mirror_states(edge: Edge) -> dict[str, str]:
    states = {o: str(pair.state) for o, pair in edge.mirrors.pairs.items()}
    for alarm in edge.alarms.standing(clock.now().mono_s):
        if alarm.region == edge.config.region and alarm.wrong is Wrong.DIVERGED:
            states[alarm.origin] = str(MirrorState.DIVERGED)
    return states


def totals_of(edge: Edge) -> dict[str, tuple[str, float]]:
    """Name -> (help, total) of what is counted and stands in no telemetry frame."""
    feeds = edge.feeds.feeds.values()
    counters = edge.gateway.counters
    return {
        "signals_dropped": (
            "Ephemeral events dropped for slow readers.",
            counters.signals_dropped,
        ),
        "negotiations": ("Answers of /v1/negotiate.", counters.negotiations),
        "negotiations_refused": (
            "Requests of /v1/negotiate that were too many.",
            counters.negotiations_refused,
        ),
        "presence_frames": (
            "Frames of who is there written to clients.",
            edge.presence.viewers.frames,
        ),
        "presence_dropped": (
            "Frames of who is there that a slow reader was not sent; it is told all anew.",
            edge.presence.viewers.dropped,
        ),
        "presence_refused": (
            "Rooms and users at whom a session could not look: there are too many at this edge.",
            edge.presence.viewers.refused,
        ),
        "presence_missed": (
            "Gaps in what other edges said of presence.",
            edge.presence.rosters.missed,
        ),
        "visits_passed_on": (
            "Beats and closes of visits that belong to other edges, told to them.",
            edge.counting.visits.passed_on,
        ),
        "log_batches": ("Batches of comings and goings stored.", edge.counting.logbook.batches),
        "log_late": ("READYs said before they were in the log.", edge.counting.logbook.late),
        "log_lost": (
            "Comings and goings that did not get into the log.",
            edge.counting.logbook.lost,
        ),
        "minutes_written": (
            "Minutes of the region stored by this edge.",
            edge.counting.minutes.written,
        ),
        "takeovers": ("Connections closed for a newer one.", counters.takeovers),
        "errors": ("Failures inside the edge; each is in the log.", counters.errors),
        "poisoned": ("Stored events that could not be sent: a GAP each.", edge.hub.poisoned),
        "undecodable": ("NATS messages that are no events.", edge.feeds.undecodable),
        "handler_errors": (
            "NATS messages that broke their handler.",
            edge.bus.live.handler_errors + edge.bus.work.handler_errors,
        ),
        "feed_overflows": (
            "Times that live events outgrew their buffer during a repair.",
            sum(feed.overflows for feed in feeds),
        ),
        "skipped_by_mirrors": ("Events found missing in mirrors.", edge.copies.found),
        "skipped_live": (
            "Sequences that the region's live feed jumped over, found by its watcher.",
            edge.watcher.skipped,
        ),
        "unheard": (
            "Events delivered after the live feed had passed over them.",
            edge.mirrors.unheard,
        ),
        "holes_recorded": ("Holes recorded for cursors issued here.", edge.holes.recorded),
        "tail_repaired": ("Events written back to the home stream.", edge.gate.repaired),
        "writes": (
            "Writes of events to clients; what comes together is one.",
            edge.hub.fanout.writes,
        ),
        "debts_dropped": (
            "Regions that may owe a session something, and for which its cursors have no room.",
            edge.owing.dropped,
        ),
        "fanout_pressed": (
            "Times that more events came than may wait for a room to be written.",
            edge.hub.fanout.pressed,
        ),
        "markers": ("Markers stored by this edge.", edge.marks.written),
        "reads": ("Reads from NATS for the edge itself.", edge.bus.reader.reads),
        "replay_reads": ("Reads from NATS for sessions.", edge.bus.replays.reads),
        "replay_reads_shared": (
            "Waits for a read that somebody else had begun.",
            edge.replays.shared + edge.pages.shared,
        ),
        "replays_streamed": ("Ranges too large for a ring.", edge.replays.streamed),
        "budget_gaps": ("GAPs of replays past their budget.", edge.joining.budget_gaps),
        "ring_hits": ("Ranges of a room that its ring held.", edge.rings.hits),
        "ring_misses": ("Ranges of a room that its ring did not hold.", edge.rings.misses),
        "history_from_rings": (
            "Newest events of one room and origin that its ring held.",
            edge.history.held,
        ),
        "ring_evicted": ("Events dropped from rings for a bound.", edge.rings.evicted),
    }


def levels_of(edge: Edge) -> dict[str, tuple[str, float]]:
    """Name -> (help, value now) of what is held and stands in no telemetry frame."""
    return {
        "fanout_waiting": (
            "Frames, and writes to clients, that wait in the fan-out.",
            edge.hub.fanout.waiting,
        ),
        "visits_waiting": (
            "Beats and closes that other edges are not told of yet.",
            edge.counting.visits.waiting,
        ),
        "log_waiting": (
            "Comings and goings that are not stored yet.",
            edge.counting.logbook.waiting,
        ),
        "presence_scopes": (
            "Rooms and users of which a roster is kept.",
            edge.presence.viewers.scopes,
        ),
        "presence_edges": ("Other edges whose presence is known.", edge.presence.rosters.edges),
        "attendants": (
            "Sessions that are present, those in their grace time included.",
            len(edge.presence.attendance),
        ),
        "ring_bytes": ("Bytes held in rings.", edge.rings.bytes),
        "ring_events": ("Events held in rings.", edge.rings.events),
        "lingering_rooms": ("Rooms kept open without members.", edge.rooms.lingering),
    }

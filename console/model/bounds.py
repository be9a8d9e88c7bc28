"""What a frame may hold: an edge that is broken or hostile can't make the console grow or fail."""

from collections.abc import Mapping

from relay.core.pair import MirrorState
from relay.core.telemetry import EdgeFrame

MAX_NAME = 64  # characters
MAX_TEXT = 300  # characters of an address, a version, a state
MAX_LABEL = 2 * MAX_NAME + 1  # characters of a label: region/edge is the longest
MAX_ORIGINS = 32  # regions that one frame may speak of
MAX_NUMBER = 2**63
MAX_LABELS = 1_000  # of one table: countries are the most, 676 codes at most
MAX_ALARMS = 64
MAX_ALARM = 200  # characters
MIRROR_STATES = frozenset(MirrorState)


def is_sound(frame: EdgeFrame) -> bool:
    """Whether every name is short, every number in range, and every table small."""
    return (
        all(0 < len(name) <= MAX_NAME for name in (frame.region, frame.edge))
        and all(len(text) <= MAX_TEXT for text in (frame.url, frame.version, frame.state))
        and all(_is_sound_table(table) for table in _tables(frame))
        and all(0 <= number < MAX_NUMBER for number in _numbers(frame))
        and len(frame.lag_ms) <= MAX_ORIGINS
        and all(0 < len(origin) <= MAX_NAME for origin in frame.lag_ms)
        and all(lag is None or -MAX_NUMBER < lag < MAX_NUMBER for lag in frame.lag_ms.values())
        and frame.mirrors.keys() <= frame.lag_ms.keys()
        and frame.lag_events.keys() <= frame.lag_ms.keys()
        and all(state in MIRROR_STATES for state in frame.mirrors.values())
        and all(0 <= events < MAX_NUMBER for events in frame.lag_events.values())
        and len(frame.alarms) <= MAX_ALARMS
        and all(len(alarm) <= MAX_ALARM for alarm in frame.alarms)
    )


def _is_sound_table(table: Mapping[str, object]) -> bool:
    return (
        len(table) <= MAX_LABELS
        and all(len(label) <= MAX_LABEL for label in table)
        and all(0 <= each < MAX_NUMBER for each in table.values() if isinstance(each, int))
        and all(
            0 <= each < MAX_NUMBER
            for several in table.values()
            if isinstance(several, tuple)
            for each in several
        )
    )


def _tables(frame: EdgeFrame) -> tuple[Mapping[str, object], ...]:
    return (
        frame.closes,
        frame.refused,
        frame.epochs,
        frame.positions,
        frame.heads,
        frame.opened,
        frame.closed,
        frame.countries,
        frame.transports,
        frame.visits_ended,
        frame.ordered,
        frame.census.regions if frame.census is not None else {},
    )


def _numbers(frame: EdgeFrame) -> tuple[float, ...]:
    return (
        frame.epoch,
        frame.frame,
        frame.at_ms,
        frame.connections,
        frame.room,
        frame.sessions,
        frame.users,
        frame.visits,
        frame.rooms,
        frame.events_in,
        frame.events_out,
        frame.publishes,
        frame.publishes_failed,
        frame.publishes_waiting,
        frame.bytes_out,
        frame.resumes,
        frame.resumes_refused,
        frame.replayed,
        frame.holes,
        frame.send_buffer_bytes,
        frame.loop_lag_ms,
        frame.rss_bytes,
        frame.cpu_s,
    )

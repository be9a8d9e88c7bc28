"""What a client has counted since it was made: plain integers."""

from dataclasses import dataclass


@dataclass(slots=True)
class Stats:
    """Counters of one client; read them at any time."""

    frames: int = 0  # payloads received
    received: int = 0  # durable events handed on, after removing duplicates
    signals: int = 0
    duplicates: int = 0  # durable events dropped as already seen
    gaps: int = 0
    lost: int = 0  # sessions that could not be continued
    connects: int = 0  # sockets that became ready
    disconnects: int = 0
    attempts: int = 0  # sockets tried
    resumes: int = 0
    replayed: int = 0  # as RESUMED said
    published: int = 0  # acknowledged
    retried: int = 0  # publishes sent again
    failed: int = 0  # publishes refused, unknown or not sent
    stalls: int = 0  # times that reading waited for the application

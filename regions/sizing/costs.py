"""What each thing costs, as it was measured on 2026-12-01: `python -m tests.bench.costs`, and for
`write_us` `make peers`. CPU times are µs of one core (AMD EPYC): yours may take half, or twice.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Costs:
    """Of an edge, unless it says another."""

    edge_base: float = 0.013  # of a core, with nobody there
    edge_base_mib: float = 62.0
    connection_kib: float = 8.4  # identified, in one room, JSON
    kernel_kib: float = 4.3  # of the kernel's memory, for its socket
    room_kib: float = 6.1  # that somebody is in, or was within a minute
    idle_us_a_s: float = 14.0  # a second of a connection that only beats
    handshake_us: float = 690.0  # with IDENTIFY, one room and the record of who came
    write_us: float = 10.0  # of an event to one member: mostly the kernel's send
    heard_us: float = 265.0  # an event from NATS, with one write
    published_us: float = 365.0  # a PUBLISH stored and acknowledged
    framed_bytes: int = 305  # of a MESSAGE besides its data: JSON, three regions
    nats_base: float = 0.017  # of a core: one region's server, and nothing to do
    nats_stored_us: float = 540.0  # an event: stored, on disk, sent to one mirror and said again
    nats_mirrored_us: float = 340.0  # an event of another region: the same of its copy
    stored_bytes: int = 220  # of an event besides its data


COSTS = Costs()

"""What a crowd is told, and the names that follow from it. Values only."""

from pathlib import Path

import msgspec

from regions.errors import LedgerError

SPEC_FILE = "crowd.json"  # beside the records


class CrowdSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A crowd: `clients` in `rooms` rooms, of whom some publish `rate` events/s in all."""

    run: str  # begins the names of its rooms and clients; new for each run in a world
    seed: int = 1
    clients: int = 300
    rooms: int = 30
    rooms_each: int = 3
    publishers: float = 0.5  # share of the clients
    rate: float = 200.0
    padding_bytes: int = 64
    msgpack: float = 0.0  # share of the clients that speak msgpack
    regions: tuple[str, ...] = ()  # where their homes are; all without
    ramp_per_s: float = 100.0  # connections
    home_after_s: float = 60.0
    dedup_events: int = 8_192  # that each client's library remembers, at 200 bytes
    waiting: int = 50  # publishes without an answer, per client; then it skips its turn
    processes: int = 1


def room_names(spec: CrowdSpec) -> list[str]:
    """The crowd's rooms."""
    return [f"{spec.run}:{number}" for number in range(spec.rooms)]


def client_names(spec: CrowdSpec) -> list[str]:
    """The crowd's clients, which are their users' names, too."""
    return [f"{spec.run}-{number}" for number in range(spec.clients)]


def read_spec(ledger: Path) -> CrowdSpec | None:
    """What the crowd was told whose records stand in the directory `ledger`, where that is known.

    Raises:
        LedgerError: the file that says it can't be read.
    """
    path = ledger / SPEC_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=CrowdSpec)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise LedgerError(f"{path}: {error}") from error

"""Which faults are in effect, and to which connection each belongs. Values only."""

from dataclasses import dataclass
from itertools import count

from regions.control import Client
from regions.faults.fault import Fault, Held
from regions.faults.flow import Change, Pair

_NOTHING = Change()


@dataclass(frozen=True, slots=True)
class Effects:
    """What a fault does that other faults may do as well: it ends when the last of them does."""

    pairs: tuple[Pair, ...] = ()
    change: Change = _NOTHING
    down: tuple[str, ...] = ()  # processes that shall not run
    paused: tuple[str, ...] = ()  # processes that shall stand still


@dataclass(frozen=True, slots=True)
class Lease:
    """A fault that is in effect until its connection ends."""

    number: int
    client: Client
    fault: Fault
    effects: Effects
    text: str

    def held(self, at_s: float, healed_s: float | None = None, failed: str | None = None) -> Held:
        """As the one who asked is told."""
        return Held(self.number, self.text, at_s, self.client.pid, healed_s, failed)


class Leases:
    """The faults in effect, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._leases: dict[int, Lease] = {}
        self._since_s: dict[int, float] = {}
        self._numbers = count(1)

    def add(self, client: Client, fault: Fault, effects: Effects, text: str) -> Lease:
        """A new one."""
        lease = Lease(next(self._numbers), client, fault, effects, text)
        self._leases[lease.number] = lease
        return lease

    def began(self, lease: Lease, at_s: float) -> None:
        """It is in effect."""
        self._since_s[lease.number] = at_s

    def remove(self, lease: Lease) -> None:
        """It is not in effect any more."""
        self._leases.pop(lease.number, None)
        self._since_s.pop(lease.number, None)

    def get(self, number: int) -> Lease | None:
        """The one with that number."""
        return self._leases.get(number)

    def of(self, client: Client) -> list[Lease]:
        """Those of one connection, the newest first: they are healed in this order."""
        return [one for one in reversed(self._leases.values()) if one.client == client]

    def held(self) -> list[Held]:
        """All that are in effect."""
        return [
            lease.held(self._since_s[number])
            for number, lease in self._leases.items()
            if number in self._since_s
        ]

    def changes(self) -> list[tuple[tuple[Pair, ...], Change]]:
        """What they make of the links."""
        return [
            (lease.effects.pairs, lease.effects.change)
            for lease in self._leases.values()
            if lease.effects.pairs
        ]

    def down(self) -> set[str]:
        """The processes that shall not run."""
        return {name for lease in self._leases.values() for name in lease.effects.down}

    def paused(self) -> set[str]:
        """The processes that shall stand still."""
        return {name for lease in self._leases.values() for name in lease.effects.paused}

"""How much one request may have replayed: what is past it is declared, not sent."""

from dataclasses import dataclass


@dataclass(slots=True)
class Budget:
    """Events and bytes that may still be sent."""

    events: int
    bytes: int

    def part(self, among: int) -> "Budget":
        """A fair part, for one of `among` that still have to be served; taken out of this."""
        part = Budget(self.events // max(among, 1), self.bytes // max(among, 1))
        self.events -= part.events
        self.bytes -= part.bytes
        return part

    def give_back(self, part: "Budget") -> None:
        """What a part did not need."""
        self.events += part.events
        self.bytes += part.bytes

    def take(self, size: int) -> bool:
        """Whether an event of `size` bytes may be sent; it is spent then."""
        if self.events < 1 or self.bytes < size:
            return False
        self.events -= 1
        self.bytes -= size
        return True

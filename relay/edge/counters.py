"""Plain integers that the hot path counts in; telemetry and `/metrics` read them."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Totals since the edge's start."""

    connections: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # handshakes, by reason
    closes: Counter[int] = field(default_factory=Counter)  # by close code
    resumes: int = 0
    resumes_refused: int = 0
    takeovers: int = 0
    bytes_out: int = 0
    signals_dropped: int = 0
    negotiations: int = 0
    negotiations_refused: int = 0  # since too many came
    errors: int = 0

"""Whether this edge still has its NATS: its own beat comes back, and its record is stored.

A connection that is up proves little: a server may be paused, its answers lost, its disk full. An
edge without its NATS keeps its clients for a while, since most such outages are restarts or
elections; then it sends them elsewhere.
"""

from relay.edge.peers import ALIVE_S, BEAT_S

RECORD_S = 1.0  # between records
# Within which a connection that is back shows life: a record that was under way fails after 2 s,
# the next one begins a second later.
GRACE_S = 4.0


class Lifeline:
    """The time since the edge's own beat came back, and since JetStream stored something of it.

    A connection that is up again is no life yet: a server that dies each time it has started would
    hold clients for ever. An outage ends when both have come after it.

    Args:
        patience_s: how long clients are kept without NATS.
        now_s: seconds of a monotonic clock.
    """

    def __init__(self, patience_s: float, now_s: float) -> None:
        self._patience_s = patience_s
        self._heard_s = now_s
        self._stored_s = now_s
        self._lost_s: float | None = None  # when the outage began
        self._back_s: float | None = None  # when the connection was up again, in an outage

    def heard(self, now_s: float) -> None:
        """The edge's own beat came back."""
        self._heard_s = now_s

    def stored(self, now_s: float) -> None:
        """JetStream stored the edge's record, as it does once a second."""
        self._stored_s = now_s

    def look(self, now_s: float, *, connected: bool) -> None:
        """Whether the connections to NATS are up now."""
        if not connected:
            self._lost_s = now_s if self._lost_s is None else self._lost_s
            self._back_s = None
        elif self._lost_s is not None:
            self._back_s = now_s if self._back_s is None else self._back_s
            if min(self._heard_s, self._stored_s) >= self._back_s:
                self._lost_s = self._back_s = None

    def silent(self, now_s: float) -> bool:
        """Whether nothing has come back for longer than an edge is taken to live."""
        return now_s - min(self._heard_s, self._stored_s) > ALIVE_S

    def cut(self, now_s: float) -> bool:
        """Whether clients are to go elsewhere."""
        if self._back_s is not None and now_s - self._back_s <= GRACE_S:
            return False
        due_s = min(self._heard_s + BEAT_S, self._stored_s + RECORD_S)
        since_s = due_s if self._lost_s is None else min(self._lost_s, due_s)
        return now_s - since_s > self._patience_s

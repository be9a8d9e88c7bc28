"""How long events took: by phase, and what each client felt of a fault."""

from bisect import bisect_right
from collections import defaultdict

from regions.ledger.findings import ClientGap, PhaseTimes
from regions.ledger.sessions import Sessions
from regions.ledger.table import Event
from regions.ledger.tally import Times, spread_of

FAULT = "fault"  # the phase from which on gaps count; all where there is none of that name


class Timing:
    """Takes every event that was new to a client.

    Args:
        sessions: whose phases and outages to use: complete.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._phases = sorted(sessions.phases)
        self._begins = [t for t, _ in self._phases]
        faults = [t for t, name in self._phases if name == FAULT]
        self._since = faults[0] if faults else 0
        self._latency: dict[int, Times] = defaultdict(Times)
        self._gaps: dict[str, int] = dict.fromkeys(sessions.lives, 0)
        self._current: dict[int, dict[str, int]] = defaultdict(dict)  # phase -> client -> ns
        self._acks: dict[int, Times] = defaultdict(Times)

    def came(self, client: str, event: Event, t: int) -> None:
        """`client` got an event at `t` for the first time."""
        publish = event.publish
        if publish is None:
            return
        self._latency[bisect_right(self._begins, publish.t) - 1].add(t - publish.t)
        acked = event.acked_t
        if not acked or t <= acked or t < self._since:
            return
        if t - acked > self._gaps.get(client, 0):
            self._gaps[client] = t - acked
        for phase in range(bisect_right(self._begins, acked), bisect_right(self._begins, t)):
            late = self._current[phase]
            late[client] = max(late.get(client, 0), t - self._begins[phase])

    def acked(self, asked_t: int, t: int) -> None:
        """What was published at `asked_t` was acknowledged at `t`."""
        self._acks[bisect_right(self._begins, asked_t) - 1].add(t - asked_t)

    def phases(self) -> tuple[PhaseTimes, ...]:
        """The phases in their order; what came before the first mark is no phase."""
        zero, clients = self._sessions.first_t or 0, self._sessions.lives
        return tuple(
            PhaseTimes(
                name,
                round((t - zero) / 1e9, 3),
                self._latency[index].spread(),
                spread_of([self._current[index].get(client, 0) for client in clients]),
                self._acks[index].spread(),
            )
            for index, (t, name) in enumerate(self._phases)
        )

    def gaps(self) -> tuple[ClientGap, ...]:
        """What each client felt."""
        return tuple(
            ClientGap(
                client,
                round(self._gaps.get(client, 0) / 1e6, 3),
                round(max(life.outages, default=0) / 1e6, 3),
                len(life.outages),
            )
            for client, life in sorted(self._sessions.lives.items())
        )

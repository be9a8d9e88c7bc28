"""The rosters that an edge keeps, from what all edges say: whom to believe, and whom to ask.

An edge numbers what it says. Who misses a number, hears of an edge late, or opens a scope, lacks
what that edge said before: he asks it, and until the answer comes, what else it says of the scope
is in the answer already. Values only: times are of the monotonic clock, in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.core.presence import EVERYWHERE, Changes, Scope, Shown
from relay.core.roster import Roster

ALIVE_S = 6.0  # an edge says something every window of 2 s
GONE_S = 10.0  # then those who were there have resumed elsewhere, or are offline
ASK_AGAIN_S = 1.0

Source = tuple[str, str, int]  # region, edge, and the Unix ms of its start


@dataclass(slots=True, eq=False)
class _Edge:
    heard_s: float
    number: int  # of the newest thing it said
    lacking: dict[Scope, float] = field(default_factory=dict)  # when it was asked; 0: not yet
    # Of a scope that comes in pieces: which, as of which number, and who was named so far.
    pieces: tuple[Scope, int, dict[str, Shown]] | None = None
    replaced: bool = False  # by a later start; who was there ends in his time

    def put_together(
        self, scope: Scope, number: int, members: Mapping[str, Shown], total: int
    ) -> Mapping[str, Shown] | None:
        """All members of a scope, once all pieces are there."""
        if not total:
            return members
        if self.pieces is None or self.pieces[:2] != (scope, number):
            self.pieces = (scope, number, {})
        self.pieces[2].update(members)
        if len(self.pieces[2]) < total:
            return None
        whole, self.pieces = self.pieces[2], None
        return whole


class Rosters:
    """All scopes that somebody here looks at."""

    def __init__(self, me: Source) -> None:
        self.rosters: dict[Scope, Roster] = {}
        self.missed = 0  # times that an edge's numbers had a gap
        self._me = me
        self._edges: dict[Source, _Edge] = {}
        self._newest: dict[tuple[str, str], int] = {}  # epoch
        self._touched: dict[Scope, None] = {}  # rooms
        self._touched_users: dict[Scope, None] = {}
        self._watched: dict[str, set[str]] = {}  # tenant -> users whose scope is open
        self.whole_s = float("-inf")  # monotonic: every edge that lives has been heard by then

    # --- who looks -----------------------------------------------------------------------------

    def open(self, scope: Scope, mine: Mapping[str, Shown]) -> None:
        """Keep a roster of a scope; `mine`: what this edge said of it."""
        if scope in self.rosters:
            return
        roster = self.rosters[scope] = Roster()
        roster.replace(self._me, mine)
        roster.take()
        tenant, name = scope
        if name.startswith(EVERYWHERE):
            self._watched.setdefault(tenant, set()).add(name[1:])
        for edge in self._edges.values():
            if not edge.replaced:  # it does not answer any more
                edge.lacking[scope] = 0.0

    def close(self, scope: Scope) -> None:
        """Keep it no more."""
        self.rosters.pop(scope, None)
        self._touched.pop(scope, None)
        self._touched_users.pop(scope, None)
        tenant, name = scope
        if name.startswith(EVERYWHERE):
            users = self._watched.get(tenant, set())
            users.discard(name[1:])
            if not users:
                self._watched.pop(tenant, None)
        for edge in self._edges.values():
            edge.lacking.pop(scope, None)

    def complete(self, scope: Scope, now_s: float) -> bool:
        """Whether every edge that is alive has said who is there."""
        return now_s >= self.whole_s and not any(
            scope in edge.lacking for edge in self._edges.values() if now_s - edge.heard_s < ALIVE_S
        )

    def touched(self) -> list[Scope]:
        """The rooms in which something changed since this was asked before."""
        found = list(self._touched)
        self._touched.clear()
        return found

    def touched_users(self) -> list[Scope]:
        """The single users of whom something changed since this was asked before."""
        found = list(self._touched_users)
        self._touched_users.clear()
        return found

    def touch(self, scope: Scope) -> None:
        """Not all of it was passed on: it is in `touched`, or `touched_users`, again."""
        if scope in self.rosters:
            single = scope[1].startswith(EVERYWHERE)
            (self._touched_users if single else self._touched)[scope] = None

    # --- what edges say ------------------------------------------------------------------------

    def mine(self, changes: Mapping[Scope, Changes]) -> None:
        """This edge said it."""
        self._apply(self._me, None, changes)

    def hear(
        self, source: Source, number: int, changes: Mapping[Scope, Changes], now_s: float
    ) -> None:
        """Another edge said it: the `number`-th thing since its start."""
        region, name, epoch = source
        if epoch < self._newest.get((region, name), 0):
            return  # of a process that was replaced
        self._newest[region, name] = epoch
        edge = self._edges.get(source)
        if edge is None:
            for (*place, _), older in self._edges.items():
                if place == [region, name]:
                    older.replaced, older.lacking = True, {}
            edge = self._edges[source] = _Edge(now_s, number)
            if number > 1:
                edge.lacking = dict.fromkeys(self.rosters, 0.0)
        elif number <= edge.number:
            return
        elif number > edge.number + 1:
            self.missed += 1
            edge.lacking = dict.fromkeys(self.rosters, 0.0)
        edge.heard_s, edge.number = now_s, number
        self._apply(source, edge, changes)

    def _apply(self, source: Source, edge: _Edge | None, changes: Mapping[Scope, Changes]) -> None:
        for scope, users in changes.items():
            if scope[1] == EVERYWHERE:
                self._apply_everywhere(source, edge, scope[0], users)
            else:
                self._apply_one(source, edge, scope, users)

    def _apply_everywhere(
        self, source: Source, edge: _Edge | None, tenant: str, users: Changes
    ) -> None:
        watched = self._watched.get(tenant, set())
        for user in sorted(watched.intersection(users)):
            self._apply_one(source, edge, (tenant, EVERYWHERE + user), {user: users[user]})

    def _apply_one(self, source: Source, edge: _Edge | None, scope: Scope, users: Changes) -> None:
        roster = self.rosters.get(scope)
        if roster is None or (edge is not None and scope in edge.lacking):
            return
        roster.apply(source, users)
        self._noted(scope, roster)

    def answer(
        self,
        source: Source,
        number: int,
        scopes: Mapping[Scope, Mapping[str, Shown]],
        total: int = 0,
    ) -> None:
        """An edge was asked: who is there, as of the `number`-th thing that it said.

        Args:
            source: who answers.
            number: of its things.
            scopes: all of each; or a piece of one,
            total: with so many users.
        """
        edge = self._edges.get(source)
        if edge is None:
            return
        for scope, members in scopes.items():
            if scope not in edge.lacking:
                continue
            if number < edge.number:
                edge.lacking[scope] = 0.0  # something of it was passed over meanwhile
            elif (whole := edge.put_together(scope, number, members, total)) is not None:
                del edge.lacking[scope]
                roster = self.rosters[scope]
                roster.replace(source, whole)
                self._noted(scope, roster)

    def _noted(self, scope: Scope, roster: Roster) -> None:
        if roster.told:
            self.touch(scope)

    # --- time ----------------------------------------------------------------------------------

    def asks(self, now_s: float) -> dict[Source, list[Scope]]:
        """Whom to ask now, and for what: they count as asked."""
        found: dict[Source, list[Scope]] = {}
        for source, edge in self._edges.items():
            if now_s - edge.heard_s >= ALIVE_S:
                continue
            scopes = [s for s, at in edge.lacking.items() if not at or now_s - at >= ASK_AGAIN_S]
            edge.lacking.update(dict.fromkeys(scopes, now_s))
            if scopes:
                found[source] = scopes
        return found

    def sweep(self, now_s: float, hearing_since_s: float) -> None:
        """Edges that have not been heard for long are gone, with all who were there.

        Args:
            now_s: now.
            hearing_since_s: since when this edge itself hears anything: before, silence says
                nothing of others.
        """
        for source, edge in list(self._edges.items()):
            if now_s - max(edge.heard_s, hearing_since_s) < GONE_S:
                continue
            del self._edges[source]
            for scope, roster in self.rosters.items():
                roster.drop(source)
                self._noted(scope, roster)
        known = {(region, name) for region, name, _ in self._edges}
        for place in [place for place in self._newest if place not in known]:
            del self._newest[place]

    @property
    def edges(self) -> int:
        """Edges heard of, orphans of a start before included."""
        return len(self._edges)

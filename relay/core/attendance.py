"""Who is at this edge: its sessions in, the net change of each window out.

A session is in rooms, and in the scope `~`, in which every user is, wherever he is. What was said
of a scope stands in `said`: that is the snapshot.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from relay.core.presence import EVERYWHERE, Changes, Scope, Shown, most_present

MOVED_S = 4.0  # a session that was resumed elsewhere: its new edge has said so by then


@dataclass(slots=True, eq=False)
class _Attendant:
    """One session."""

    tenant: str
    user: str
    shown: Shown | None  # None: invisible, or not known
    sure: bool  # whether somebody has said how it is to be seen
    moved: bool = False  # resumed elsewhere: what it shows may change there
    rooms: set[str] = field(default_factory=set)
    until_s: float | None = None  # without a connection, it stays until then

    def scopes(self) -> Iterable[Scope]:
        yield (self.tenant, EVERYWHERE)
        for room in self.rooms:
            yield (self.tenant, room)


class Attendance:
    """The sessions of one edge. Times are of the monotonic clock, in seconds."""

    def __init__(self) -> None:
        self.said: dict[Scope, dict[str, Shown]] = {}
        self._sessions: dict[str, _Attendant] = {}
        self._here: dict[Scope, dict[str, list[_Attendant]]] = {}
        self._changed: dict[Scope, dict[str, None]] = {}  # ordered, so that a seed repeats
        self._leaving: list[tuple[float, str]] = []  # heap of (until_s, session)

    def __len__(self) -> int:
        return len(self._sessions)

    def enter(
        self,
        session: str,
        tenant: str,
        user: str,
        shown: Shown | None,
        rooms: Iterable[str],
        *,
        sure: bool = True,
    ) -> None:
        """A session has begun, or has come back, in these rooms.

        Args:
            session: its id.
            tenant: of the user.
            user: whose it is.
            shown: what it shows; None: nothing.
            rooms: all that it is in.
            sure: else what it shows is not known, and stays what it was here; nothing, at first.
        """
        attendant = self._sessions.get(session)
        if attendant is None:
            attendant = self._sessions[session] = _Attendant(tenant, user, None, sure=False)
            self._add(attendant, (tenant, EVERYWHERE))
        attendant.until_s, attendant.moved = None, False
        if sure:
            self.show(session, shown)
        wanted = set(rooms)
        for room in sorted(attendant.rooms - wanted):
            self.leave(session, room)
        for room in sorted(wanted - attendant.rooms):
            self.join(session, room)

    def shown(self, session: str) -> Shown | None:
        """What a session shows; None too where it is not known."""
        attendant = self._sessions.get(session)
        return None if attendant is None else attendant.shown

    def sure(self, session: str) -> bool:
        """Whether it is here, with or without a connection, and it is known what it showed here."""
        attendant = self._sessions.get(session)
        return attendant is not None and attendant.sure

    def moved(self, session: str) -> bool:
        """Whether it is here still, and was resumed elsewhere."""
        attendant = self._sessions.get(session)
        return attendant is not None and attendant.moved

    def join(self, session: str, room: str) -> None:
        """It is in a room now."""
        attendant = self._sessions.get(session)
        if attendant is not None and room not in attendant.rooms:
            attendant.rooms.add(room)
            self._add(attendant, (attendant.tenant, room))

    def leave(self, session: str, room: str) -> None:
        """It is in a room no more."""
        attendant = self._sessions.get(session)
        if attendant is not None and room in attendant.rooms:
            attendant.rooms.discard(room)
            self._remove(attendant, (attendant.tenant, room))

    def show(self, session: str, shown: Shown | None) -> None:
        """It shows something else; None: nothing."""
        attendant = self._sessions.get(session)
        if attendant is None:
            return
        attendant.sure = True
        if attendant.shown == shown:
            return
        attendant.shown = shown
        for scope in attendant.scopes():
            self._touch(scope, attendant.user)

    def end(self, session: str, now_s: float, grace_s: float) -> None:
        """Its connection is gone. It stays for `grace_s`, or less if that was said before."""
        attendant = self._sessions.get(session)
        if attendant is None:
            return
        until_s = now_s + grace_s
        if attendant.until_s is not None and attendant.until_s <= until_s:
            return
        attendant.until_s = until_s
        heapq.heappush(self._leaving, (until_s, session))

    def move(self, session: str, now_s: float) -> None:
        """It was resumed elsewhere: it stays until its new edge has said so, and no longer however
        often it is told; also where its time here was nearly over.
        """
        attendant = self._sessions.get(session)
        if attendant is not None and not attendant.moved:
            attendant.moved, attendant.until_s = True, None
            self.end(session, now_s, MOVED_S)

    def clear(self) -> None:
        """All sessions are gone at once: while the edge stood still, its word ran out."""
        for session in list(self._sessions):
            self._drop(session)
        self._leaving.clear()

    def window(self, now_s: float) -> dict[Scope, Changes]:
        """What has changed since the last window, net: that is said from now on."""
        while self._leaving and self._leaving[0][0] <= now_s:
            until_s, session = heapq.heappop(self._leaving)
            attendant = self._sessions.get(session)
            if attendant is not None and attendant.until_s == until_s:
                self._drop(session)
        found: dict[Scope, Changes] = {}
        for scope, users in self._changed.items():
            changes = self._settle(scope, users)
            if changes:
                found[scope] = changes
        self._changed.clear()
        return found

    def snapshot(self, scopes: Iterable[Scope]) -> dict[Scope, Mapping[str, Shown]]:
        """What was said of those scopes in which anybody is; of `~user`, of that user."""
        found: dict[Scope, Mapping[str, Shown]] = {}
        for scope in scopes:
            tenant, name = scope
            if not name.startswith(EVERYWHERE):
                members: Mapping[str, Shown] | None = self.said.get(scope)
            else:
                user = name[1:]
                shown = self.said.get((tenant, EVERYWHERE), {}).get(user)
                members = None if shown is None else {user: shown}
            if members:
                found[scope] = members
        return found

    def _settle(self, scope: Scope, users: Iterable[str]) -> Changes:
        here = self._here.get(scope, {})
        said = self.said.setdefault(scope, {})
        changes: Changes = {}
        for user in users:
            now = most_present(one.shown for one in here.get(user, ()))
            if now == said.get(user):
                continue
            changes[user] = now
            if now is None:
                del said[user]
            else:
                said[user] = now
        if not said:
            del self.said[scope]
        return changes

    def _drop(self, session: str) -> None:
        attendant = self._sessions.pop(session)
        for scope in attendant.scopes():
            self._remove(attendant, scope)

    def _add(self, attendant: _Attendant, scope: Scope) -> None:
        self._here.setdefault(scope, {}).setdefault(attendant.user, []).append(attendant)
        self._touch(scope, attendant.user)

    def _remove(self, attendant: _Attendant, scope: Scope) -> None:
        users = self._here[scope]
        users[attendant.user].remove(attendant)
        if not users[attendant.user]:
            del users[attendant.user]
        if not users:
            del self._here[scope]
        self._touch(scope, attendant.user)

    def _touch(self, scope: Scope, user: str) -> None:
        self._changed.setdefault(scope, {})[user] = None

"""Who looks at whom at this edge, and the frames that tell them.

A room's viewers share each PRESENCE_BATCH, encoded once per encoding. One who reads too slowly is
passed over, and is told everything anew when he reads again.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.config import Limits
from relay.core.codes import EventName, Op
from relay.core.presence import EVERYWHERE, Changes, Scope, Shown
from relay.core.roster import Roster
from relay.core.rosters import Rosters
from relay.core.wire import Codec, Payload
from relay.edge import clock
from relay.edge.frames import frame
from relay.edge.seat import NOBODY, Seat

_log = logging.getLogger("jetrelay.viewers")

FIRST_S = 1.0  # a first list waits so long for the answers of other edges
SLICE = 256  # writes between two turns of the loop
OFFLINE = "offline"
COUNTED_UNTIL = 0.9  # of the bound: a room that hovers about it is not listed again and again


@dataclass(slots=True, eq=False)
class _View:
    """The viewers of one scope."""

    scope: Scope
    seats: set[Seat] = field(default_factory=set)
    fresh: dict[Seat, float] = field(default_factory=dict)  # have got nothing yet; since when
    stale: set[Seat] = field(default_factory=set)  # are told everything anew
    partial: set[Seat] = field(default_factory=set)  # were told a part of the room only
    total: int = 0  # that was told last
    counted: bool = False  # it is so large that only that is told
    recount: bool = False  # somebody was told another one since
    left_s: float | None = None  # since when nobody looks
    pages: dict[str, bytes] = field(default_factory=dict)  # the first list, per encoding
    version: int = -1  # of the roster that the pages show
    window: int = 0  # that they name


class Viewers:
    """All views of an edge.

    Args:
        rosters: who is where, as all edges say.
        mine: what this edge said of a scope.
        limits: bounds.
    """

    def __init__(
        self,
        rosters: Rosters,
        mine: Callable[[Scope], Mapping[str, Shown]],
        limits: Limits,
    ) -> None:
        self._rosters = rosters
        self._mine = mine
        self._limits = limits
        self._views: dict[Scope, _View] = {}
        self._waiting: dict[Scope, None] = {}  # views with fresh seats
        self._behind: dict[Scope, None] = {}  # views with stale seats
        self.frames = 0
        self.dropped = 0
        self.refused = 0  # looks for which there was no room

    # --- who looks -----------------------------------------------------------------------------

    def has_room(self, wanted: Collection[Scope]) -> bool:
        """Whether rosters of all of these can be kept, too."""
        more = sum(scope not in self._views for scope in wanted)
        if more and len(self._views) + more > self._limits.presence_scopes:
            self.refused += 1
            return False
        return True

    def look(self, seat: Seat, wanted: set[Scope], now_s: float) -> list[Scope]:
        """From now on the session looks at these scopes, and at no others.

        Returns:
            Those of which no roster can be kept, since there are too many: it does not look there.
        """
        refused: list[Scope] = []
        for scope in seat.looking - wanted:
            view = self._views[scope]
            self._forget(view, seat)
            if not view.seats and scope[1].startswith(EVERYWHERE):
                self._drop(scope)
            elif not view.seats:
                view.left_s = now_s
        if not wanted:
            seat.looking = NOBODY
            return refused
        looking = seat.looking = set(seat.looking & wanted)
        for scope in sorted(wanted - looking):
            if not self.has_room([scope]):
                refused.append(scope)
                continue
            view = self._view(scope)
            view.seats.add(seat)
            view.fresh[seat] = now_s
            view.left_s = None
            self._waiting[scope] = None
            looking.add(scope)
            self._tell_waiting(view, now_s)
            if scope not in seat.looking:
                break  # it could not be told, and looks at nobody any more
        return refused

    def _view(self, scope: Scope) -> _View:
        view = self._views.get(scope)
        if view is None:
            view = self._views[scope] = _View(scope)
            self._rosters.open(scope, self._mine(scope))
        return view

    def _forget(self, view: _View, seat: Seat) -> None:
        view.seats.discard(seat)
        view.fresh.pop(seat, None)
        view.stale.discard(seat)
        view.partial.discard(seat)

    def sweep(self, now_s: float) -> None:
        """Keep no roster at which nobody has looked for a while, and not too many of them."""
        left = sorted((v.left_s, scope) for scope, v in self._views.items() if v.left_s is not None)
        surplus = len(left) - self._limits.lingering_rooms
        for number, (left_s, scope) in enumerate(left):
            if number < surplus or now_s - left_s > self._limits.presence_linger_s:
                self._drop(scope)

    def _drop(self, scope: Scope) -> None:
        del self._views[scope]
        self._waiting.pop(scope, None)
        self._behind.pop(scope, None)
        self._rosters.close(scope)

    @property
    def scopes(self) -> int:
        """Rooms and users of which a roster is kept."""
        return len(self._views)

    # --- the first list ------------------------------------------------------------------------

    def tell_newcomers(self, now_s: float, answered: Iterable[Scope] | None = None) -> None:
        """Tell who came, as soon as every edge has said who is there; after a second what is known.

        Args:
            now_s: now.
            answered: the scopes that an answer was about; None: all.
        """
        for scope in list(self._waiting if answered is None else answered):
            if scope in self._waiting:
                self._tell_waiting(self._views[scope], now_s)

    def _tell_waiting(self, view: _View, now_s: float) -> None:
        complete = self._rosters.complete(view.scope, now_s)
        whole_s = self._rosters.whole_s
        due = [
            seat
            for seat, at in view.fresh.items()
            if complete or now_s - max(at, whole_s) >= FIRST_S
        ]
        for seat in due:
            del view.fresh[seat]
            self._tell_all(view, seat)
        if not view.fresh:
            self._waiting.pop(view.scope, None)

    async def _tell_anew(self) -> None:
        """Tell everything to who was passed over, or had a part only."""
        told = 0
        for scope in list(self._behind):
            if (view := self._views.get(scope)) is None:
                continue
            for seat in list(view.stale):
                if seat not in view.stale or self._views.get(scope) is not view:
                    continue  # it has left meanwhile
                self._tell_all(view, seat)
                told += 1
                if told % SLICE == 0:
                    await asyncio.sleep(0)
            if not view.stale:
                self._behind.pop(scope, None)

    def _tell_all(self, view: _View, seat: Seat) -> None:
        roster = self._rosters.rosters[view.scope]
        window = clock.wall_ms() // 2_000
        if (view.version, view.window) != (roster.version, window):
            view.version, view.window, view.pages = roster.version, window, {}
        pages = view.pages.get(seat.codec.name)
        if pages is None:
            pages = view.pages[seat.codec.name] = b"".join(self._first(view, roster, seat.codec))
        if self._write(view, seat, pages):
            view.stale.discard(seat)
            roster.listed()
            view.recount |= len(roster.now) != view.total
            partial = len(roster.now) > self._limits.presence_list_users
            (view.partial.add if partial else view.partial.discard)(seat)

    def _first(self, view: _View, roster: Roster, codec: Codec[Any]) -> list[bytes]:
        name = view.scope[1]
        if name.startswith(EVERYWHERE):
            return [self._single(name[1:], roster.now.get(name[1:]), codec)]
        limits, total = self._limits, len(roster.now)
        users = list(roster.now.items())
        if total > limits.presence_list_users:
            counted = self._is_counted(view, total)
            users = [] if counted else users[: limits.presence_page_users]
        size = limits.presence_page_users
        pieces = [users[at : at + size] for at in range(0, len(users), size)] or [[]]
        frames = []
        for number, piece in enumerate(pieces, 1):
            extra: dict[str, Any] = {"first": True, "page": number, "pages": len(pieces)}
            if len(users) < total:
                extra["partial"] = True
            frames.append(self._batch(name, dict(piece), total, codec, extra))
        return frames

    # --- changes -------------------------------------------------------------------------------

    async def flush(self, now_s: float) -> None:
        """The end of a window: tell every room what changed."""
        for scope in self._rosters.touched():
            view, roster = self._views.get(scope), self._rosters.rosters.get(scope)
            if view is None or roster is None:
                continue
            try:
                await self._flush(view, roster)
            except Exception:
                # What can't be told of one room is no reason to tell nothing of the others.
                _log.exception("telling who is in a room failed")
        await self._tell_anew()
        self.tell_newcomers(now_s)

    def tell_of_users(self, *, window_ended: bool = False) -> None:
        """What changed of single users: their watchers are told at once; that one has gone, at the
        end of the window only, when all edges have said who has come.
        """
        for scope in self._rosters.touched_users():
            view, user = self._views.get(scope), scope[1][1:]
            if view is None:
                continue  # a write failed meanwhile, and its last viewer has left
            roster = self._rosters.rosters[scope]
            if user not in roster.now and not window_ended:
                self._rosters.touch(scope)
                continue
            changes = roster.take()
            if user in changes:
                frames: dict[str, bytes] = {}
                for seat in self._told(view):
                    name = seat.codec.name
                    if name not in frames:
                        frames[name] = self._single(user, changes[user], seat.codec)
                    self._write(view, seat, frames[name])

    async def _flush(self, view: _View, roster: Roster) -> None:
        limits, total = self._limits, len(roster.now)
        was_counted, counted = view.counted, self._is_counted(view, total)
        view.counted = counted
        changes = roster.take(None if counted else limits.presence_changes)
        if roster.told:
            self._rosters.touch(view.scope)
        # Who was told a part of the room is told the whole, once there is one.
        if was_counted and not counted:
            view.stale |= view.seats - view.fresh.keys()
        elif total <= limits.presence_list_users:
            view.stale |= view.partial
        if view.stale:
            self._behind[view.scope] = None
        same = total == view.total and not view.recount
        view.total, view.recount = total, False
        if not changes or (counted and same):
            return
        extra: dict[str, Any] = {"partial": True} if counted else {}
        frames: dict[str, bytes] = {}
        for number, seat in enumerate(self._told(view), 1):
            name = seat.codec.name
            if name not in frames:
                listed = {} if counted else changes
                frames[name] = self._batch(view.scope[1], listed, total, seat.codec, extra)
            if view.scope in seat.looking and seat not in view.fresh:
                self._write(view, seat, frames[name])
            if number % SLICE == 0:
                await asyncio.sleep(0)

    def _is_counted(self, view: _View, total: int) -> bool:
        bound = self._limits.presence_counts_users
        return total > (bound * COUNTED_UNTIL if view.counted else bound)

    def _told(self, view: _View) -> list[Seat]:
        """Who has got a first list and missed nothing since."""
        return [s for s in view.seats if s not in view.fresh and s not in view.stale]

    # --- frames --------------------------------------------------------------------------------

    def _write(self, view: _View, seat: Seat, framed: bytes) -> bool:
        try:
            written = seat.write_signal(framed)
        except Exception:
            _log.exception("writing to a client failed")
            seat.fail()
            return False
        if written:
            self.frames += 1
        else:
            self.dropped += 1
            view.stale.add(seat)
            self._behind[view.scope] = None
        return written

    def _batch(
        self,
        room: str,
        changes: Changes | Mapping[str, Shown],
        total: int,
        codec: Codec[Any],
        extra: Mapping[str, Any],
    ) -> bytes:
        d: dict[str, Any] = {
            "room": room,
            "window": clock.wall_ms() // 2_000,
            "online": {user: str(shown.status) for user, shown in changes.items() if shown},
            "offline": [user for user, shown in changes.items() if shown is None],
            "total": total,
            **extra,
        }
        custom = {
            user: codec.data(shown.custom)
            for user, shown in changes.items()
            if shown is not None and shown.custom is not None
        }
        if custom:
            d["custom"] = custom
        return self._framed(codec, EventName.PRESENCE_BATCH, d)

    def _single(self, user: str, shown: Shown | None, codec: Codec[Any]) -> bytes:
        d: dict[str, Any] = {"user": user, "status": str(shown.status) if shown else OFFLINE}
        if shown is not None and shown.custom is not None:
            d["custom"] = codec.data(shown.custom)
        return self._framed(codec, EventName.PRESENCE, d)

    def _framed(self, codec: Codec[Any], name: EventName, d: Mapping[str, Any]) -> bytes:
        # Without `s`: it says nothing of a position, and may have been made long ago.
        return frame(codec.encode(Payload(Op.DISPATCH, d, None, name)), binary=codec.binary)

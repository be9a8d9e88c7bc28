"""What the application asked for: its rooms, and its requests and publishes without an answer."""

from collections.abc import Callable

from relay.client.answers import Page
from relay.client.bodies import ErrorBody, Nonce, RefusedRoom, Subscribed, read
from relay.client.dedup import Dedup
from relay.client.effects import (
    Effect,
    Publish,
    ReadHistory,
    Reject,
    Resolve,
    Subscribe,
    Unsubscribe,
    Watch,
)
from relay.client.errors import ClientError, Closed, Refused
from relay.client.feed import Feed
from relay.client.publishing import Outbox
from relay.client.requests import TIMEOUT_S, Request, Requests
from relay.client.wire import Frame
from relay.core.codes import Op

Call = Subscribe | Unsubscribe | ReadHistory | Watch | Publish
WATCHED_AT_ONCE = 100  # users: a frame has 32 KiB at most


class Calls:
    """The rooms of one session and the calls that wait. Pure.

    Args:
        rooms: those to start with.
        outbox: publishes.
        dedup: told when an application asks for a room's past.
        feed: whose cursor an ACK may move.
        dice: a random number from 0 to 1.
    """

    def __init__(
        self,
        rooms: tuple[str, ...],
        outbox: Outbox,
        dedup: Dedup,
        feed: Feed,
        dice: Callable[[], float],
    ) -> None:
        self.rooms: dict[str, bool] = dict.fromkeys(rooms, False)  # room -> presence
        self._requests = Requests(dice)
        self._outbox = outbox
        self._dedup = dedup
        self._feed = feed
        self._own_tickets = 0
        self._watched: set[str] = set()

    # --- calls ---------------------------------------------------------------------------------

    def make(self, call: Call, now: float) -> list[Effect]:
        """Take a call in; it is sent as soon as the session is ready."""
        match call:
            case Publish():
                return self._outbox.add(call, now)
            case Subscribe(ticket, room, since, presence):
                wish: dict[str, object] = {"room": room}
                if since is not None:
                    wish["since"] = since
                    self._dedup.replaying(room)
                if presence:
                    wish["presence"] = True
                request = self._request(ticket, Op.SUBSCRIBE, {"rooms": [wish]}, now)
                request.room, request.presence = room, presence
                request.had = room in self.rooms
            case Unsubscribe(ticket, room):
                self.rooms.pop(room, None)
                request = self._request(ticket, Op.UNSUBSCRIBE, {"rooms": [room]}, now)
                request.room = room
            case ReadHistory(ticket, room, limit, before, after):
                d: dict[str, object] = {"room": room, "limit": limit}
                d |= {"before": before} if before is not None else {}
                d |= {"after": after} if after is not None else {}
                request = self._request(ticket, Op.HISTORY, d, now)
            case Watch(ticket, users, on):
                op = Op.WATCH if on else Op.UNWATCH
                request = self._request(ticket, op, {"users": list(users)}, now)
                request.users = users
                if not on:
                    self._watched.difference_update(users)  # no new connection asks for them again
        return self._requests.add(request, now)

    def refresh(self, token: str, now: float) -> list[Effect]:
        """Give the edge a fresh token."""
        self._own_tickets -= 1  # the application's are above zero
        request = self._request(self._own_tickets, Op.REFRESH, {"token": token}, now)
        return self._requests.add(request, now)

    @staticmethod
    def _request(ticket: int, op: Op, d: dict[str, object], now: float) -> Request:
        return Request(ticket, op, d, now + TIMEOUT_S)

    # --- answers -------------------------------------------------------------------------------

    def acknowledged(self, frame: Frame, now: float) -> list[Effect]:
        """ACK came.

        Raises:
            Undecodable: its `d` does not fit the request.
        """
        ticket = read(frame.d, Nonce).nonce
        if not isinstance(ticket, int):
            return []
        request = self._requests.answer(ticket)
        if request is None:
            return self._outbox.acknowledge(ticket, frame.d, now)
        match request.op:
            case Op.SUBSCRIBE:
                self._feed.advance(frame.c)
                return self._subscribed(request, read(frame.d, Subscribed))
            case Op.HISTORY:
                return [Resolve(ticket, read(frame.d, Page))]
            case Op.UNSUBSCRIBE if request.room is not None:
                self.rooms.pop(request.room, None)
            case Op.WATCH if request.ticket > 0:  # our own are among them already
                self._watched.update(request.users)
            case Op.UNWATCH:
                self._watched.difference_update(request.users)
        return [Resolve(ticket)]

    def _subscribed(self, request: Request, body: Subscribed) -> list[Effect]:
        room = request.room
        assert room is not None
        self._dedup.replayed(room)
        for each in body.refused:
            if each.room == room:
                return [Reject(request.ticket, Refused(each.code, f"room {room}"))]
        if room in body.rooms:
            self.rooms[room] = request.presence
        return [Resolve(request.ticket)]

    def refused(self, body: ErrorBody, now: float) -> list[Effect]:
        """ERROR came with a nonce."""
        if not isinstance(body.nonce, int):
            return []
        if body.nonce not in self._requests:
            return self._outbox.refuse(body.nonce, body, now)
        failed = self._requests.refuse(body.nonce, body, now)
        if failed is None:
            return []
        request, error = failed
        if request.op is Op.WATCH and request.ticket < 0:
            return self._watch_each(request.users, now)
        return self._give_up(request, error)

    def _watch_each(self, users: tuple[str, ...], now: float) -> list[Effect]:
        """Of users who were watched before, one may be watched no more: which, shows one by one."""
        if len(users) == 1:
            self._watched.discard(users[0])
            return []
        effects: list[Effect] = []
        for user in users:
            if user in self._watched:
                self._own_tickets -= 1
                effects += self.make(Watch(self._own_tickets, (user,)), now)
        return effects

    def _give_up(self, request: Request, error: ClientError) -> list[Effect]:
        if request.op is Op.SUBSCRIBE and request.room is not None:
            self._dedup.replayed(request.room)
            if not request.had:  # an edge that can't join a room again leaves it as it was
                self.rooms.pop(request.room, None)
        return [Reject(request.ticket, error)]

    # --- the connection ------------------------------------------------------------------------

    def wire_rooms(self) -> list[object]:
        """The rooms for IDENTIFY and RESUME: those whose SUBSCRIBE was acknowledged.

        The others are subscribed again afterwards, with the same `since`.
        """
        return [
            {"room": room, "presence": True} if presence else room
            for room, presence in self.rooms.items()
        ]

    def joined(self, rooms: tuple[str, ...]) -> None:
        """READY named `rooms`: those that the token subscribes by itself are among them."""
        self.rooms |= {room: False for room in rooms if room not in self.rooms}

    def dropped(self, refused: list[RefusedRoom]) -> None:
        """Rooms that a later token does not grant."""
        for each in refused:
            self.rooms.pop(each.room, None)

    def blinded(self, room: str) -> None:
        """A later token does not let us know who is there."""
        if room in self.rooms:
            self.rooms[room] = False

    def unwatched(self, user: str) -> None:
        """A later token does not let us watch him."""
        self._watched.discard(user)

    def spoke(self, now: float) -> None:
        """A frame besides those of calls went out, which counts against the edge's limit."""
        self._requests.note(now)

    def opened(self) -> None:
        """A connection began."""
        self._requests.opened()

    def online(self, now: float) -> list[Effect]:
        """The session is ready: send what waits."""
        users = sorted(self._watched)
        effects: list[Effect] = []
        for start in range(0, len(users), WATCHED_AT_ONCE):  # a new connection knows none of them
            self._own_tickets -= 1
            part = tuple(users[start : start + WATCHED_AT_ONCE])
            effects += self.make(Watch(self._own_tickets, part), now)
        return effects + self._requests.online(now) + self._outbox.online(now)

    def offline(self) -> list[Effect]:
        """The connection is gone: what was sent is to be sent again."""
        self._requests.offline()
        return self._outbox.offline()

    def tick(self, now: float) -> list[Effect]:
        """Send again what is due, and give up what is too old."""
        effects = self._outbox.tick(now)
        for request, error in self._requests.expire(now):
            effects += self._give_up(request, error)
        return effects + self._requests.tick(now)

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do next."""
        times = (self._outbox.deadline, self._requests.deadline)
        return min((at for at in times if at is not None), default=None)

    def stop(self, error: ClientError | None) -> list[Effect]:
        """Nothing more will be sent: fail what waits."""
        error = error or Closed("the client is closed")
        return self._outbox.stop(str(error)) + self._requests.stop(error)

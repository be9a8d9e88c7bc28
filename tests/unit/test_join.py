"""Joining: replay and live feed, over edges of two regions, without a hole or a repeat."""

from collections import deque
from collections.abc import Iterable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.cursor import CursorCodec, Position
from relay.core.event import Event, RoomKey
from relay.core.feed import Action, Dispatch, Feed, Moved, Scan
from relay.core.hold import Hold
from relay.core.join import SENT_KEPT, Ahead, Join
from relay.core.numbering import Numbering
from relay.core.resume import Accept, StreamState, judge
from relay.core.wire import JSON
from relay.edge.hub import Hub
from relay.edge.seat import Seat
from tests.unit.at_once import at_once
from tests.unit.streams_model import StreamModel, key

A, B, C = key("a"), key("b"), key("c")
CODEC = CursorCodec(b"k" * 32)


def event(origin: str, seq: int, room: RoomKey = A) -> Event:
    return Event(origin, 1, seq, room[0], room[1], "u", f"{origin}{seq}", 0, b"1")


def join_at(sent: dict[str, int], target: dict[str, int], buffer_events: int = 10) -> Join:
    return Join(frozenset({A}), sent, target, buffer_events)


def test_live_events_wait_for_the_replay_and_come_after_it() -> None:
    join = join_at({"us": 3}, {"us": 5})
    join.live(event("us", 5))  # the replay reads it
    join.live(event("us", 6))
    assert join.missing == {"us": (3, 5)}
    assert [join.replay(event("us", seq)) for seq in (4, 5)] == [True, True]
    join.read_up_to("us", 5)
    assert [held.seq for held in join.release()] == [6]


def test_what_the_client_has_already_is_neither_replayed_nor_held() -> None:
    join = join_at({"us": 9}, {"us": 5})
    join.live(event("us", 9))
    assert join.missing == {}
    assert list(join.release()) == []


def test_an_overflow_moves_the_target_instead_of_losing_events() -> None:
    join = join_at({"us": 0}, {"us": 1}, buffer_events=2)
    for seq in (2, 3, 4):
        join.live(event("us", seq))
    assert join.overflowed
    join.retarget({"us": 4})
    assert join.missing == {"us": (0, 4)}
    assert [join.replay(event("us", seq)) for seq in (1, 2, 3, 4)] == [True] * 4
    join.read_up_to("us", 4)
    assert list(join.release()) == []


def both(sent: dict[str, int], target: dict[str, int], **more: dict[str, int]) -> Join:
    """A join of two rooms."""
    return Join(frozenset({A, B}), sent, target, 10, **more)  # type: ignore[arg-type]


def released(join: Join) -> tuple[list[int], list[int]]:
    """What is sent at last, and what is declared."""
    sent = [held.seq for held in join.release()]
    return sent, [late.seq for late in join.late]


def test_an_event_that_is_dispatched_after_later_ones_of_other_rooms_is_sent() -> None:
    join = both({"us": 150}, {"us": 200})
    join.read_up_to("us", 200)
    join.live(event("us", 205, B))
    join.live(event("us", 203))  # it had been passed over, and is the newest of its room
    assert released(join) == ([205, 203], [])


def test_an_event_that_is_found_late_goes_out_before_later_ones_that_are_held_or_is_declared() -> (
    None
):
    join = both({"us": 150}, {"us": 200})
    join.read_up_to("us", 200)
    join.live(event("us", 205))
    join.missed(event("us", 203))
    assert released(join) == ([203, 205], [])
    join = both({"us": 150}, {"us": 200})
    join.read_up_to("us", 200)
    join.live(event("us", 205))
    join.live(event("us", 203))
    assert released(join) == ([205], [203])


def test_what_is_found_where_the_replay_has_passed_is_sent_after_it_or_declared() -> None:
    join = both({"us": 150}, {"us": 200})
    assert join.replay(event("us", 190, B))
    join.live(event("us", 180))  # the rings had not got it when the replay was there
    join.live(event("us", 185, B))
    join.missed(event("us", 186, B))
    join.read_up_to("us", 200)
    assert released(join) == ([180], [185, 186])


def test_what_the_replay_has_sent_or_sends_later_is_not_sent_again() -> None:
    join = both({"us": 150}, {"us": 200})
    assert join.replay(event("us", 160))
    for seq in (160, 170):  # read at the origin before, or from the rings after it was dispatched
        join.live(event("us", seq))
        join.missed(event("us", seq))
    assert join.replay(event("us", 170))
    join.read_up_to("us", 200)
    assert released(join) == ([], [])


def test_what_the_client_presented_is_its_own_whatever_is_found_of_it() -> None:
    join = both({"us": 150}, {"us": 150})
    join.live(event("us", 140))
    join.missed(event("us", 141))
    assert released(join) == ([], []), "what it is owed of that, it is sent besides"


def test_who_was_in_the_room_gets_what_is_found_below_and_not_what_it_brought() -> None:
    join = both({"us": 105}, {"us": 110}, dispatched={"us": 100})
    join.live(event("us", 95))  # passed over until now, and nothing came after it in its room
    join.missed(event("us", 96, B))  # later ones came to who was there
    join.live(event("us", 103))  # the session is ahead of the edge
    join.read_up_to("us", 110)
    assert released(join) == ([95], [96])


def test_more_than_is_held_of_what_is_found_late_is_declared() -> None:
    join = Join(frozenset({A}), {"us": 0}, {"us": 100}, 10, held_bytes=1_000)
    for seq in range(1, 11):
        join.live(event("us", seq))
    join.read_up_to("us", 100)
    assert released(join) == ([1, 2, 3], list(range(4, 11)))


def test_a_join_forgets_in_the_end_what_it_has_sent_and_declares_rather_than_repeats() -> None:
    join = both({"us": 0}, {"us": SENT_KEPT * 2})
    for seq in range(1, SENT_KEPT + 2):
        join.replay(event("us", seq, B))
    join.read_up_to("us", SENT_KEPT * 2)
    join.live(event("us", 5))
    join.live(event("us", SENT_KEPT))
    assert released(join) == ([], [5])


def test_a_session_ahead_wants_only_what_it_lacks_until_the_edge_has_caught_up() -> None:
    ahead = Ahead.of({"us": 7, "eu": 2}, {"us": 5, "eu": 2})
    assert ahead is not None
    assert not ahead.wants(event("us", 7))
    assert ahead.wants(event("us", 8))
    assert ahead.wants(event("eu", 3))
    assert not ahead.caught_up({"us": 6, "eu": 2})
    assert ahead.caught_up({"us": 7, "eu": 2})


def test_a_session_that_stands_where_its_edge_stands_is_not_ahead() -> None:
    assert Ahead.of({"us": 5}, {"us": 5}) is None


class _Client(Seat):
    """A connection of the client, at its end: what arrived since its first, and the newest cursor.

    As in an edge, each connection is a seat of its own.
    """

    def __init__(self, before: "_Client | None" = None) -> None:
        super().__init__(JSON)
        self.got: dict[str, list[int]] = before.got if before else {"us": [], "eu": []}
        self.cursor: str = before.cursor if before else ""

    def put(self, framed: bytes) -> None:
        size = framed[1]
        payload = msgspec.json.decode(framed[2 if size < 126 else 4 :])
        d = payload["d"]
        self.got[d["origin"]].append(d["seq"])
        self.cursor = payload["c"]

    write = put


class _Edge:
    """One edge over its region's copies: a real hub, real feeds, a wire and a store per origin."""

    def __init__(self, region: str, streams: dict[str, StreamModel], page: int, buffer: int):
        self.region = region
        self.streams = streams
        self.page_size = page
        self.buffer = buffer
        self.hub = Hub(region, CODEC, Numbering(0), at_once())
        self.copy = {origin: stream.head for origin, stream in streams.items()}
        self.wires: dict[str, deque[Event]] = {origin: deque() for origin in streams}
        self.connected = True
        self.clock_ms = 0
        self.scans: dict[str, int] = {}
        self.feeds: dict[str, Feed] = {}
        for origin, stream in streams.items():
            feed = Feed(origin, 1, stream.head, Hold(buffer, 1 << 20), stream.now_ms, 0)
            self.feeds[origin] = feed
            self.hub.move(origin, 1, stream.head)
            self._act(feed, feed.connected())
            for room in (A, B):
                assert feed.joined(room, feed.joining(room)) is None

    def replicate(self, origin: str, upto: int) -> None:
        """The region's copy gets events up to `upto`, and republishes them."""
        for stored in self.streams[origin].events[self.copy[origin] : upto]:
            if self.connected:
                self.wires[origin].append(stored)
        self.copy[origin] = max(self.copy[origin], upto)

    def lose(self, origin: str, upto: int) -> None:
        """The copy's leader dies: it stored events up to `upto`, and republished none of them.

        What it had republished before has arrived; the outage takes seconds.
        """
        while self.wires[origin]:
            self.deliver(origin)
        if upto > self.copy[origin]:
            self.copy[origin] = upto
            self.clock_ms += 4_000

    def deliver(self, origin: str) -> None:
        if self.wires[origin]:
            feed = self.feeds[origin]
            self._act(feed, feed.live(self.wires[origin].popleft(), self.clock_ms))

    def drop(self) -> None:
        if self.connected:
            self.connected = False
            self.scans.clear()
            for origin, feed in self.feeds.items():
                self.wires[origin].clear()
                feed.disconnected()

    def back(self) -> None:
        if not self.connected:
            self.connected = True
            for feed in self.feeds.values():
                self._act(feed, feed.connected())

    def read(self, origin: str, first: int) -> tuple[list[Event], bool]:
        events, _ = self.streams[origin].page(first, 10_000)
        held = [e for e in events if e.seq <= self.copy[origin]]
        return held[: self.page_size], len(held) > self.page_size

    def scan(self, origin: str) -> None:
        if origin in self.scans and self.connected:
            first = self.scans.pop(origin)
            events, more = self.read(origin, first)
            next_seq = events[-1].seq + 1 if events else first
            feed = self.feeds[origin]
            self._act(feed, feed.scanned(events, next_seq, self.clock_ms, more=more))

    def _act(self, feed: Feed, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Dispatch(dispatched, position):
                    self.hub.dispatch(dispatched, position)
                case Moved(position):
                    self.hub.move(feed.origin, 1, position)
                case Scan(first):
                    self.scans[feed.origin] = first
                case _:
                    raise AssertionError(action)

    def states(self) -> dict[str, StreamState]:
        return {
            origin: StreamState(1, 1, self.copy[origin], origin == self.region)
            for origin in self.streams
        }


class _World:
    """Two regions, and one client that moves between them."""

    def __init__(self, page: int, buffer: int) -> None:
        self.streams = {origin: StreamModel(origin) for origin in ("us", "eu")}
        self.edges = {region: _Edge(region, self.streams, page, buffer) for region in ("us", "eu")}
        self.client = _Client()
        self.edge: _Edge | None = None
        self.join: Join | None = None
        self.join_id = 0
        self.base: dict[str, Position] = {}
        self.client.cursor = self.edges["us"].hub.cursor()
        self.resumed = self.refused = 0

    def do(self, step: tuple[str, str, str]) -> None:
        act, origin, where = step
        edge = self.edges[where]
        match act:
            case "a" | "b" | "c" | "mark":
                stream = self.streams[origin]
                if act == "mark":
                    stream.mark()
                else:
                    stream.store(key(act))
                self.edges[origin].replicate(origin, stream.head)
            case "lose" if origin != where:
                edge.lose(origin, self.streams[origin].head)
            case "lose":
                self.streams[origin].store(A)
                edge.lose(origin, self.streams[origin].head)
            case "replicate":
                edge.replicate(origin, self.streams[origin].head)
            case "deliver":
                edge.deliver(origin)
            case "drop":
                edge.drop()
            case "back":
                edge.back()
            case "scan":
                edge.scan(origin)
            case "cut":
                self.cut()
            case "resume":
                self.resume(edge)
            case "replay":
                self.replay()

    def cut(self) -> None:
        """The client's connection, or its edge, dies."""
        if self.edge is not None:
            self.edge.hub.forget(self.client)
            self.edge.hub.end(self.join_id)
            self.client = _Client(self.client)
            self.edge = self.join = None

    def resume(self, edge: _Edge) -> None:
        if self.edge is not None:
            return
        presented = CODEC.decode(self.client.cursor).positions
        verdict = judge(presented, edge.states())
        if not isinstance(verdict, Accept):
            self.refused += 1
            return
        self.edge = edge
        target = {o: max(edge.hub.seqs[o], f.reach(A), f.reach(B)) for o, f in edge.feeds.items()}
        self.join = Join(frozenset({A, B}), dict(verdict.after), target, edge.buffer)
        self.base = dict(presented)
        self.join_id = edge.hub.begin(self.join)

    def replay(self) -> None:
        """One page of the replay, or its end."""
        if self.join is None or self.edge is None:
            return
        hub = self.edge.hub
        for origin, (after, upto) in self.join.missing.items():
            events, more = self.edge.read(origin, after + 1)
            for stored in events:
                if stored.seq <= upto and stored.key in self.join.rooms:
                    assert self.join.replay(stored)
                    cursor = hub.private_cursor(self.join.sent, self.base)
                    self.client.write(hub.framed(JSON, stored, None, cursor))
            self.join.read_up_to(origin, upto if not more else min(events[-1].seq, upto))
            return
        if self.join.overflowed:
            self.join.retarget(hub.seqs)
            return
        for held in self.join.release():
            cursor = hub.private_cursor(self.join.sent, self.base)
            self.client.write(hub.framed(JSON, held, None, cursor))
        self.join.settle(hub.seqs)
        hub.set_ahead(self.client, Ahead.of(self.join.sent, hub.seqs))
        hub.take(self.client, (A, B))
        hub.end(self.join_id)
        self.client.cursor = hub.cursor_of(self.client)
        self.join = None
        self.resumed += 1

    def settle(self) -> None:
        """Everything heals; the client comes back somewhere and gets current."""
        for edge in self.edges.values():
            edge.back()
            for origin, stream in self.streams.items():
                stream.mark()
                self.edges[origin].replicate(origin, stream.head)
                edge.replicate(origin, stream.head)
        self.resume(self.edges["eu"])
        for _ in range(3):
            while any(edge.scans or any(edge.wires.values()) for edge in self.edges.values()):
                for edge in self.edges.values():
                    for origin in self.streams:
                        edge.deliver(origin)
                        edge.scan(origin)
            while self.join is not None:
                self.replay()


ACTS = ["a", "a", "b", "c", "mark", "replicate", "deliver", "deliver", "deliver", "deliver"]
ACTS += [
    "drop",
    "back",
    "lose",
    "scan",
    "scan",
    "cut",
    "resume",
    "resume",
    "replay",
    "replay",
    "replay",
]
REGIONS = st.sampled_from(["us", "eu"])
ONE = st.tuples(st.sampled_from(ACTS), REGIONS, REGIONS).map(lambda step: [step])
# What a client does that moves: it leaves, comes back elsewhere, and is brought up to date.
MOVE = REGIONS.map(lambda to: [("cut", to, to), ("resume", to, to), *[("replay", to, to)] * 4])
# What a client sees at home: events that its own region has, and the others not yet.
HOME = REGIONS.map(lambda at: [("a", at, at), ("deliver", at, at), ("b", at, at)])
STEPS = st.lists(st.one_of(ONE, ONE, ONE, MOVE, HOME), max_size=60).map(
    lambda groups: [step for group in groups for step in group]
)


@settings(max_examples=400, deadline=None)
@given(steps=STEPS, page=st.integers(1, 4), buffer=st.integers(1, 6))
def test_any_interleaving_gives_each_event_once_in_order_per_origin(
    steps: list[tuple[str, str, str]], page: int, buffer: int
) -> None:
    """Replayed pages, live events, lost feeds, lagging mirrors, resumes anywhere: exactly once."""
    world = _World(page, buffer)
    for step in steps:
        world.do(step)
    world.settle()
    assert world.edge is not None
    for origin, stream in world.streams.items():
        expected = [e.seq for e in stream.events if e.key in (A, B)]
        assert world.client.got[origin] == expected
    assert CODEC.decode(world.client.cursor).positions.keys() == world.streams.keys()


# --- the newest events ---------------------------------------------------------------------------


def newest(page: list[int], *, more: bool, found: Iterable[int] = ()) -> Join:
    """A join that begins at 20, for which a page of the newest was read; `found` meanwhile."""
    join = join_at({"us": 20, "eu": 5}, {"us": 20, "eu": 5})
    join.ask_newest(["us", "eu"])
    for seq in found:
        join.live(event("us", seq))
    join.show([event("us", seq) for seq in page], more=more)
    return join


def test_an_event_found_while_the_newest_are_read_is_one_of_them() -> None:
    join = newest([12, 15], more=True, found=[18])
    join.live(event("us", 19))
    assert released(join) == ([18, 19], [])


def test_one_that_belongs_before_what_was_sent_is_declared() -> None:
    join = newest([12, 15], more=True)
    join.missed(event("us", 14))
    assert released(join) == ([], [14])


def test_what_is_older_than_the_newest_that_were_asked_for_is_none_of_them() -> None:
    join = newest([12, 15], more=True, found=[11])
    join.live(event("us", 10))
    join.live(event("eu", 3))  # the page has none of it, and is full
    assert released(join) == ([], [])


def test_where_there_are_fewer_than_were_asked_for_all_of_them_are() -> None:
    join = newest([12], more=False, found=[13])
    join.live(event("eu", 3))
    assert released(join) == ([3, 13], [])


def test_what_the_page_has_is_not_sent_again_when_the_edge_finds_it() -> None:
    join = newest([12, 15], more=True, found=[15])
    join.live(event("us", 12))
    assert released(join) == ([], [])

"""The feed: each event of each local room once, in order, and a position that never lies."""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.event import Event
from relay.core.feed import TURNS, Action, Dispatch, Feed, Missed, Moved, NewEpoch, Overlooked, Scan
from relay.core.hold import Hold
from relay.core.names import SYSTEM_TENANT
from tests.unit.streams_model import StreamModel, key

A, B = key("a"), key("b")
NOW = 50_000  # ms, by the monotonic clock


def live_feed(
    stream: StreamModel, *, buffer_events: int = 100, buffer_bytes: int = 1 << 20
) -> Feed:
    """A feed at the head of `stream`, its first scan done."""
    feed = Feed(
        stream.origin,
        stream.epoch,
        stream.head,
        Hold(buffer_events, buffer_bytes),
        stream.now_ms,
        NOW,
    )
    assert feed.connected() == (Scan(stream.head + 1),)
    feed.scanned([], stream.head + 1, NOW, more=False)
    assert not feed.repairing
    return feed


def joined(feed: Feed, stream: StreamModel, *rooms: tuple[str, str]) -> None:
    for room in rooms:
        after = feed.joining(room)
        events, _ = stream.page(after + 1, 1000, room)
        assert feed.joined(room, events[-1].seq if events else after) is None


def seqs(actions: Iterable[Action]) -> list[int]:
    return [action.event.seq for action in actions if isinstance(action, Dispatch)]


def test_live_events_are_dispatched_in_order_and_move_the_position() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    for _ in range(3):
        event = stream.store(A)
        assert feed.live(event, NOW) == (Dispatch(event, event.seq),)
    assert feed.position == 3


def test_a_marker_moves_the_position_of_a_quiet_room() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    stream.store(B)
    assert feed.live(stream.mark(), NOW) == (Moved(2),)


def test_a_repeated_event_is_dropped() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    event = stream.store(A)
    feed.live(event, NOW)
    assert feed.live(event, NOW) == ()


def test_what_a_mirror_skipped_before_a_later_event_is_said_when_it_is_found() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    delivered, skipped, later = stream.store(A), stream.store(A), stream.store(A)
    feed.live(delivered, NOW)
    # The mirror does not have what it skipped, so it names another predecessor.
    feed.live(replace(later, previous=delivered.seq), NOW)
    assert feed.unheard(delivered) == ()
    assert feed.unheard(skipped) == (Missed(skipped),)
    assert feed.unheard(later) == ()


def test_what_a_mirror_skipped_is_said_once_when_it_republishes_it() -> None:
    stream = StreamModel("us")
    before = stream.store(A)
    feed = live_feed(stream)
    joined(feed, stream, A)
    delivered, skipped, later = stream.store(A), stream.store(A), stream.store(A)
    feed.live(delivered, NOW)
    feed.live(replace(later, previous=delivered.seq), NOW)
    # The mirror is filled anew, and publishes all that it holds.
    said = [action for e in (before, delivered, skipped, later) for action in feed.live(e, NOW)]
    assert said == [Overlooked(skipped)]
    assert feed.live(skipped, NOW) == ()
    assert feed.live(replace(skipped, epoch=0, seq=skipped.seq), NOW) == (), "of an older epoch"


def test_what_was_jumped_over_long_ago_is_declared_even_where_nobody_remembers() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    skipped, first = stream.store(A), stream.store(A)
    feed.live(replace(first, previous=0), NOW)
    for far in range(1, 66):  # as many of other rooms in between as the memory holds
        feed.live(replace(first, seq=far * 40_000, previous=0), NOW)
    assert feed.unheard(skipped) == (Missed(skipped),)


def test_a_long_scan_declares_nothing_that_was_delivered_and_is_forgotten() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    first = stream.store(A)
    feed.live(first, NOW)
    for far in range(1, 66):
        feed.live(replace(first, seq=far * 40_000, previous=0), NOW)
    assert feed.advance()
    actions = feed.scanned([first], 65 * 40_000 + 1, NOW, more=False)
    assert [action for action in actions if isinstance(action, Missed)] == []


def test_a_hole_is_told_after_more_events_than_a_busy_second_has() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    skipped, first = stream.store(A), stream.store(A)
    feed.live(replace(first, previous=0), NOW)
    delivered = [replace(first, seq=seq, previous=0) for seq in range(3, 20_003)]
    for event in delivered:
        feed.live(event, NOW)
    assert feed.unheard(skipped) == (Missed(skipped),)
    assert feed.unheard(skipped) == (), "said once"
    assert all(feed.unheard(event) == () for event in (first, *delivered))


def test_a_scan_that_meets_what_a_mirror_skipped_before_a_later_event_says_so_once() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    first, skipped, later = stream.store(A), stream.store(A), stream.store(A)
    feed.live(first, NOW)
    feed.live(replace(later, previous=first.seq), NOW)
    for expected in ([skipped], []):
        assert feed.advance()
        actions = feed.scanned([first, skipped, later], later.seq + 1, NOW, more=False)
        assert [a.event for a in actions if isinstance(a, Missed)] == expected


def test_a_hole_in_a_room_holds_what_follows_until_one_scan_has_filled_it() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A, B)
    feed.live(stream.store(A), NOW)
    lost = stream.store(A, republished=False)
    after_hole = stream.store(A)
    other = stream.store(B)
    assert feed.live(after_hole, NOW) == (Scan(1),)  # nothing is proved complete yet
    assert feed.live(other, NOW) == ()
    assert feed.position == lost.seq - 1
    page, more = stream.page(1, 256)
    actions = feed.scanned(page, page[-1].seq + 1, NOW, more=more)
    assert seqs(actions) == [2, 3, 4]
    assert (feed.position, feed.holes, feed.repairing) == (4, 1, False)


def test_silence_of_the_markers_makes_the_next_event_prove_itself() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A, B)
    mark = stream.mark()
    feed.live(mark, NOW)
    lost = stream.store(A, republished=False)  # a leader died before it republished this one
    late = stream.store(B, after_ms=3_000)
    assert feed.live(late, NOW) == (Scan(mark.seq + 1),)
    page, _ = stream.page(mark.seq + 1, 256)
    assert seqs(feed.scanned(page, late.seq + 1, NOW, more=False)) == [lost.seq, late.seq]


def test_silence_here_counts_also_when_the_stamps_show_none() -> None:
    """A mirror's leader died: the origin went on as ever."""
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A, B)
    mark = stream.mark()
    feed.live(mark, NOW)
    lost = stream.store(A, republished=False)
    late = stream.store(B)
    assert feed.live(late, NOW + 4_000) == (Scan(mark.seq + 1),)
    page, _ = stream.page(mark.seq + 1, 256)
    actions = feed.scanned(page, late.seq + 1, NOW + 4_001, more=False)
    assert seqs(actions) == [lost.seq, late.seq]


def test_where_the_copy_has_come_as_far_as_was_read_at_the_origin_it_must_prove_itself() -> None:
    """A mirror that was behind goes on further on: no event of a quiet room shows that."""
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A, B)
    read = stream.store(A)
    feed.advance()
    assert seqs(feed.scanned([read], read.seq + 1, NOW, more=False, ahead=True)) == [read.seq]
    skipped = stream.store(B)
    assert feed.live(read, NOW) == ()  # the mirror fills what the origin was asked for
    later = replace(stream.store(B), previous=0)  # as the mirror says that has skipped it
    assert feed.live(later, NOW) == (Scan(skipped.seq),)
    actions = feed.scanned([skipped, later], later.seq + 1, NOW, more=False, ahead=True)
    assert seqs(actions) == [skipped.seq, later.seq]
    last = stream.store(A)
    assert feed.live(last, NOW) == (Scan(last.seq),)
    assert seqs(feed.scanned([last], last.seq + 1, NOW, more=False)) == [last.seq]
    event = stream.store(A)
    assert feed.live(event, NOW) == (Dispatch(event, event.seq),)


def test_after_a_reconnect_the_stream_is_read_before_anything_live() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    feed.disconnected()
    missed = stream.store(A)
    assert feed.connected() == (Scan(1),)
    fresh = stream.store(A)
    assert feed.live(fresh, NOW) == ()
    actions = feed.scanned([missed], missed.seq + 1, NOW, more=False)
    assert seqs(actions) == [missed.seq, fresh.seq]


@pytest.mark.parametrize("bounds", [{"buffer_events": 2}, {"buffer_bytes": 1_500}])
def test_a_full_hold_is_dropped_and_read_from_the_stream_instead(bounds: dict[str, int]) -> None:
    stream = StreamModel("us")
    feed = live_feed(stream, **bounds)
    joined(feed, stream, A)
    feed.connected()
    for _ in range(5):
        feed.live(stream.store(A), NOW)
    dispatched: list[int] = []
    first, scans = 1, 0
    while feed.repairing:
        page, more = stream.page(first, 2)
        actions = feed.scanned(page, page[-1].seq + 1 if page else first, NOW, more=more)
        dispatched += seqs(actions)
        first = next((a.first for a in actions if isinstance(a, Scan)), first)
        scans += 1
    assert dispatched == [1, 2, 3, 4, 5]
    assert feed.overflows >= 1


def test_a_new_epoch_is_told_before_its_first_event() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    first = stream.store(A)
    feed.live(first, NOW)
    stream.epoch = 2
    void = stream.store((SYSTEM_TENANT, "void"), republished=False)
    event = stream.store(A)
    assert feed.live(event, NOW) == (Scan(1),)  # something stands before it that begins its epoch
    actions = feed.scanned([first, void, event], 4, NOW, more=False)
    assert actions[0] == NewEpoch(1, 2, 1)
    assert seqs(actions) == [3]
    assert feed.epoch == 2
    assert feed.passed_in(1, 3) == [(1, 1, 1), (2, 2, 3)]


def test_what_was_passed_is_of_the_epoch_that_stood_then() -> None:
    """Seed 7620: what limits had dropped was declared under an epoch that had begun since."""
    stream = StreamModel("us")
    feed = live_feed(stream)
    assert feed.passed_in(5, 6) == [(1, 5, 6)]
    for epoch in range(2, 2 + TURNS + 1):
        for _ in range(3):
            feed.live(stream.mark(), NOW)
        stream.epoch = epoch
        feed.live(stream.mark(), NOW)
        scanned = [event for event in stream.events if event.seq > feed.position]
        feed.scanned(scanned, stream.head + 1, NOW, more=False)
    runs = feed.passed_in(1, stream.head)
    assert [(last, first) for _, first, last in runs[1:]] == [
        (after[2], before[2] + 1) for before, after in pairwise(runs)
    ], "each once, in order"
    assert [epoch for epoch, _, _ in runs] == sorted({epoch for epoch, _, _ in runs})
    assert (runs[0][1], runs[-1]) == (1, (2 + TURNS, stream.head, stream.head))
    assert len(runs) == TURNS + 1, "the oldest turn is forgotten"


def test_an_epoch_that_only_a_backend_claims_is_none() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    joining = feed.joining(B)
    stored = [stream.store(room) for room in (A, B)]
    claimed = [replace(event, epoch=999) for event in stored]
    assert feed.live(claimed[0], NOW) == (Scan(1),)
    assert feed.live(claimed[1], NOW) == ()
    actions = feed.scanned(stored, 3, NOW, more=False)  # who read them has asked
    assert [each.event.epoch for each in actions if isinstance(each, Dispatch)] == [1, 1]
    assert feed.joined(B, max(joining, 2)) is None
    later = stream.store(B)
    feed.live(replace(later, epoch=999), NOW)
    (dispatched,) = [
        action.event
        for action in feed.scanned([later], 4, NOW, more=False)
        if isinstance(action, Dispatch)
    ]
    assert (dispatched.seq, dispatched.epoch, feed.epoch) == (3, 1, 1)
    assert not feed.repairing


def test_a_room_that_changes_while_it_is_joined_is_scanned_again() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    after = feed.joining(A)
    stream.store(A, republished=False)  # stored after the room was read, before its live path
    event = stream.store(A)
    feed.live(event, NOW)
    assert feed.joined(A, after) == after
    assert feed.joined(A, event.seq) is None


def test_a_room_that_a_scan_passes_while_it_is_joined_is_read_as_far() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    after = feed.joining(A)
    event = stream.store(A)
    assert feed.advance() == (Scan(1),)
    feed.scanned([event], 2, NOW, more=False)
    assert feed.position == event.seq
    # The room's own scan read a mirror that does not have it yet: the scan was the origin's.
    assert feed.joined(A, after) == after
    assert feed.joined(A, event.seq) is None


def test_pages_of_a_scan_that_a_lost_connection_overtook_are_ignored() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A)
    feed.disconnected()
    assert feed.scanned([stream.store(A)], 2, NOW, more=False) == ()
    assert feed.position == 0


ACTS = ["store a", "store b", "store c", "lose a", "lose b", "mark", "deliver", "deliver"]
ACTS += ["deliver", "drop", "back", "page", "page", "join a", "join b", "leave a", "leave b"]
STEP = st.sampled_from(ACTS)


@settings(max_examples=400, deadline=None)
@given(steps=st.lists(STEP, max_size=120), page=st.integers(1, 4), buffer=st.integers(1, 6))
def test_any_interleaving_gives_each_event_once_and_in_order(
    steps: list[str], page: int, buffer: int
) -> None:
    """Whatever is lost, cut, held or joined: nothing is missing, repeated or out of order."""
    world = _World(page, buffer)
    for step in steps:
        world.do(step)
    world.settle()
    for room, base in world.bases.items():
        expected = [e.seq for e in world.stream.events if e.key == room and e.seq > base]
        assert world.got[room] == expected
    if not world.lossy:
        assert world.order == sorted(world.order)


class _World:
    """One feed over one stream, driven step by step."""

    def __init__(self, page: int, buffer: int) -> None:
        self.stream = StreamModel("us")
        self.feed = live_feed(self.stream, buffer_events=buffer)
        self.page_size = page
        self.connected = True
        self.lossy = False
        self.clock_ms = NOW
        self.scan: int | None = None
        self.bases: dict[tuple[str, str], int] = {}
        self.got: dict[tuple[str, str], list[int]] = {}
        self.order: list[int] = []

    def do(self, step: str) -> None:
        act, _, room = step.partition(" ")
        getattr(self, f"_{act}")(*([key(room)] if room else []))

    def _store(self, room: tuple[str, str], *, republished: bool = True) -> None:
        self.stream.store(room, republished=republished and self.connected)

    def _lose(self, room: tuple[str, str]) -> None:
        """The copy's leader dies between storing an event and republishing it.

        What it had republished before has arrived; the outage takes seconds. (It may be a mirror's
        leader: the events' own stamps show nothing.)
        """
        self.lossy = True
        while self.stream.wire:
            self._deliver()
        self._store(room, republished=False)
        self.clock_ms += 4_000

    def _mark(self) -> None:
        self.stream.mark(republished=self.connected)

    def _deliver(self) -> None:
        if self.stream.wire:
            self._act(self.feed.live(self.stream.wire.popleft(), self.clock_ms))

    def _drop(self) -> None:
        if self.connected:
            self.connected = False
            self.stream.wire = deque()
            self.scan = None
            self.feed.disconnected()

    def _back(self) -> None:
        if not self.connected:
            self.connected = True
            self._act(self.feed.connected())

    def _page(self) -> None:
        if self.scan is not None and self.connected:
            first, self.scan = self.scan, None
            events, more = self.stream.page(first, self.page_size)
            next_seq = events[-1].seq + 1 if events else first
            self._act(self.feed.scanned(events, next_seq, self.clock_ms, more=more))

    def _join(self, room: tuple[str, str]) -> None:
        if room in self.bases or not self.connected:
            return
        after: int | None = self.feed.joining(room)
        while after is not None:
            events, _ = self.stream.page(after + 1, 10_000, room)
            base = events[-1].seq if events else after
            after = self.feed.joined(room, base)
        self.bases[room] = base
        self.got[room] = []

    def _leave(self, room: tuple[str, str]) -> None:
        if room in self.bases:
            self.feed.leave(room)
            del self.bases[room], self.got[room]

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Scan(first):
                    self.scan = first
                case Dispatch(event, position):
                    self._dispatched(event, position)
                case _:
                    pass
        if not self.lossy:
            self._check_position()

    def _dispatched(self, event: Event, position: int) -> None:
        assert position >= event.seq
        if event.key in self.bases:
            self.got[event.key].append(event.seq)
            self.order.append(event.seq)

    def _check_position(self) -> None:
        """The position never passes an event of a joined room that was not delivered."""
        for room, base in self.bases.items():
            due = [
                e.seq
                for e in self.stream.events
                if e.key == room and base < e.seq <= self.feed.position
            ]
            assert self.got[room] == due

    def settle(self) -> None:
        """Everything heals, and every room hears one more event, so that holes show."""
        self._back()
        for room in self.bases:
            self.stream.store(room)
        while self.stream.wire or self.scan is not None:
            self._deliver()
            self._page()

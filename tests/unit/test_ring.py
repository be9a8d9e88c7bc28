"""Rings: what they hold is exact, and they say from where on they hold it."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.event import Event, RoomKey
from relay.core.ring import EVENT_BYTES, Ring
from relay.core.rings import Reading, RingBounds, Rings
from tests.unit.streams_model import key

A, B, C = key("a"), key("b"), key("c")
ROOMS = (A, B, C)
ROOMY = RingBounds(events=100, bytes=10**6, total_bytes=10**7, age_ms=10_000)


def event(
    seq: int, room: RoomKey = A, *, epoch: int = 1, size: int = 1, origin: str = "us"
) -> Event:
    return Event(origin, epoch, seq, room[0], room[1], "u", f"{seq}", 0, b"1" * size)


def seqs(rings: Rings, after: int, upto: int, *rooms: RoomKey) -> list[int]:
    """All that the rings hold of a range, taken two at a time."""
    got: list[int] = []
    while after < upto:
        part, after = rings.after("us", rooms, after, upto, 2)
        got += [e.seq for e in part]
    return got


def opened(base: int, *rooms: RoomKey, bounds: RingBounds = ROOMY) -> Rings:
    rings = Rings(bounds)
    for room in rooms:
        rings.open(room, "us", base)
    return rings


def test_what_was_delivered_since_the_room_opened_is_there() -> None:
    rings = opened(10, A, B)
    for seq, room in ((11, A), (12, B), (13, C), (14, A), (15, B)):
        rings.append(event(seq, room))
    assert rings.cold("us", [A, B], 10) == []
    assert seqs(rings, 10, 15, A, B) == [11, 12, 14, 15]
    assert seqs(rings, 11, 14, A, B) == [12, 14]
    assert seqs(rings, 15, 20, A) == []
    assert rings.cold("us", [A, B, C], 9) == [A, B, C]
    assert rings.cold("eu", [A], 99) == [A], "of another origin nothing is known"


def test_what_is_read_comes_before_the_rest() -> None:
    rings = opened(10, A)
    rings.append(event(12))
    reading = rings.begin(A, "us", 4)
    assert reading is not None
    assert (reading.after, reading.upto) == (4, 10)
    rings.append(event(13))  # meanwhile
    rings.extend(reading, [event(4), event(6), event(10), event(11), event(12)])
    assert rings.cold("us", [A], 4) == []
    assert seqs(rings, 4, 20, A) == [6, 10, 12, 13]
    assert rings.begin(A, "us", 5) is None, "it is there already"


def test_what_is_found_while_a_read_runs_is_part_of_it() -> None:
    rings = opened(10, A)
    reading = rings.begin(A, "us", 4)
    assert reading is not None
    rings.find(event(7))
    rings.find(event(3))
    rings.extend(reading, [event(6)])
    rings.end(reading)
    assert seqs(rings, 4, 10, A) == [6, 7]
    rings.find(event(2))
    late = rings.begin(A, "us", 0)
    assert late is not None
    rings.extend(late, [event(3), event(6)])
    assert seqs(rings, 0, 10, A) == [3, 6, 7], "what was found before a read begins, it reads"


def test_what_is_found_late_goes_to_its_place() -> None:
    rings = opened(10, A)
    rings.append(event(12))
    rings.append(event(14))
    rings.find(event(13))
    rings.find(event(13))
    rings.find(event(10))
    assert seqs(rings, 10, 20, A) == [12, 13, 14]
    assert rings.bytes == 3 * (EVENT_BYTES + 1)


def test_a_full_ring_drops_its_oldest_and_says_so() -> None:
    rings = opened(0, A, bounds=RingBounds(8, 10**6, 10**7, 10_000))
    for seq in range(1, 10):
        rings.append(event(seq))
    assert rings.cold("us", [A], 0) == [A]
    assert rings.cold("us", [A], 1) == []
    assert seqs(rings, 1, 9, A) == list(range(2, 10))
    assert rings.evicted == 1


def test_events_grow_old_from_when_they_came_or_were_read() -> None:
    rings = opened(10, A)
    rings.sweep(1_000)
    rings.append(event(11))
    rings.sweep(5_000)
    rings.append(event(12))
    rings.sweep(11_000)
    assert seqs(rings, 10, 12, A) == [11, 12]
    rings.sweep(11_001)
    assert rings.cold("us", [A], 10) == [A]
    assert seqs(rings, 11, 12, A) == [12]
    reading = rings.begin(A, "us", 3)
    assert reading is not None
    rings.extend(reading, [event(5), event(11)])
    rings.sweep(15_001)  # 12 is too old, but what was read comes before it and is fresh
    assert seqs(rings, 3, 12, A) == [5, 11, 12]
    rings.sweep(21_002)
    assert (rings.bytes, rings.events) == (0, 0)
    assert rings.cold("us", [A], 12) == []
    assert rings.cold("us", [A], 11) == [A]


def test_the_rooms_that_nobody_asks_for_are_dropped_first() -> None:
    rings = opened(0, A, B, bounds=RingBounds(100, 10**6, 40 * (EVENT_BYTES + 1), 10_000))
    for seq in range(1, 21):
        rings.append(event(seq, A))
    for seq in range(21, 41):
        rings.append(event(seq, B))
    assert seqs(rings, 0, 40, A) == list(range(1, 21)), "asked for: B is the older now"
    rings.append(event(41, A))
    assert rings.cold("us", [A, B], 0) == [B]
    assert rings.bytes <= rings.bounds.total_bytes


def test_what_does_not_fit_is_not_tried_again() -> None:
    rings = opened(100, A, bounds=RingBounds(10, 10**6, 10**7, 10_000))
    reading = rings.begin(A, "us", 50)
    assert reading is not None
    assert not rings.fits(reading, 11, 11)
    assert reading.ring.unfit == 50
    rings.extend(reading, [event(seq) for seq in range(51, 62)])
    assert rings.cold("us", [A], 50) == [A]


def test_a_new_epoch_leaves_nothing_of_the_old_one() -> None:
    rings = opened(0, A)
    rings.append(event(3))
    reading = rings.begin(A, "us", 0)
    rings.reset("us", 3)
    assert reading is None
    assert rings.cold("us", [A], 2) == [A]
    rings.append(event(9, epoch=2))
    assert seqs(rings, 3, 9, A) == [9]


def test_the_newest_are_there_or_they_are_not() -> None:
    ring = Ring(10)
    for seq in (12, 14, 16):
        ring.append(event(seq), 0)
    assert [e.seq for e in ring.newest(20, 2) or ()] == [14, 16]
    assert [e.seq for e in ring.newest(15, 2) or ()] == [12, 14]
    assert ring.newest(20, 4) is None


@dataclass
class _Edge:
    """One origin's stream, what an edge has delivered of it, and reads that take their time."""

    rings: Rings
    stored: list[Event] = field(default_factory=list)
    skipped: set[int] = field(default_factory=set)  # sequences not found yet
    position: int = 0
    now_ms: int = 0
    epoch: int = 1
    bases: dict[RoomKey, int] = field(default_factory=dict)
    reads: list[tuple[Reading, list[Event]]] = field(default_factory=list)

    def truth(self, room: RoomKey, after: int, upto: int) -> list[int]:
        return [
            e.seq
            for e in self.stored
            if e.key == room and after < e.seq <= upto and e.seq not in self.skipped
        ]

    def do(self, step: tuple[str, RoomKey, int]) -> None:
        act, room, number = step
        match act:
            case "store" | "skip":
                stored = event(len(self.stored) + 1, room, epoch=self.epoch, size=1 + number % 50)
                self.stored.append(stored)
                self.position = stored.seq
                if act == "skip":
                    self.skipped.add(stored.seq)
                else:
                    self.rings.append(stored)
            case "find" if self.skipped:
                seq = sorted(self.skipped)[number % len(self.skipped)]
                self.skipped.discard(seq)
                self.rings.find(self.stored[seq - 1])
            case "open":
                self.rings.open(room, "us", self.position)
            case "close":
                self.rings.close(room)
            case "read":
                reading = self.rings.begin(room, "us", number % (self.position + 1))
                if reading is not None:
                    seqs = set(self.truth(room, reading.after, reading.upto))
                    self.reads.append((reading, [e for e in self.stored if e.seq in seqs]))
            case "done" if self.reads:
                reading, events = self.reads.pop(number % len(self.reads))
                self.rings.extend(reading, events)
                self.rings.end(reading)
            case "sweep":
                self.now_ms += number * 10
                self.rings.sweep(self.now_ms)
            case "epoch":
                self.epoch += 1
                lost = self.position - number % 3
                for at, old in enumerate(self.stored):
                    if old.seq > lost:  # the stream holds nothing there any more
                        self.stored[at] = event(old.seq, key("nobody"), epoch=self.epoch)
                self.skipped = {seq for seq in self.skipped if seq <= lost}
                self.rings.reset("us", self.position)

    def check(self) -> None:
        rings, bounds = self.rings, self.rings.bounds
        held = 0
        for room in ROOMS:
            ring = rings.get(room, "us")
            if ring is None:
                continue
            held += ring.bytes
            assert ring.bytes == sum(len(e.data) + EVENT_BYTES for e in ring.events)
            assert len(ring.events) <= bounds.events
            assert ring.bytes <= bounds.bytes
            for after in range(max(ring.base - 2, 0), self.position + 1):
                covered = not rings.cold("us", [room], after)
                assert covered == (after >= ring.base)
                if covered:
                    assert seqs(rings, after, self.position, room) == self.truth(
                        room, after, self.position
                    )
        assert rings.bytes == held <= bounds.total_bytes
        warm = [room for room in ROOMS if not rings.cold("us", [room], self.position // 2)]
        merged = seqs(rings, self.position // 2, self.position, *warm)
        assert merged == sorted(
            seq for room in warm for seq in self.truth(room, self.position // 2, self.position)
        )


_ACTS = ["store"] * 3 + ["skip", "find", "open", "close", "read", "done", "sweep", "epoch"]
_ONE = st.tuples(st.sampled_from(_ACTS), st.sampled_from((A, A, A, B, C)), st.integers(0, 400)).map(
    lambda step: [step]
)
# Some events, and a read of what lies before a ring, in whose time other things happen.
_SOME = st.integers(1, 4).map(lambda count: [("store", A, 1)] * count)
_READ = st.tuples(st.lists(_ONE, max_size=3), st.integers(0, 400)).map(
    lambda drawn: [
        ("open", A, 0),
        ("read", A, drawn[1]),
        *(step for group in drawn[0] for step in group),
        ("done", A, 0),
    ]
)
_STEPS = st.lists(st.one_of(_ONE, _SOME, _READ), max_size=30).map(
    lambda groups: [step for group in groups for step in group]
)
_BOUNDS = st.builds(
    RingBounds,
    events=st.integers(1, 12),
    bytes=st.integers(2 * EVENT_BYTES, 16 * EVENT_BYTES),
    total_bytes=st.integers(2 * EVENT_BYTES, 30 * EVENT_BYTES),
    age_ms=st.integers(1, 5_000),
)


@settings(max_examples=1_000, deadline=None)
@given(steps=_STEPS, bounds=_BOUNDS)
def test_whatever_happens_a_ring_is_exact_or_says_from_where(
    steps: list[tuple[str, RoomKey, int]], bounds: RingBounds
) -> None:
    """Live events, late ones, reads that overlap all of it, evictions, new epochs, rooms closed."""
    edge = _Edge(Rings(bounds))
    for step in steps:
        edge.do(step)
        edge.check()

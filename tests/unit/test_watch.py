"""The watcher's proof: what the live feed jumped over, and whether it has what the markers say."""

from relay.core.marker import Marker, Segment
from relay.core.pair import MirrorState, Pair
from relay.core.watch import Again, Check, Finding, Skipped, Watch

SUBJECT = "ev.us._.0.a"


class Origin:
    """A stream that stores, and writes markers."""

    def __init__(self) -> None:
        self.stored: list[tuple[int, str, bytes]] = []
        self.marked = 0

    def store(self, data: bytes = b"1") -> tuple[int, str, bytes]:
        self.stored.append((len(self.stored) + 1, SUBJECT, data))
        return self.stored[-1]

    def mark(self) -> Marker:
        segment = Segment(self.marked + 1)
        for seq, subject, data in self.stored[self.marked :]:
            segment.add(seq, subject, data)
        self.marked = len(self.stored)
        marker = Marker(
            1, 0, 1, segment.first, segment.last, segment.count, segment.hexdigest(), ""
        )
        self.store(b"marker")
        return marker


def hear(watch: Watch, *events: tuple[int, str, bytes]) -> list[Finding]:
    return [finding for event in events for finding in watch.heard(*event)]


def joined() -> tuple[Origin, Watch]:
    origin, watch = Origin(), Watch("us")
    assert watch.joined(0) == ()
    return origin, watch


def test_a_segment_that_was_heard_whole_is_proved_by_its_marker() -> None:
    origin, watch = joined()
    for _ in range(3):
        assert not hear(watch, origin.store(), origin.store())
        marker = origin.mark()
        assert not hear(watch, origin.stored[-1])
        assert watch.marked(marker) == ()
        assert watch.proved == marker.last


def test_events_stored_between_the_hash_and_its_marker_belong_to_the_next_segment() -> None:
    origin, watch = joined()
    hear(watch, origin.store())
    first = origin.mark()
    late = origin.stored.pop()
    assert not hear(watch, origin.store(b"between"), (late[0] + 1, SUBJECT, late[2]))
    assert watch.marked(first) == ()
    assert watch.proved == 1


def test_what_the_feed_jumped_over_is_named_and_the_segment_read_again() -> None:
    origin, watch = joined()
    one, _, _, four = (origin.store() for _ in range(4))
    assert hear(watch, one, four) == [Skipped(2, 3)]
    marker = origin.mark()
    assert not hear(watch, origin.stored[-1])
    assert watch.marked(marker) == (Check(marker),)
    hear(watch, origin.store())
    following = origin.mark()
    hear(watch, origin.stored[-1])
    assert watch.marked(following) == ()


def test_other_bytes_under_the_same_sequence_do_not_pass() -> None:
    origin, watch = joined()
    origin.store(b"theirs")
    hear(watch, (1, SUBJECT, b"ours"))
    marker = origin.mark()
    hear(watch, origin.stored[-1])
    assert watch.marked(marker) == (Check(marker),)
    assert watch.proved == 0


def test_a_sequence_that_comes_twice_is_said() -> None:
    origin, watch = joined()
    event = origin.store()
    assert hear(watch, event, event) == [Again(1)]


def test_what_came_while_the_watcher_was_away_is_to_be_read() -> None:
    origin, watch = joined()
    hear(watch, origin.store())
    assert watch.joined(4) == (Skipped(2, 4, sure=False),)
    assert not hear(watch, (5, SUBJECT, b"1"))


def test_a_watcher_that_has_not_joined_judges_nobody() -> None:
    watch = Watch("us")
    assert watch.heard(7, SUBJECT, b"") == ()
    assert watch.marked(Origin().mark()) == ()


def test_what_outgrows_the_buffer_is_read_again_instead() -> None:
    origin, watch = Origin(), Watch("us", buffer_events=2)
    watch.joined(0)
    assert not hear(watch, *(origin.store() for _ in range(5)))
    marker = origin.mark()
    assert watch.marked(marker) == (Check(marker),)


def test_a_mirror_is_wedged_when_it_stands_still_behind_an_origin_that_is_heard() -> None:
    pair = Pair("us")
    assert pair.look(0.0, 10, None) is MirrorState.CUT
    assert pair.look(1.0, 10, (10, 1.0)) is MirrorState.CURRENT
    assert pair.look(2.0, 10, (12, 2.0)) is MirrorState.BEHIND
    assert pair.lag_events == 2
    assert pair.look(4.5, 10, (14, 4.0)) is MirrorState.WEDGED
    assert pair.look(5.5, 11, (15, 5.0)) is MirrorState.BEHIND, "it moves again"
    assert pair.look(9.0, 11, (15, 5.0)) is MirrorState.CUT, "how far the origin is, is not known"


def test_a_new_watcher_looks_back_to_where_somebody_watched_before() -> None:
    watch = Watch("us")
    assert watch.joined(9, heard=6) == (Skipped(7, 9, sure=False),)
    assert watch.joined(9, heard=6) == (), "and, when it was away itself, to where it was"
    assert Watch("us").joined(9, heard=9) == ()


def test_what_came_before_the_stream_said_where_it_ends_was_not_jumped_over() -> None:
    origin, watch = Origin(), Watch("us")
    for _ in range(4):
        origin.store()
    assert not hear(watch, *origin.stored[1:])  # 2, 3, 4: the answer says that 2 is the last
    assert watch.joined(2) == ()
    assert not hear(watch, origin.store())


def test_of_what_did_not_come_until_then_nobody_is_sure() -> None:
    origin, watch = Origin(), Watch("us")
    for _ in range(6):
        origin.store()
    assert not hear(watch, origin.stored[1], origin.stored[4], origin.stored[5])
    assert watch.joined(2) == (Skipped(3, 4, sure=False),)
    assert not hear(watch, origin.store())


def test_what_came_long_before_the_end_of_the_stream_changes_nothing() -> None:
    origin, watch = Origin(), Watch("us")
    for _ in range(9):
        origin.store()
    assert not hear(watch, origin.stored[1], origin.stored[2])
    assert watch.joined(8) == ()
    assert hear(watch, (10, SUBJECT, b"1")) == [Skipped(9, 9)]

"""Whether a cursor can be resumed in a region."""

from relay.core.codes import Invalid
from relay.core.cursor import Position
from relay.core.resume import Accept, Gap, Refuse, StreamState, judge

STREAMS = {
    "us": StreamState(epoch=2, first=10, last=100, home=True),
    "eu": StreamState(epoch=1, first=1, last=50),
}


def at(**places: tuple[int, int]) -> dict[str, Position]:
    return {origin: Position(*place) for origin, place in places.items()}


def test_what_is_held_is_replayed() -> None:
    assert judge(at(us=(2, 40), eu=(1, 50)), STREAMS) == Accept({"us": 40, "eu": 50})


def test_the_last_sequence_before_the_first_held_still_joins() -> None:
    assert judge(at(us=(2, 9), eu=(1, 0)), STREAMS) == Accept({"us": 9, "eu": 0})


def test_ahead_of_a_mirror_is_fine_and_ahead_of_home_is_not() -> None:
    assert judge(at(us=(2, 100), eu=(1, 70)), STREAMS) == Accept({"us": 100, "eu": 70})
    assert judge(at(us=(2, 101), eu=(1, 50)), STREAMS) == Refuse(Invalid.AHEAD)


def test_an_older_epoch_is_refused_and_a_newer_one_may_be_retried() -> None:
    assert judge(at(us=(1, 40), eu=(1, 50)), STREAMS) == Refuse(Invalid.EPOCH)
    assert judge(at(us=(2, 40), eu=(2, 50)), STREAMS) == Refuse(Invalid.BEHIND, retry=True)


def test_an_epoch_that_only_a_region_knows_that_is_long_gone_is_not_waited_for() -> None:
    gone = STREAMS | {"eu": StreamState(epoch=1, first=1, last=50, gone=True)}
    assert judge(at(us=(2, 40), eu=(2, 50)), gone) == Refuse(Invalid.BEHIND)
    assert judge(at(us=(3, 40), eu=(1, 50)), gone) == Refuse(Invalid.BEHIND, retry=True)
    assert judge(at(us=(2, 40), eu=(1, 60)), gone) == Accept({"us": 40, "eu": 60})


def test_what_is_no_longer_held_is_named() -> None:
    refused = judge(at(us=(2, 3), eu=(1, 50)), STREAMS)
    assert refused == Refuse(Invalid.EXPIRED, missing={"us": (4, 9)})


def test_an_empty_stream_that_expired_behind_the_cursor_is_no_loss() -> None:
    empty = {"us": StreamState(1, first=101, last=100, home=True)}
    assert judge(at(us=(1, 100)), empty) == Accept({"us": 100})
    assert judge(at(us=(1, 90)), empty) == Refuse(Invalid.EXPIRED, missing={"us": (91, 100)})


def test_a_region_added_later_is_replayed_from_its_start() -> None:
    assert judge(at(us=(2, 40)), STREAMS) == Accept({"us": 40, "eu": 0})


def test_a_region_that_is_gone_is_a_gap() -> None:
    verdict = judge(at(us=(2, 40), eu=(1, 50), old=(3, 7)), STREAMS)
    assert isinstance(verdict, Accept)
    assert verdict.gaps == (Gap("old", 3, 8, None, "origin_removed"),)


def test_nothing_is_said_to_be_gone_while_an_origin_that_may_have_it_is_silent() -> None:
    unsure = {"eu": StreamState(1, first=10, last=50, unsure=True)}
    assert judge(at(eu=(1, 3)), unsure) == Refuse(Invalid.UNAVAILABLE, retry=True)
    assert judge(at(eu=(1, 9)), unsure) == Accept({"eu": 9})

"""Where the final scan begins to read a copy of a stream."""

from regions.ledger.record import Opening
from regions.ledger.scan import begins_of

OPENINGS = [
    Opening(0, "us", "us", 1, 900, epoch=2),
    Opening(0, "eu", "us", 1, 870),
    Opening(0, "eu", "eu", 1, 40, epoch=1),
    Opening(0, "us", "eu", 1, 40),
]


def test_each_copy_is_read_from_where_it_ended_before_the_crowd_came() -> None:
    assert begins_of(OPENINGS, {"us": 2, "eu": 1}) == {
        ("us", "us"): 901, ("eu", "us"): 871, ("eu", "eu"): 41, ("us", "eu"): 41,
    }  # fmt: skip


def test_all_is_read_where_an_epoch_began_that_may_lie_before() -> None:
    assert begins_of(OPENINGS, {"us": 3, "eu": 1}) == {("eu", "eu"): 41, ("us", "eu"): 41}


def test_all_is_read_where_the_origin_does_not_answer_or_nobody_looked() -> None:
    assert begins_of(OPENINGS, {"eu": 1}) == {("eu", "eu"): 41, ("us", "eu"): 41}
    assert begins_of([], {"us": 2, "eu": 1}) == {}

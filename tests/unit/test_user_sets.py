"""Different users over all edges: exact while sets are held, estimated beyond."""

import random

import pytest

from relay.core.hyperloglog import ERROR, REGISTERS, HyperLogLog
from relay.core.user_sets import Said, UserSets, hash_of, pack


class Edge:
    """An edge that says which users it has."""

    def __init__(self, region: str, name: str, epoch: int = 1) -> None:
        self.region, self.name, self.epoch = region, name, epoch
        self.number = 0
        self.users: set[int] = set()

    def says(self, came: str = "", went: str = "") -> Said:
        """The changes of a second."""
        more = {hash_of("_", user) for user in came.split()}
        less = {hash_of("_", user) for user in went.split()}
        self.users = (self.users | more) - less
        self.number += 1
        return Said(
            self.region, self.name, self.epoch, self.number, len(self.users),
            came=pack(more), went=pack(less),
        )  # fmt: skip

    def whole(self, size: int = 2) -> list[Said]:
        """All of its users, in parts."""
        users = sorted(self.users)
        parts = [users[at : at + size] for at in range(0, len(users), size)] or [[]]
        return [
            Said(
                self.region, self.name, self.epoch, self.number, len(users),
                came=pack(part), part=at, parts=len(parts),
            )
            for at, part in enumerate(parts)
        ]  # fmt: skip

    def sketch(self) -> Said:
        """A sketch of them."""
        made = HyperLogLog()
        made.add(self.users)
        return Said(
            self.region, self.name, self.epoch, self.number, len(self.users),
            sketch=made.registers,
        )  # fmt: skip


def test_a_user_at_two_edges_counts_once_in_all_and_once_in_each_region() -> None:
    sets, us, eu = UserSets(), Edge("us", "us-1"), Edge("eu", "eu-1")
    sets.hear(us.says("ana bo"), 0)
    sets.hear(eu.says("ana cy"), 0)
    assert (sets.users(), sets.users_by_region(), sets.exact) == (3, {"us": 2, "eu": 2}, True)
    sets.hear(us.says(went="ana"), 1)
    assert (sets.users(), sets.users_by_region()) == (3, {"us": 1, "eu": 2})
    sets.hear(eu.says(went="ana"), 1)
    assert (sets.users(), sets.users_by_region()) == (2, {"us": 1, "eu": 1})


def test_who_missed_changes_asks_and_is_exact_again_when_all_is_said() -> None:
    sets, edge = UserSets(), Edge("us", "us-1")
    sets.hear(edge.says("ana"), 0)
    edge.says("bo cy")  # is lost
    sets.hear(edge.says("di", went="ana"), 2)
    assert not sets.exact
    assert [place for place, _ in sets.asks(2)] == [("us", "us-1")]
    assert sets.asks(2.5) == [], "it has been asked"
    for part in reversed(edge.whole()):
        assert not sets.exact
        sets.hear(part, 3)
    assert (sets.exact, sets.users()) == (True, 3)
    sets.hear(edge.says("ed"), 4)
    assert (sets.exact, sets.users()) == (True, 4)


def test_who_begins_to_count_asks_edges_that_were_there_before() -> None:
    sets, edge = UserSets(), Edge("us", "us-1")
    edge.says("ana")
    sets.hear(edge.says("bo"), 0)
    assert (sets.exact, sets.users()) == (False, 0)
    assert len(sets.asks(0)) == 1
    for part in edge.whole():
        sets.hear(part, 1)
    assert (sets.exact, sets.users()) == (True, 2)


def test_a_part_that_is_older_than_what_was_heard_since_is_not_believed() -> None:
    sets, edge = UserSets(), Edge("us", "us-1")
    edge.says("ana bo")
    old = edge.whole(size=9)
    sets.hear(edge.says("cy"), 0)
    for part in old:
        sets.hear(part, 1)
    assert not sets.exact
    assert len(sets.asks(2)) == 1


def test_a_newer_life_of_an_edge_replaces_the_older_and_an_older_says_nothing() -> None:
    sets, old = UserSets(), Edge("us", "us-1", epoch=1)
    sets.hear(old.says("ana bo"), 0)
    new = Edge("us", "us-1", epoch=2)
    sets.hear(new.says("cy"), 1)
    assert (sets.users(), sets.exact) == (1, True)
    sets.hear(old.says("di"), 2)
    assert sets.users() == 1


def test_an_edge_that_is_silent_is_dropped_with_its_users() -> None:
    sets, us, eu = UserSets(), Edge("us", "us-1"), Edge("eu", "eu-1")
    sets.hear(us.says("ana bo"), 0)
    sets.hear(eu.says("ana"), 5)
    sets.drop_silent(before_s=1)
    assert (sets.users(), sets.users_by_region()) == (1, {"eu": 1})


def test_beyond_the_limit_users_are_estimated_and_exact_again_below() -> None:
    sets, edge = UserSets(exact=100, again=90), Edge("us", "us-1")
    names = [f"u{n}" for n in range(120)]
    sets.hear(edge.says(" ".join(names)), 0)
    assert (sets.sketching, sets.exact, sets.users()) == (True, True, 120), "until it is sketched"
    assert [(place, ask.sketch) for place, ask in sets.asks(0)] == [(("us", "us-1"), True)]
    sets.hear(edge.sketch(), 0)
    assert (sets.exact, sets.error) == (False, ERROR)
    assert abs(sets.users() - 120) <= 3
    assert sets.asks(5) == [], "a sketch is good for ten seconds"
    assert len(sets.asks(11)) == 1
    sets.hear(edge.says(went=" ".join(names[:40])), 12)
    assert (sets.sketching, sets.exact, sets.error) == (False, False, ERROR), "until it is whole"
    assert abs(sets.users() - 120) <= 3
    assert [ask.sketch for _, ask in sets.asks(12)] == [False]
    for part in edge.whole(size=50):
        sets.hear(part, 13)
    assert (sets.users(), sets.exact, sets.error) == (80, True, 0.0)


def test_who_changes_over_never_tells_of_a_part_of_the_edges() -> None:
    """It said 0 users, with a standard error of 0.8 %, while it waited for sketches."""
    sets, us, eu = UserSets(exact=100, again=90), Edge("us", "us-1"), Edge("eu", "eu-1")
    sets.hear(us.says(" ".join(f"u{n}" for n in range(80))), 0)
    sets.hear(eu.says(" ".join(f"e{n}" for n in range(80))), 0)
    assert (sets.users(), sets.exact, sets.error) == (160, True, 0.0)
    sets.hear(us.sketch(), 1)
    assert (sets.users(), sets.exact, sets.error) == (160, True, 0.0), "one of two is none"
    sets.hear(eu.says("new"), 1)
    assert (sets.users(), sets.exact) == (161, True), "changes are counted meanwhile"
    sets.hear(eu.sketch(), 2)
    assert (sets.exact, sets.error) == (False, ERROR)
    late = Edge("ap", "ap-1")
    late.says("a")
    sets.hear(late.says("b"), 3)
    assert (sets.exact, sets.error) == (False, 0.0), "an edge of which nothing is known yet"
    sets.hear(late.sketch(), 3)
    assert sets.error == ERROR
    begun = Edge("ap", "ap-2")
    sets.hear(begun.says(""), 4)
    assert sets.error == ERROR, "one that has just begun has nobody"
    assert [place for place, _ in sets.asks(4)].count(("ap", "ap-2")) == 1


def test_one_that_gives_no_sketch_does_not_let_sets_grow_for_ever() -> None:
    sets, us, eu = UserSets(exact=100, again=90), Edge("us", "us-1"), Edge("eu", "eu-1")
    sets.hear(us.says(" ".join(f"u{n}" for n in range(120))), 0)
    sets.hear(eu.says(" ".join(f"e{n}" for n in range(120))), 0)
    assert (sets.exact, sets.error) == (False, 0.0)
    assert sets._all == {}


@pytest.mark.parametrize(
    "wrong",
    [
        Said("us", "us-1", 1, 2, 1, came=b"1234567"),
        Said("us", "us-1", 1, 2, 1, went=b"123456789"),
        Said("us", "us-1", 1, 2, 1, sketch=b"123"),
        Said("us", "us-1", 1, 2, 1, sketch=b"\xff" * REGISTERS),
    ],
)
def test_what_can_not_be_changes_nothing(wrong: Said) -> None:
    sets, edge = UserSets(), Edge("us", "us-1")
    sets.hear(edge.says("ana"), 0)
    with pytest.raises(ValueError, match=r"length|sketch|registers"):
        sets.hear(wrong, 1)
    assert (sets.users(), sets.exact) == (1, True)


def test_any_sequence_of_changes_gives_the_union() -> None:
    dice, sets = random.Random(5), UserSets()
    edges = [Edge(region, f"{region}-{n}") for region in ("us", "eu") for n in (1, 2)]
    for second in range(300):
        lost = False  # is known when the next one comes
        for edge in edges:
            here = sorted(edge.users)
            came = " ".join(f"u{dice.randrange(40)}" for _ in range(dice.randrange(3)))
            gone = {each for each in here if dice.random() < 0.1}
            names = {hash_of("_", f"u{n}"): f"u{n}" for n in range(40)}
            went = " ".join(names[each] for each in gone if names[each] not in came.split())
            said = edge.says(came, went)
            if dice.random() < 0.95:
                sets.hear(said, second)
            else:
                lost = True
        for (region, name), _ in sets.asks(second):
            edge = next(each for each in edges if (each.region, each.name) == (region, name))
            for part in edge.whole(size=5):
                sets.hear(part, second)
        if not lost:
            assert sets.exact
            assert sets.users() == len(set().union(*(edge.users for edge in edges)))


@pytest.mark.parametrize("count", [0, 1, 100, 10_000, 60_000, 300_000])
def test_a_sketch_is_as_far_off_as_it_says(count: int) -> None:
    dice, sketch = random.Random(count), HyperLogLog()
    hashes = [dice.getrandbits(64) for _ in range(count)]
    sketch.add(hashes)
    sketch.add(hashes)
    assert abs(sketch.count() - count) <= 4 * ERROR * count
    united = HyperLogLog()
    half = HyperLogLog()
    half.add(hashes[: count // 2])
    other = HyperLogLog(sketch.registers)
    united.unite(half)
    united.unite(other)
    assert united.count() == sketch.count()

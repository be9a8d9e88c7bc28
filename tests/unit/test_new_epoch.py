"""What sessions are told of a new epoch, also where they have more than their edge."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.core.copy import Copy
from relay.core.feed import NewEpoch
from relay.core.join import Ahead, Join
from relay.core.runs import Runs
from relay.edge.edge import Edge
from relay.edge.feeds import Feeds
from relay.edge.membership import Membership

TURNED = NewEpoch(old=1, new=2, position=3)


@dataclass(eq=False)
class _Passage:
    """A join at work."""

    join: Join


class _Connection:
    """A client's connection of an edge in us, and what it is told."""

    def __init__(
        self, *, ahead: Ahead | None = None, joining: dict[str, int] | None = None
    ) -> None:
        self.session = SimpleNamespace(grants=object())
        self.ahead = ahead
        self.told: list[tuple[int, int, int | None]] = []
        self.membership = Membership(cast("Any", self), cast("Any", SimpleNamespace(hub=None)))
        if joining:
            join = Join(frozenset(), joining, {}, buffer_events=1)
            self.membership.passages.append(cast("Any", _Passage(join)))

    def dispatch(self, _name: str, d: dict[str, Any]) -> None:
        assert d["reason"] == "epoch"
        self.told.append((d["epoch"], d["first"], d["last"]))


def tell(
    connection: _Connection, origin: str = "eu", skipped: tuple[int, ...] = ()
) -> list[tuple[int, int, int | None]]:
    """(epoch, first, last) of the GAPs that an edge of us sends when `origin` begins anew."""
    edge = SimpleNamespace(
        config=SimpleNamespace(region="us"),
        copies=SimpleNamespace(known=lambda _: Copy(1, 9, Runs.of(skipped))),
        gate=SimpleNamespace(epoch=2),
        gateway=SimpleNamespace(connections={connection}),
    )
    Edge._new_epoch(cast("Any", edge), origin, TURNED)
    return connection.told


def test_who_stands_where_the_edge_does_lacks_the_old_end_and_may_lack_what_is_below() -> None:
    assert tell(_Connection()) == [(1, 4, None), (2, 1, 3)]


def test_a_session_that_has_more_than_the_edge_is_told_up_to_where_it_stands() -> None:
    # What the new epoch gives out up to there is not sent to it: the edge takes it for known.
    assert tell(_Connection(ahead=Ahead({"eu": 7}))) == [(1, 4, None), (2, 1, 7)]


def test_what_the_copy_here_had_skipped_may_be_lost_as_well() -> None:
    assert tell(_Connection(), skipped=(2, 3, 9)) == [(1, 2, None), (2, 1, 3)]
    assert tell(_Connection(), skipped=(9,)) == [(1, 4, None), (2, 1, 3)]


def test_a_session_that_is_still_replaying_lacks_what_comes_after_what_it_was_sent() -> None:
    assert tell(_Connection(joining={"eu": 1})) == [(1, 2, None), (2, 1, 3)]


def test_so_is_one_that_is_still_on_its_way_into_rooms() -> None:
    assert tell(_Connection(joining={"eu": 9})) == [(1, 4, None), (2, 1, 9)]


@pytest.mark.parametrize(("has", "told"), [(3, []), (7, [(2, 1, 7)])])
def test_the_home_region_itself_starts_above_what_it_had_delivered(
    has: int, told: list[tuple[int, int, int]]
) -> None:
    assert tell(_Connection(joining={"us": has}), "us") == [(1, 4, None), *told]


def test_who_resumes_before_the_new_epochs_first_event_meets_the_new_epoch() -> None:
    moved: list[tuple[str, int, int]] = []
    feeds = SimpleNamespace(
        _rings=SimpleNamespace(reset=lambda *_: None),
        _hub=SimpleNamespace(move=lambda *place: moved.append(place)),
        on_epoch=lambda *_: None,
    )
    feed = SimpleNamespace(origin="eu", epoch=2)
    Feeds.carry_out(cast("Any", feeds), cast("Any", feed), [TURNED])
    assert moved == [("eu", 2, 3)]

"""How a session is seen that was resumed: as it says, as it was seen before, or online."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.config import Limits
from relay.core.attendance import MOVED_S
from relay.core.presence import ONLINE, Shown, Status
from relay.edge.presence import LATE_S, TOLD_S, Presence
from relay.edge.seat import Seat
from tests.unit.session_playbook import Playbook

ID = "session"
IDLE = Shown(Status.IDLE)


@dataclass
class _Edge:
    """One edge's presence, on a clock of the test's own."""

    presence: Presence
    at_s: float = 0.0
    resumes: int = 0
    seats: list[Seat] = field(default_factory=list)

    def resume(self, shown: object = "silent") -> Any:
        """A connection resumes the session, and says how it is to be seen, or does not."""
        session = Playbook().session
        session.session_id = ID
        session.grants = cast("Any", SimpleNamespace(tenant="_", user="ann"))
        if shown != "silent":
            session.shown, session.shows = cast("Any", shown), True
        self.resumes += 1
        self.presence.back(session, self.resumes)
        return session

    def pass_s(self, seconds: float) -> None:
        """Time passes, and the edge looks."""
        self.at_s += seconds
        self.presence._stop_waiting(self.at_s)

    def seen(self) -> Shown | None:
        """What the edge says of it from its next window on."""
        self.presence.attendance.window(self.at_s)
        return self.presence.attendance.said.get(("_", "~"), {}).get("ann")


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> _Edge:
    nothing = cast("Any", SimpleNamespace())
    one = _Edge(Presence(nothing, nothing, ("us", "us-1", 1), Limits()))
    monkeypatch.setattr("relay.edge.clock.now", lambda: SimpleNamespace(mono_s=one.at_s))
    return one


def test_it_is_seen_as_it_was_before_when_that_edge_says_so(edge: _Edge) -> None:
    edge.resume()
    assert edge.seen() is None
    edge.presence.told(ID, 1, IDLE)
    assert edge.seen() == IDLE


def test_where_nobody_says_so_it_is_online(edge: _Edge) -> None:
    session = edge.resume()
    edge.pass_s(TOLD_S + 0.1)
    assert edge.seen() == session.shown == ONLINE


def test_who_says_it_late_is_believed_and_who_says_it_far_too_late_is_not(edge: _Edge) -> None:
    for wait_s, seen in ((LATE_S / 2, IDLE), (LATE_S * 2, ONLINE)):
        edge.presence.attendance.clear()
        edge.resume()
        edge.pass_s(TOLD_S + 0.1)
        assert edge.presence.seen(ID) is None, "it is only presumed"
        edge.pass_s(wait_s)
        edge.presence.told(ID, edge.resumes, IDLE)
        assert edge.seen() == seen
        assert edge.presence.seen(ID) == (seen,)


def test_what_a_former_edge_says_late_counts_until_the_last_one_says_something(
    edge: _Edge,
) -> None:
    edge.resume()
    edge.pass_s(TOLD_S + 0.1)
    edge.presence.told(ID, 1, IDLE, former=True)
    assert edge.seen() == IDLE
    edge.presence.told(ID, 1, ONLINE, former=True)
    assert edge.seen() == IDLE
    edge.presence.told(ID, 1, None)
    assert edge.seen() is None


def test_what_was_presumed_is_asked_for_again_at_its_next_connection(edge: _Edge) -> None:
    edge.resume()
    edge.pass_s(TOLD_S + 0.1)
    edge.presence.ended(ID, 1006)
    edge.resume()
    assert edge.seen() == ONLINE
    edge.presence.told(ID, 1, IDLE)
    assert edge.seen() == IDLE


def test_a_session_that_moves_at_the_end_of_its_grace_is_seen_until_its_new_edge_shows_it(
    edge: _Edge,
) -> None:
    edge.resume(IDLE)
    edge.presence.ended(ID, 1006)
    edge.at_s = 9.9
    edge.presence.moved(ID)
    edge.at_s = 10.1
    assert edge.seen() == IDLE
    edge.presence.moved(ID)  # announced again
    edge.at_s = 9.9 + MOVED_S + 0.1
    assert edge.seen() is None


def test_one_that_was_cut_before_it_was_known_is_online_when_it_is_back(edge: _Edge) -> None:
    edge.resume()
    edge.presence.ended(ID, 1006)
    assert edge.seen() is None
    edge.resume()
    edge.pass_s(TOLD_S + 0.1)
    assert edge.seen() == ONLINE


def test_one_that_was_cut_before_it_was_known_is_seen_as_is_said_then(edge: _Edge) -> None:
    edge.resume()
    edge.presence.ended(ID, 1006)
    edge.presence.told(ID, 1, IDLE)
    assert edge.seen() == IDLE, "for its grace"
    edge.resume()
    assert edge.seen() == IDLE


def test_an_answer_to_the_first_of_two_resumes_counts_and_an_older_one_does_not(
    edge: _Edge,
) -> None:
    edge.resumes = 6
    edge.resume()
    edge.resume()
    edge.presence.told(ID, 5, None)
    edge.presence.told(ID, 7, IDLE)
    assert edge.seen() == IDLE
    edge.pass_s(TOLD_S + 0.1)
    assert edge.seen() == IDLE


def test_one_that_is_not_known_tells_the_next_edge_nothing(edge: _Edge) -> None:
    edge.resume()
    assert edge.presence.seen(ID) is None
    edge.presence.moved(ID)
    assert edge.presence.seen(ID) is None


def test_one_that_is_known_tells_it_for_as_long_as_it_stays(edge: _Edge) -> None:
    edge.resume(None)
    assert edge.presence.seen(ID) == (None,)
    edge.presence.moved(ID)
    assert edge.presence.seen(ID) == (None,)


def test_what_a_newer_connection_says_is_not_taken_back(edge: _Edge) -> None:
    edge.resume()
    edge.resume(None)
    edge.presence.told(ID, 2, ONLINE)
    edge.pass_s(TOLD_S + 0.1)
    assert edge.seen() is None


def test_what_it_says_while_it_is_not_known_stands(edge: _Edge) -> None:
    session = edge.resume()
    session.shown, session.shows = IDLE, True
    edge.presence.attend(cast("Any", SimpleNamespace(looking=frozenset())), session)
    edge.presence.told(ID, 1, ONLINE)
    edge.pass_s(TOLD_S + 0.1)
    assert edge.seen() == IDLE


def test_what_it_said_while_it_was_not_known_stands_over_its_next_connection(edge: _Edge) -> None:
    session = edge.resume()
    session.shown, session.shows = None, True
    edge.presence.attend(cast("Any", SimpleNamespace(looking=frozenset())), session)
    edge.presence.ended(ID, 1006)
    edge.resume()
    edge.presence.told(ID, 2, ONLINE)
    edge.pass_s(TOLD_S + 0.1)
    assert edge.seen() is None
    assert edge.presence.seen(ID) == (None,)


def test_what_an_edge_before_the_last_one_says_counts_if_nobody_else_says_anything(
    edge: _Edge,
) -> None:
    edge.resume()
    edge.presence.told(ID, 1, IDLE, former=True)
    assert edge.seen() is None
    edge.resume()
    edge.pass_s(TOLD_S + 0.1)
    assert edge.seen() == IDLE
    edge.presence.attendance.end(ID, edge.at_s, 0)
    assert edge.seen() is None
    edge.resume()
    edge.presence.told(ID, 3, IDLE, former=True)
    edge.presence.told(ID, 3, ONLINE)
    assert edge.seen() == ONLINE


def test_one_that_comes_back_from_another_edge_is_seen_as_it_was_there(edge: _Edge) -> None:
    edge.resume(ONLINE)
    edge.presence.moved(ID)
    edge.resume()
    edge.presence.told(ID, 2, None)
    assert edge.seen() is None
    edge.presence.moved(ID)
    edge.resume()
    edge.pass_s(TOLD_S + 0.1)
    assert edge.seen() is None, "as it was here, where nobody says"


def test_a_refused_room_stops_no_watch_of_a_user_of_its_name() -> None:
    nothing = cast("Any", SimpleNamespace())
    presence = Presence(nothing, nothing, ("us", "us-1", 1), Limits(presence_scopes=1))
    session = Playbook().session
    session.grants = cast("Any", SimpleNamespace(tenant="_", user="ann"))
    session.rooms = {"bo": True}
    session.looking = session.watched = frozenset({"bo"})
    presence.viewers.look = lambda *_: {("_", "bo")}  # type: ignore[method-assign,assignment]
    told = presence.attend(cast("Any", SimpleNamespace()), session)
    assert len(told) == 1
    assert (session.looking, session.watched) == (frozenset(), frozenset({"bo"}))

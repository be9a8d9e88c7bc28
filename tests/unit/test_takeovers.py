"""What an edge knows of sessions that moved, and says again."""

from relay.edge.takeovers import REPEAT_S, Takeover, Takeovers


def at(resumed_at: int, edge: str = "ap-1") -> Takeover:
    return Takeover("s", edge, 1, resumed_at)


def test_a_resume_elsewhere_is_news_until_this_edge_resumed_the_session_itself() -> None:
    """Repeated, it ended the grace of one that had come back and was cut off again."""
    known = Takeovers()
    assert known.heard(at(10))
    assert known.heard(at(10)), "said again, to whoever has come meanwhile"
    known.resumed(at(20, "eu-1"), 0.0)
    assert not known.heard(at(10))
    assert known.newest("s") == 10
    assert known.heard(at(30))


def test_what_another_edge_has_resumed_since_is_not_announced_any_more() -> None:
    known = Takeovers()
    known.resumed(at(20, "eu-1"), 0.0)
    assert known.announced(1.0) == [at(20, "eu-1")]
    assert known.heard(at(30))
    assert known.announced(2.0) == []


def test_an_announcement_is_repeated_for_a_minute() -> None:
    known = Takeovers()
    known.resumed(at(20, "eu-1"), 0.0)
    assert known.announced(REPEAT_S - 1)
    assert not known.announced(REPEAT_S + 1)

"""How many events a second a room has, by what its rings remember."""

import pytest

from relay.core.event import Event
from relay.core.ring import Ring
from relay.edge.room_view import rate_of

NOW_MS = 1_800_000_000_000


def ring(*ages_ms: int) -> Ring:
    """Events that were stored so long ago."""
    made = Ring(0)
    for seq, age_ms in enumerate(ages_ms, 1):
        event = Event("us", 1, seq, "_", "a", "u", str(seq), 0, b"1", stored_ms=NOW_MS - age_ms)
        made.append(event, 0)
    return made


@pytest.mark.parametrize(
    ("held", "rate"),
    [
        (ring(), 0.0),
        (ring(60_000, 30_000, 10_000), 0.0),
        (ring(60_000, 9_999, 5_000, 0), 0.3),
        (ring(*range(2_000, 0, -1)), 1_000.0),  # all that it holds: older ones may be gone
        (ring(90_000, *range(2_000, 0, -1)), 200.0),
        (ring(*[5] * 1_200), 1_200.0),
    ],
)
def test_the_rate_is_of_the_last_ten_seconds(held: Ring, rate: float) -> None:
    assert rate_of(held, NOW_MS) == pytest.approx(rate)

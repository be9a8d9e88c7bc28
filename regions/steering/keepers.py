"""What keepers tell of doors, as observations: who plans goes by them, and tries none himself."""

from collections.abc import Callable, Collection

import msgspec

from regions.news import SteeringNews, decode_news
from regions.steering.health import FRESH_S, EdgeKey, Observer, Try
from relay.core.steering import State

KEEPERS = 64  # that are listened to


class Keepers:
    """The newest of each keeper that goes through doors.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._newest: dict[str, tuple[float, SteeringNews]] = {}  # whose, when it came, and what

    def hear(self, region: str, data: bytes) -> None:
        """One was heard in a region; what is no news of steering is nothing."""
        try:
            news = decode_news(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if not isinstance(news, SteeringNews):
            return
        by = news.by or region
        known = self._newest.get(by)
        late = known is not None and known[1].at_ms > news.at_ms
        if known is not None and late and self._clock() - known[0] <= FRESH_S:
            return  # after that its clock was set back
        if known is not None or len(self._newest) < KEEPERS:
            self._newest[by] = self._clock(), news

    def observers(self, edges: Collection[EdgeKey], but: str = "") -> list[Observer]:
        """What those saw that were heard lately, of these edges: what one does not name, it passed.

        What it has not tried often enough to be sure of, is no failure here either.

        Args:
            edges: all that are known.
            but: whose word is left out, since he asks.
        """
        now_s, found = self._clock(), []
        for by, (at_s, news) in sorted(self._newest.items()):
            if now_s - at_s > FRESH_S or not news.tried or by == but:
                continue
            tries = dict.fromkeys(edges, Try(at_s))
            for edge in news.edges:
                key = EdgeKey(edge.region, edge.name)
                if edge.door is None:
                    tries.pop(key, None)
                elif edge.door:
                    times = 1 if edge.state == State.OK else 2
                    tries[key] = Try(at_s, edge.door, times=times)
            found.append(Observer(f"the keeper of {by}", connected=False, tries=tries))
        return found

"""Removing duplicates: by (origin, epoch, seq) and by (user, room, id), both within bounds.

Membership is exact, not a highest sequence: a resume may bring an event far below the newest one
(a hole that was found later), and it must not be taken for a repeat.
"""

from relay.client.events import Message

DEDUP_EVENTS = 65_536


class Dedup:
    """What was seen, in two generations: from `events / 2` to `events` of the newest are known.

    Keys are kept as 64-bit hashes (about 200 bytes an event), salted per process.

    Args:
        events: how many events to remember at most.
    """

    __slots__ = ("_half", "_marks", "_new", "_old")

    def __init__(self, events: int = DEDUP_EVENTS) -> None:
        self._half = max(1, events // 2)
        self._new: dict[int, int] = {}  # hash of a place, or of a publish -> hash of its place
        self._old: dict[int, int] = {}
        self._marks: dict[str, dict[tuple[str, int], int]] = {}

    def __len__(self) -> int:
        """How many keys are remembered: two an event."""
        return len(self._new) + len(self._old)

    def replaying(self, room: str) -> None:
        """The application asked for the room's past: what it gets for that is new to it."""
        self._marks.setdefault(room, {})

    def replayed(self, room: str) -> None:
        """The replay that the application asked for is complete, or was given up."""
        self._marks.pop(room, None)

    def is_repeat(self, message: Message, replay: bool = False) -> bool:
        """Whether the application has `message` already; remembers it if not.

        Args:
            message: the event.
            replay: it came without a cursor, as frames replayed for a `since` do.
        """
        place = hash((message.origin, message.epoch, message.seq))
        publish = place if message.id is None else hash((message.user, message.room, message.id))
        first = self._first(publish)
        marks = self._marks.get(message.room) if replay else None
        if marks is not None:
            # One replay comes in order per origin, and starts over from its beginning after a cut.
            source = (message.origin, message.epoch)
            if message.seq <= marks.get(source, -1):
                return True
            marks[source] = message.seq
            if first is not None and first != place:
                return True  # stored twice, in two regions
        elif first is not None or self._first(place) is not None:
            return True
        self._new[place] = self._new[publish] = place
        if len(self._new) >= 2 * self._half:
            self._old, self._new = self._new, {}
        return False

    def _first(self, key: int) -> int | None:
        found = self._new.get(key)
        return self._old.get(key) if found is None else found

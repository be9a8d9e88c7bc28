"""Which users are at which edge, as 64-bit hashes, so that one who is at two counts once.

Every second an edge says who came and who went; who lacks one of these messages asks for the whole
set. Up to a million users the sets are held, and their union counted exactly; beyond, sketches. Who
changes from one to the other counts by what he has until all of the other has come.
"""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from relay.core.hyperloglog import ERROR, HyperLogLog

EXACT_USERS = 1_000_000
EXACT_AGAIN = 900_000  # below so many, sets are held again
MOST_HELD = 2.0  # times as many as are counted exactly, until all sketches have come
PART_USERS = 6_000  # in one message of a whole set: 48 kB
SKETCH_S = 10.0  # between two sketches of an edge

Place = tuple[str, str]  # region and edge


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an edge says of its users: the changes of a second, a part of the whole, or a sketch.

    Hashes are 8 bytes each, big-endian.
    """

    region: str
    edge: str
    epoch: int
    number: int  # of the changes; of a part and a sketch: the changes that are in it
    total: int  # users after them
    came: bytes = b""
    went: bytes = b""
    part: int = -1  # from 0, where it is a part of the whole
    parts: int = 0
    sketch: bytes = b""


class Ask(msgspec.Struct, frozen=True):
    """Asks an edge for its users."""

    sketch: bool = False


encode = msgspec.msgpack.Encoder().encode
decode_said = msgspec.msgpack.Decoder(Said).decode
decode_ask = msgspec.msgpack.Decoder(Ask).decode


def hash_of(tenant: str, user: str) -> int:
    """64 bits for a user of a tenant: two of a million share them once in 37 million times."""
    digest = hashlib.blake2b(f"{tenant}\x00{user}".encode(), digest_size=8).digest()
    return int.from_bytes(digest)


def pack(hashes: Iterable[int]) -> bytes:
    """Hashes as bytes."""
    return b"".join(each.to_bytes(8) for each in hashes)


def unpack(packed: bytes) -> "array[int]":
    """The hashes in `packed`.

    Raises:
        ValueError: it is no whole number of them.
    """
    hashes = array("Q", packed)
    if array("H", [1]).tobytes() != b"\x00\x01":
        hashes.byteswap()
    return hashes


@dataclass(slots=True)
class _Users:
    """What is known of one edge."""

    epoch: int
    heard_s: float
    number: int = 0  # of the last changes; with `whole`: that are in `hashes`
    total: int = 0
    whole: bool = False
    hashes: set[int] = field(default_factory=set)
    parts: "dict[int, array[int]]" = field(default_factory=dict)
    parts_of: int = -1  # the number that the parts belong to
    sketch: HyperLogLog | None = None
    sketched_s: float = -1e9
    asked_s: float = -1e9


class UserSets:
    """The users of all edges that are alive, as heard by one that counts.

    Args:
        exact: up to so many users sets are held.
        again: below so many they are held again.
    """

    def __init__(self, exact: int = EXACT_USERS, again: int = EXACT_AGAIN) -> None:
        self._exact, self._again = exact, again
        self._known: dict[Place, _Users] = {}
        self._counts: dict[str, Counter[int]] = {}  # region -> hash -> edges it is at
        self._all: Counter[int] = Counter()
        self.sketching = False

    def hear(self, said: Said, now_s: float) -> None:
        """An edge has said something.

        Raises:
            ValueError: it can't be so; nothing has changed.
        """
        came, went = unpack(said.came), unpack(said.went)
        sketch = HyperLogLog(said.sketch) if said.sketch else None
        place = (said.region, said.edge)
        known = self._known.get(place)
        if known is None or said.epoch > known.epoch:
            self.drop(place)
            known = self._known[place] = _Users(said.epoch, now_s)
            if said.number == 1 and said.part < 0:
                known.whole = True  # it has just begun, with nobody
            if known.whole and self.sketching:
                known.sketch = HyperLogLog()  # of nobody; the next one is asked for at once
        if said.epoch < known.epoch:
            return
        known.heard_s = now_s
        if sketch is not None:
            known.sketch, known.sketched_s = sketch, now_s
        elif said.part >= 0:
            self._hear_part(place, known, said, came)
        else:
            self._hear_changes(place, known, said, came, went)
        self._choose()

    def _hear_changes(
        self, place: Place, known: _Users, said: Said, came: "array[int]", went: "array[int]"
    ) -> None:
        if said.number <= known.number:
            return
        if said.number != known.number + 1:
            known.whole = False
        known.number, known.total = said.number, said.total
        if known.whole:
            self._put(place[0], known, came)
            self._take(place[0], known, went)
            known.whole = len(known.hashes) == said.total

    def _hear_part(self, place: Place, known: _Users, said: Said, hashes: "array[int]") -> None:
        if said.number < known.number or self.sketching:
            return  # changes have been heard since: it is asked for again
        if known.parts_of != said.number:
            known.parts, known.parts_of = {}, said.number
        known.parts[said.part] = hashes
        if len(known.parts) < said.parts:
            return
        fresh = {each for part in known.parts.values() for each in part}
        known.parts, known.parts_of = {}, -1
        self._take(place[0], known, known.hashes - fresh)
        self._put(place[0], known, fresh - known.hashes)
        known.number, known.total, known.whole = said.number, said.total, len(fresh) == said.total

    def _put(self, region: str, known: _Users, hashes: Iterable[int]) -> None:
        counts = self._counts.setdefault(region, Counter())
        for each in hashes:
            if each not in known.hashes:
                known.hashes.add(each)
                counts[each] += 1
                self._all[each] += 1

    def _take(self, region: str, known: _Users, hashes: Iterable[int]) -> None:
        counts = self._counts.setdefault(region, Counter())
        for each in hashes:
            if each in known.hashes:
                known.hashes.discard(each)
                for table in (counts, self._all):
                    table[each] -= 1
                    if not table[each]:
                        del table[each]

    def drop(self, place: Place) -> None:
        """An edge is not alive any more."""
        known = self._known.pop(place, None)
        if known is not None:
            self._take(place[0], known, list(known.hashes))

    def drop_silent(self, before_s: float) -> None:
        """Drop the edges that have said nothing since."""
        for place in [p for p, known in self._known.items() if known.heard_s < before_s]:
            self.drop(place)

    def _choose(self) -> None:
        total = sum(known.total for known in self._known.values())
        if not self.sketching and total > self._exact:
            self.sketching = True
        elif self.sketching and total < self._again:
            self.sketching = False
        if not self.sketching and self._whole:
            for known in self._known.values():
                known.sketch, known.sketched_s, known.asked_s = None, -1e9, -1e9
        elif self.sketching and (self._sketched or total > self._exact * MOST_HELD):
            self._counts.clear()
            self._all.clear()
            for known in self._known.values():
                known.hashes, known.parts, known.whole = set(), {}, False

    @property
    def _whole(self) -> bool:
        return bool(self._known) and all(known.whole for known in self._known.values())

    @property
    def _sketched(self) -> bool:
        return bool(self._known) and all(k.sketch is not None for k in self._known.values())

    def asks(self, now_s: float, wait_s: float = 1.0) -> list[tuple[Place, Ask]]:
        """Whom to ask for what, now; each again after `wait_s`."""
        wanted = []
        for place, known in self._known.items():
            lacks = now_s - known.sketched_s > SKETCH_S if self.sketching else not known.whole
            if lacks and now_s - known.asked_s >= wait_s:
                known.asked_s = now_s
                wanted.append((place, Ask(self.sketching)))
        return wanted

    # --- figures -------------------------------------------------------------------------------

    @property
    def exact(self) -> bool:
        """Whether the counts are those of the last second, to the unit."""
        return self._whole

    def all_heard(self, since_s: float) -> bool:
        """Whether every edge that is counted has said something since then."""
        return all(known.heard_s >= since_s for known in self._known.values())

    @property
    def error(self) -> float:
        """The standard error of the counts, as a share of them; 0.0 where they are not of sketches
        of all edges: then they are `exact`, or they are being made.
        """
        return ERROR if self._sketched and not self._whole else 0.0

    @property
    def _by_sets(self) -> bool:
        return self._whole or not (self.sketching or self._sketched)

    def users(self) -> int:
        """Different users, of all regions."""
        return len(self._all) if self._by_sets else self._united(self._known.values())

    def users_by_region(self) -> Mapping[str, int]:
        """Different users of each region."""
        if self._by_sets:
            return {region: len(counts) for region, counts in self._counts.items() if counts}
        regions = sorted({region for region, _ in self._known})
        return {
            name: self._united(
                known for (region, _), known in self._known.items() if region == name
            )
            for name in regions
        }

    @staticmethod
    def _united(each: Iterable[_Users]) -> int:
        union = HyperLogLog()
        for known in each:
            if known.sketch is not None:
                union.unite(known.sketch)
        return union.count()

"""Whatever happens in a world that keeps its promises passes; with one defect it never does."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from regions.ledger.record import (
    Acked,
    Delivered,
    Fork,
    LostSaid,
    Ready,
    Resumed,
    Stored,
    Stream,
    Surfaced,
)
from tests.unit.ledger_history import REGIONS, History

NAMES = ("ann", "bob", "cat")
ROOMS = ("tea", "sea")
STEPS = ("say",) * 6 + ("down", "resume", "lose", "gap")
Step = tuple[str, int, int, int]

steps = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(0, 2), st.integers(0, 1), st.integers(0, 1)),
    min_size=1,
    max_size=40,
)


def play(script: list[Step]) -> History:
    """A correct history."""
    history = History()
    for name in NAMES:
        history.join(name, *ROOMS)
    history.say("ann", "tea")
    for what, who, room, region in script:
        name, told = NAMES[who], history.clients[NAMES[who]]
        match what:
            case "say":
                history.say(name, ROOMS[room], REGIONS[region])
            case "down" if told.online:
                history.down(name)
            case "resume" if not told.online:
                history.resume(name)
            case "lose" if not told.online:
                history.lose(name, "expired")
            case "gap" if told.online:
                history.gap(name, history.say(name, ROOMS[room], REGIONS[region], silent=name))
            case _:
                pass
    history.down("ann") if history.clients["ann"].online else None
    history.say("bob", "tea")
    history.resume("ann")
    return history.end()


def never_lost(history: History) -> set[str]:
    """Clients whose sessions all went on: nothing is declared to them but by GAPs."""
    return set(NAMES) - {one.client for one in history.records if isinstance(one, LostSaid)}


def deliveries(history: History, *, kept: bool = False) -> list[int]:
    """Deliveries to the application; `kept`: to clients that never lost a session."""
    safe = never_lost(history) if kept else set(NAMES)
    return [
        index
        for index, one in enumerate(history.records)
        if isinstance(one, Delivered) and one.app and one.client in safe
    ]


# Each changes a history, and says whether it could: `pick` chooses where.
Pick = Callable[[list[int]], int]
Defect = Callable[[History, Pick], bool]


def drop(history: History, pick: Pick) -> bool:
    where = deliveries(history, kept=True)
    if where:
        del history.records[pick(where)]
    return bool(where)


def surface_twice(history: History, pick: Pick) -> bool:
    index = pick(deliveries(history))
    one = history.records[index]
    assert isinstance(one, Delivered)
    history.records.insert(
        index + 1,
        Surfaced(
            one.t, one.client, one.room, one.user, one.id, one.number, one.origin, one.epoch,
            one.seq, one.hash,
        ),
    )  # fmt: skip
    return True


def send_twice(history: History, pick: Pick) -> bool:
    index = pick(deliveries(history))
    again = msgspec.structs.replace(history.records[index], app=False)
    history.records.insert(index + 1, again)
    return True


def swap(history: History, pick: Pick) -> bool:
    newest: dict[tuple[str, str, str], int] = {}
    pairs: dict[int, int] = {}
    for index, one in enumerate(history.records):
        if isinstance(one, Delivered) and one.app:
            key = (one.client, one.room, one.origin)
            if key in newest:
                pairs[newest[key]] = index
            newest[key] = index
        elif isinstance(one, Ready):
            newest = {key: at for key, at in newest.items() if key[0] != one.client}
    if pairs:
        first = pick(list(pairs))
        records, second = history.records, pairs[first]
        records[first], records[second] = records[second], records[first]
    return bool(pairs)


def phantom(history: History, pick: Pick) -> bool:
    index = pick(deliveries(history))
    one = history.records[index]
    assert isinstance(one, Delivered)
    history.records.insert(index + 1, msgspec.structs.replace(one, id="eve.1", seq=one.seq + 5_000))
    return True


def wrong_room(history: History, pick: Pick) -> bool:
    index = pick(deliveries(history))
    one = history.records[index]
    assert isinstance(one, Delivered)
    history.change(index, room="sea" if one.room == "tea" else "tea")
    return True


def resume_too_late(history: History, pick: Pick) -> bool:
    where = [
        index
        for index in deliveries(history, kept=True)
        if history.records[index].replayed  # type: ignore[attr-defined]
    ]
    if not where:
        return False
    index = pick(where)
    client = history.records[index].client  # type: ignore[attr-defined]
    end = next(
        at
        for at in range(index, len(history.records))
        if isinstance(history.records[at], Resumed) and history.records[at].client == client  # type: ignore[attr-defined]
    )
    history.change(end, replayed=history.records[end].replayed - 1)  # type: ignore[attr-defined]
    del history.records[index]
    return True


def resume_too_early(history: History, pick: Pick) -> bool:
    ends = [
        index
        for index, one in enumerate(history.records)
        if isinstance(one, Resumed) and one.client in never_lost(history)
    ]
    found: dict[int, Delivered] = {}
    for end in ends:
        client = history.records[end].client  # type: ignore[attr-defined]
        begin = max(
            at
            for at in range(end)
            if type(history.records[at]).__name__ == "Resuming"
            and history.records[at].client == client  # type: ignore[attr-defined]
        )
        had = [
            one
            for one in history.records[:begin]
            if isinstance(one, Delivered) and one.client == client
        ]
        if had:
            found[end] = had[-1]
    if not found:
        return False
    end = pick(list(found))
    history.change(end, replayed=history.records[end].replayed + 1)  # type: ignore[attr-defined]
    history.records.insert(end, msgspec.structs.replace(found[end], replayed=True, app=False))
    return True


def acked_not_stored(history: History, pick: Pick) -> bool:
    acked = history.records[
        pick([at for at, one in enumerate(history.records) if isinstance(one, Acked)])
    ]
    assert isinstance(acked, Acked)
    history.records = [
        one for one in history.records if not (isinstance(one, Stored) and one.id == acked.id)
    ]
    return True


def epoch_ignored(history: History, pick: Pick) -> bool:
    """The origin lost an event with a new epoch, and one client neither got it nor was told."""
    where = deliveries(history, kept=True)
    if not where:
        return False
    index = pick(where)
    one = history.records[index]
    assert isinstance(one, Delivered)
    del history.records[index]
    history.records = [
        each for each in history.records if not (isinstance(each, Stored) and each.id == one.id)
    ]
    history.change(history.find(Stream, region=one.origin, origin=one.origin), epoch=2)
    history.add(Fork(history.now(), one.origin, one.origin, 2, one.seq))
    return True


def beginning_gone(history: History, pick: Pick) -> bool:
    """A copy lost all up to some event: it says itself that it begins after that."""
    index = pick([at for at, one in enumerate(history.records) if isinstance(one, Stored)])
    last = history.records[index]
    assert isinstance(last, Stored)
    copy = history.find(Stream, region=last.region, origin=last.origin)
    history.change(copy, first=last.seq + 1)
    history.records = [
        one
        for one in history.records
        if not (
            isinstance(one, Stored)
            and (one.region, one.origin) == (last.region, last.origin)
            and one.seq <= last.seq
        )
    ]
    return True


def old_epoch_gone(history: History, pick: Pick) -> bool:
    """An origin lacks an event of its old epoch, from long before where the new one begins."""
    index = pick([at for at, one in enumerate(history.records) if isinstance(one, Acked)])
    lost = history.records[index]
    assert isinstance(lost, Acked)
    history.records = [
        one for one in history.records if not (isinstance(one, Stored) and one.id == lost.id)
    ]
    history.change(history.find(Stream, region=lost.origin, origin=lost.origin), epoch=2)
    history.add(Fork(history.now(), lost.origin, lost.origin, 2, lost.seq + 1))
    return True


def sequence_reused(history: History, pick: Pick) -> bool:
    acked = history.records[
        pick([at for at, one in enumerate(history.records) if isinstance(one, Acked)])
    ]
    assert isinstance(acked, Acked)
    for index, one in enumerate(history.records):
        if isinstance(one, Stored) and one.id == acked.id:
            history.change(index, hash="beef")
    return True


def hole_in_mirror(history: History, pick: Pick) -> bool:
    where = [
        index
        for index, one in enumerate(history.records)
        if isinstance(one, Stored) and one.region != one.origin
    ]
    del history.records[pick(where)]
    return True


DEFECTS: tuple[Defect, ...] = (
    drop, surface_twice, send_twice, swap, phantom, wrong_room, resume_too_late, resume_too_early,
    acked_not_stored, epoch_ignored, beginning_gone, old_epoch_gone, sequence_reused,
    hole_in_mirror,
)  # fmt: skip


@given(steps)
@settings(max_examples=150, deadline=None)
def test_a_world_that_keeps_its_promises_passes(script: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        findings = play(script).check(Path(scratch))
        assert findings.passed, findings.examples
        assert findings.acked == findings.asked == findings.stored


@given(steps, st.sampled_from(DEFECTS), st.data())
@settings(max_examples=400, deadline=None)
def test_a_world_with_one_defect_never_passes(
    script: list[Step], defect: Defect, data: st.DataObject
) -> None:
    history = play(script)
    if not defect(history, lambda where: data.draw(st.sampled_from(where))):
        return
    with tempfile.TemporaryDirectory() as scratch:
        assert not history.check(Path(scratch)).passed

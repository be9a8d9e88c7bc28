"""Mistakes planted in the edge, to see that the simulation finds each: `make simulate-mutants`.

Exit code 0: every mutant was killed; 1: one survived.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from multiprocessing import get_context
from typing import Any, NamedTuple

import relay.bus.events as bus_events
import relay.bus.records as bus_records
import relay.core.gate as core_gate
import relay.core.resume as core_resume
from relay.bus.home import HomeStream, Message
from relay.bus.publisher import Publication, Publisher, Stored
from relay.core.event import Event, RoomKey
from relay.core.feed import Feed
from relay.core.hole import Owed, Passed
from relay.core.join import Ahead, Join
from relay.core.numbering import slot_of
from relay.core.resume import Accept
from relay.edge.hub import Hub
from relay.edge.owing import Owing
from tests.simulation.__main__ import prepare
from tests.simulation.faults import KINDS
from tests.simulation.patches import everywhere
from tests.simulation.run import run_seed


class Mutant(NamedTuple):
    """One mistake."""

    name: str
    plant: Callable[[], None]
    faults: tuple[str, ...] = tuple(KINDS)  # where all kinds at once would need far more seeds


def _in(kind: type, name: str, mutated: object) -> Callable[[], None]:
    assert hasattr(kind, name), f"{kind.__name__}.{name} is gone"
    return lambda: setattr(kind, name, mutated)


# --- resuming ------------------------------------------------------------------------------------


def _resume_off_by(count: int) -> Callable[[], None]:
    original = core_resume.judge

    def judge(presented: Any, streams: Any) -> Any:
        verdict = original(presented, streams)
        if isinstance(verdict, Accept):
            after = {origin: max(0, seq + count) for origin, seq in verdict.after.items()}
            return dataclasses.replace(verdict, after=after)
        return verdict

    return lambda: everywhere(original, judge)


def _ignore_epoch() -> None:
    original = core_resume.judge

    def judge(presented: Any, streams: Any) -> Any:
        known = {
            origin: place._replace(epoch=streams[origin].epoch) if origin in streams else place
            for origin, place in presented.items()
        }
        return original(known, streams)

    everywhere(original, judge)


def _newest_record() -> None:
    async def find(reader: Any, region: str, s: int, *, coming: bool) -> Any:
        del coming
        return await bus_records.newest_record(reader, region, slot_of(s))

    everywhere(bus_records.find_record, find)


def _no_release(self: Join) -> Iterator[Event]:
    self._held.clear()
    return iter(())


def _forget_overflow() -> None:
    original = Join.live

    def live(self: Join, event: Event) -> None:
        original(self, event)
        self._overflowed = False

    _in(Join, "live", live)()


# --- the feed ------------------------------------------------------------------------------------


def _connected(self: Feed) -> tuple[()]:
    self._connected = True
    self.repairing = False
    return ()


def _blind_to_holes() -> None:
    original = Feed.live

    def live(self: Feed, event: Event, now_ms: int) -> Any:
        return original(self, dataclasses.replace(event, previous=0), now_ms)

    Feed.live = live  # type: ignore[method-assign]


def _scan_off_by_one() -> None:
    original = Feed.scanned

    def scanned(
        self: Feed, events: Any, next_seq: int, asked_ms: int, *, more: bool, ahead: bool = False
    ) -> Any:
        return original(self, list(events)[1:], next_seq, asked_ms, more=more, ahead=ahead)

    Feed.scanned = scanned  # type: ignore[method-assign]


def _repeats_pass() -> None:
    original = Feed.live

    def live(self: Feed, event: Event, now_ms: int) -> Any:
        tail = self._tails.get(event.key)
        if tail is not None and event.seq <= tail and not self.repairing:
            return (self._deliver(event),)
        return original(self, event, now_ms)

    Feed.live = live  # type: ignore[method-assign]


# --- the bus -------------------------------------------------------------------------------------


async def _ack_before_store(
    self: Publisher, publication: Publication, *_: Any, **__: Any
) -> Stored:
    await self._gate.opened()
    headers = bus_events.event_headers(
        publication.tenant, publication.room, publication.user, publication.id,
        publication.session, self._gate.epoch, publication.ts_ms,
    )  # fmt: skip
    subject = f"ev.{self._region}.{publication.tenant}.0.{publication.room}"
    await self._inbox.send(subject, publication.data, "_INBOX.nobody.1", headers)
    seen = self._gate._seen + 1
    self._gate.saw(seen)
    return Stored(self._gate.epoch, seen, duplicate=False)


def _no_publish_ids() -> None:
    original = bus_events.event_headers

    def headers(*arguments: Any) -> dict[str, str]:
        return {k: v for k, v in original(*arguments).items() if k != bus_events.MSG_ID}

    everywhere(original, headers)


def _gate_stands_open() -> None:
    everywhere(core_gate.first_look, lambda *_arguments, **_named: core_gate.Open())


def _written_back(change: Callable[[dict[int, Message]], dict[int, Message]]) -> Callable[[], None]:
    """Change what of a lost tail is written back into the home stream."""
    original = HomeStream._write_back

    async def write_back(
        self: HomeStream, after: int, upto: int, found: Mapping[int, Message], young_ms: int
    ) -> None:
        await original(self, after, upto, change(dict(found)), young_ms)

    return _in(HomeStream, "_write_back", write_back)


def _turned_round(found: dict[int, Message]) -> dict[int, Message]:
    return dict(zip(found, reversed(found.values()), strict=True))


def _without_ids(found: dict[int, Message]) -> dict[int, Message]:
    return {
        seq: ({k: v for k, v in headers.items() if k != bus_events.MSG_ID}, data)
        for seq, (headers, data) in found.items()
    }


# --- the hub -------------------------------------------------------------------------------------


def _edge_cursor(self: Hub, sent: Any, base: Any = None) -> str:
    del sent, base
    return self.cursor()


def _drop_some() -> None:
    original = Hub.dispatch

    def dispatch(self: Hub, event: Event, position: int) -> None:
        if event.seq % 97 == 96:
            self.move(event.origin, event.epoch, position)
            return
        original(self, event, position)

    Hub.dispatch = dispatch  # type: ignore[method-assign]


_TAIL = ("origin loses its tail", "herd", "client's network gone")
_ID_TAIL = ("origin loses its tail", "publish acks lost")
_LEADER = ("stream leader killed",)
_HERD = ("herd", "reads slow")
_SKIPS = ("mirror skips", "herd", "client's network gone")
_LOST = ("live connection lost", "nats killed", "edge stopped")


def _no_holes() -> None:
    """Three look for them, each for what the others can't see: it takes all to miss one."""
    _blind_to_holes()
    _in(Feed, "_silent", lambda *_: False)()
    _in(Feed, "unheard", lambda *_: ())()


def _owe_nothing() -> None:
    async def owed(
        self: Owing, hole: Passed, rooms: Collection[RoomKey], holes: Iterable[Passed]
    ) -> Owed:
        del self, hole, rooms, holes
        return Owed([], [])

    Owing._owed = owed  # type: ignore[method-assign]


MUTANTS = (
    Mutant("a resume skips one event", _resume_off_by(1)),
    Mutant("a resume repeats one event", _resume_off_by(-1)),
    Mutant("a cursor's epoch is not looked at", _ignore_epoch, _TAIL),
    Mutant("`s` is turned into its slot's newest record", _newest_record),
    Mutant("a join replays nothing", _in(Join, "missing", property(lambda _: {}))),
    Mutant("a join drops what it held", _in(Join, "release", _no_release), _HERD),
    Mutant("a join forgets that too much came", _forget_overflow, _HERD),
    Mutant("what a session has ahead is forgotten", _in(Ahead, "of", lambda *_: None)),
    Mutant("after a reconnect nothing is read", _in(Feed, "connected", _connected), _LOST),
    Mutant("nobody looks for holes in the live feed", _no_holes, _LEADER),
    Mutant("a scan loses its first event", _scan_off_by_one),
    Mutant("a repeated event is delivered", _repeats_pass),
    Mutant("what a mirror skipped is dropped", _in(Feed, "late", lambda *_: ()), ("mirror skips",)),
    Mutant("what was passed over is owed to nobody", _owe_nothing, _SKIPS),
    Mutant(
        "a publish is acknowledged before it is stored",
        _in(Publisher, "_until_stored", _ack_before_store),
    ),
    Mutant("publishes have no ids for the stream", _no_publish_ids),
    Mutant("the gate opens whatever it sees", _gate_stands_open, _TAIL),
    Mutant("a lost tail is written back in another order", _written_back(_turned_round), _TAIL),
    Mutant("a lost tail is written back without ids", _written_back(_without_ids), _ID_TAIL),
    Mutant("private frames have the edge's cursor", _in(Hub, "private_cursor", _edge_cursor)),
    Mutant("one event in a hundred is dropped", _drop_some),
)


def _try(work: tuple[int, int]) -> tuple[int, list[int], str]:
    """Seeds that kill one mutant, and what the first of them says."""
    number, seeds = work
    MUTANTS[number].plant()
    killed: list[int] = []
    said = ""
    for seed in range(seeds):
        outcome = run_seed(seed, kinds=MUTANTS[number].faults)
        if outcome.violations:
            killed.append(seed)
            said = said or outcome.violations[0].partition("s: ")[2].partition(":")[0]
    return number, killed, said


def _numbers(only: str) -> list[int]:
    return [number for number, mutant in enumerate(MUTANTS) if only in mutant.name]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=60, help="for each mutant (default 60)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--only", default="", help="mutants whose name has this text")
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation.mutants", *sys.argv[1:]])
    prepare()
    survived = 0
    print(f"{'killed':>10}  {'first':>5}  mutant, and how it showed first")
    with get_context("fork").Pool(options.jobs, maxtasksperchild=1) as pool:
        work = [(number, options.seeds) for number in _numbers(options.only)]
        for number, killed, said in pool.imap(_try, work):
            share = f"{len(killed)}/{options.seeds}"
            first = str(killed[0]) if killed else "-"
            print(f"{share:>10}  {first:>5}  {MUTANTS[number].name}: {said or 'SURVIVED'}")
            sys.stdout.flush()
            survived += not killed
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())

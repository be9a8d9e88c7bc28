"""`python -m tests.churn`: how true views and counts stay while users come and go and edges die."""

import argparse
import asyncio
import json
import math
import multiprocessing
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import cycle, pairwise
from multiprocessing.connection import Connection  # noqa: TC003 (as elsewhere: no cycles)
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from regions.doors import Door
from regions.stats.reading import open_past
from tests.bench.machine import describe
from tests.churn.crowd import FEELS_S, ROOM_USERS, Entry, Plan, process, room_of
from tests.churn.judge import (
    WITHIN_S,
    Disagreement,
    Span,
    delays,
    disagreements,
    late,
    offs,
    while_up,
)
from tests.churn.viewer import Viewer
from tests.raw import token
from tests.world import World

TOPOLOGY = """
[faults]
links = "relay"
[[regions]]
name = "us"
edges = 1
[[regions]]
name = "eu"
edges = 1
[[regions]]
name = "ap"
edges = 1
"""
EDGES = ("us-1", "eu-1", "ap-1")
VIEWERS_EACH, ROOMS_EACH = 3, 4
HELD_S = 60.0  # that an edge stands still, and a region is cut off
NEAR_S = 10.0  # behind a fault the live count may be off
SETTLE_S = 240.0
CUT_OFF = "ap-1"
HEALED_S = 10.0  # after which views are true again
KILLED_S = 14.0  # after which views are true again
MUTED = 40  # of each process
NOTICED_MS = 3_000  # until an edge that is busy has noticed that a connection ended
MOVES_S = 12.0  # until a viewer takes its edge for dead


class Crowds:
    """The processes of users."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends: list[Connection] = []
        self._processes = []
        for plan in plans:
            mine, theirs = context.Pipe()
            child = context.Process(target=process, args=(plan, theirs), daemon=True)
            child.start()
            self._ends.append(mine)
            self._processes.append(child)

    def tell(self, *order: object) -> None:
        """Give all of them an order."""
        for end in self._ends:
            end.send(order)

    async def ask(self, *order: object) -> list[Any]:
        """Give all of them an order that has an answer."""
        self.tell(*order)
        return [await asyncio.to_thread(end.recv) for end in self._ends]

    async def settled(self) -> int:
        """Wait until everybody is where he is to be; how many are in."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            answers = await self.ask("status")
            if all(settled for _, settled in answers):
                return sum(here for here, _ in answers)
            assert time.monotonic() < deadline, f"not settled: {answers}"
            await asyncio.sleep(0.5)

    def close(self) -> None:
        """End them."""
        for child in self._processes:
            child.kill()
            child.join()


def say(text: str) -> None:
    """A line of what happens, with the time."""
    print(f"{datetime.now(UTC):%H:%M:%S}  {text}", file=sys.stderr, flush=True)


async def run(arguments: argparse.Namespace, world: World) -> dict[str, Any]:
    """The whole run; what was found."""
    urls = {edge: world.edges[edge].url for edge in EDGES}
    population = arguments.users + arguments.users // 10
    plans = [
        Plan(world.token_key(), urls, population, arguments.users, arguments.rate, part, 2)
        for part in range(2)
    ]
    crowds = Crowds(plans)
    rooms = [room_of(user) for user in range(0, population, ROOM_USERS)]
    step = max(1, len(rooms) // (len(EDGES) * VIEWERS_EACH * ROOMS_EACH))
    looked_at = cycle(rooms[::step])
    viewers: list[Viewer] = []
    for number in range(len(EDGES) * VIEWERS_EACH):
        edge = EDGES[number % len(EDGES)]
        order = [edge, *(other for other in EDGES if other != edge)]
        mine = [next(looked_at) for _ in range(ROOMS_EACH)]
        seat = Viewer(
            -1 - number, [urls[one] for one in order], token(world, f"viewer{number}"), mine
        )
        viewers.append(seat)
    try:
        return await _run(arguments, world, crowds, viewers)
    finally:
        crowds.close()


async def _run(
    arguments: argparse.Namespace,
    world: World,
    crowds: Crowds,
    viewers: list[Viewer],
) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    began_ms = int(time.time() * 1000)
    here = await crowds.settled()
    say(f"{here} users are in")
    looking = [loop.create_task(viewer.look()) for viewer in viewers]
    await asyncio.sleep(10)
    rests = [await rest(world, here)]
    judged_s = time.time()
    crowds.tell("churn", True)
    say(f"{arguments.rate:g} come and {arguments.rate:g} go in a second, for {arguments.seconds} s")
    start, faults = time.monotonic(), dict[str, tuple[float, float]]()

    async def until(share: float) -> None:
        await asyncio.sleep(max(0.0, start + share * arguments.seconds - time.monotonic()))

    await until(0.2)
    faults["kill"] = (time.time(), time.time())
    await world.ctl("kill", "us-1")
    say("us-1 was killed")
    await until(0.4)
    hung_s = time.time()
    await world.ctl("pause", "eu-1")
    crowds.tell("leave", "eu-1", HELD_S + 2)
    say("eu-1 stands still")
    await asyncio.sleep(HELD_S)
    await world.ctl("continue", "eu-1")
    faults["hang"] = (hung_s, time.time())
    say("eu-1 goes on")
    await until(0.7)
    cut_s = time.time()
    say("ap is cut off")
    done = await asyncio.to_thread(
        world.run, "ctl", "fault", "isolate", "ap", "--for", f"{HELD_S:g}s", timeout_s=HELD_S + 30
    )
    assert done.returncode == 0, done.stderr
    faults["isolate"] = (cut_s, time.time())
    say("ap is back")
    await until(1.0)
    crowds.tell("churn", False)
    here = await crowds.settled()
    still_s = time.time()
    say(f"{here} users are in; nobody comes or goes")
    await asyncio.sleep(20)
    rests.append(await rest(world, here))
    await asyncio.sleep(max(0.0, still_s + 60 - time.time()))
    rooms = sorted({room for viewer in viewers for room in viewer.rooms})
    muted = sum(await crowds.ask("mute", rooms, MUTED))
    say(f"{muted} users die without a word")
    await asyncio.sleep(WITHIN_S["mute"] + 5)
    rests.append(await rest(world, here - muted))
    ended_s = time.time()
    until_ms = (int(ended_s // 60) + 1) * 60_000
    await asyncio.sleep(until_ms / 1000 + 2 - time.time())  # all go at once, after what is audited
    for task in looking:
        task.cancel()
    answers = await crowds.ask("end")
    ledger = [entry for answer in answers for entry in answer[0]]
    ledger = sorted([*ledger, *(entry for viewer in viewers for entry in viewer.ledger)])
    troubles: Counter[str] = Counter()
    for answer in answers:
        troubles.update(answer[1])
    identified = sum(answer[2] for answer in answers)
    opened = {key for answer in answers for key in answer[3]}
    opened |= {entry.session for viewer in viewers for entry in viewer.ledger}
    await asyncio.sleep(until_ms / 1000 + 25 - time.time())  # by then all of it is stored
    audit = await audited(world, began_ms, until_ms, arguments.out)
    series = await live_of(world, int(judged_s * 1000), int(still_s * 1000))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "ledger.json").write_bytes(msgspec.json.encode(ledger))
    seen = [viewer.seen for viewer in viewers]
    (arguments.out / "seen.json").write_bytes(msgspec.json.encode(seen))
    urls = {world.edges[edge].url: edge for edge in EDGES}
    result = verdict(ledger, viewers, urls, faults, judged_s, ended_s, series, rests)
    result["loop_lag_ms"] = await lags(world, int(judged_s * 1000), until_ms)
    result["troubles"] = dict(troubles.most_common(12))
    table = pl.read_parquet(arguments.out / "sessions.parquet")
    looked = sum(entry.step > 0 for viewer in viewers for entry in viewer.ledger)
    faults_s = [at_s for begin_end in faults.values() for at_s in begin_end]
    during = [entry for entry in ledger if entry.at_s * 1000 < until_ms]
    result["audit"] = against(audit, table, during, faults_s, opened, identified + looked)
    return result


async def rest(world: World, truth: int) -> tuple[int, int, int]:
    """At rest: the ledger's count, and the least and most that a region says."""
    said = []
    for region in ("us", "eu", "ap"):
        done = await asyncio.to_thread(world.run, "stats", "--json", "--region", region)
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout)["total"]["sessions"])
    return truth + len(EDGES) * VIEWERS_EACH, min(said), max(said)


async def live_of(world: World, since_ms: int, until_ms: int) -> list[tuple[int, int]]:
    """The live sums of a time, second by second."""
    since, until = (
        datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in (since_ms, until_ms)
    )
    done = await asyncio.to_thread(
        world.run, "stats", "--json", "--since", since, "--until", until, "--step", "1s"
    )
    assert done.returncode == 0, done.stderr
    return [
        (row["at_s"], row["sessions"]["max"])
        for row in json.loads(done.stdout)
        if row["scope"] == "total" and row["sessions"]
    ]


async def lags(world: World, since_ms: int, until_ms: int) -> dict[str, list[tuple[int, float]]]:
    """The three worst lags of each edge's loop: (Unix second, ms)."""
    doors = [Door(name, world.nats_config(name, "console")) for name in ("us", "eu", "ap")]
    worst: dict[str, list[tuple[int, float]]] = {}
    async with open_past(doors) as past:
        async for at_ms, frame in past.frames(since_ms, until_ms):
            worst.setdefault(frame.edge, []).append((at_ms // 1000, frame.loop_lag_ms))
    return {edge: sorted(each, key=lambda one: -one[1])[:3] for edge, each in worst.items()}


async def audited(world: World, since_ms: int, until_ms: int, out: Path) -> dict[str, Any]:
    """The audit's record."""
    since, until = (
        datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in (since_ms, until_ms)
    )
    arguments = ("audit", "--since", since, "--until", until, "--out", str(out), "--json")
    done = await asyncio.to_thread(world.run, *arguments, timeout_s=300)
    assert done.returncode in (0, 1), done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def verdict(
    ledger: list[Entry],
    viewers: list[Viewer],
    urls: dict[str, str],
    faults: dict[str, tuple[float, float]],
    judged_s: float,
    ended_s: float,
    series: list[tuple[int, int]],
    rests: list[tuple[int, int, int]],
) -> dict[str, Any]:
    """What was found of views and counts, as values for JSON."""
    found: list[Disagreement] = []
    over: list[Disagreement] = []
    whose: Counter[str] = Counter()
    for number, viewer in enumerate(viewers):
        spans = _cut_off(faults["isolate"], [(at_s, urls[url]) for at_s, url in viewer.at])
        for begin_s in (faults["kill"][0], faults["hang"][0]):  # either edge says no more
            by_s = begin_s + KILLED_S
            spans.append(Span(begin_s - WITHIN_S["close"], by_s, by_s))
        for edge, fault in (("us-1", "kill"), ("eu-1", "hang")):
            begin_s = faults[fault][0]
            before = [url for at_s, url in viewer.at if at_s < begin_s]
            if before and urls[before[-1]] == edge:
                spans.append(Span(begin_s, begin_s + MOVES_S, begin_s + MOVES_S + 4))
        for room in viewer.rooms:
            truth = [entry for entry in ledger if room_of(entry.user) == room]
            mine = disagreements(truth, viewer.seen[room], judged_s, ended_s)
            mine = while_up(mine, viewer.downs)
            found += mine
            slow = late(mine, spans)
            over += slow
            for one in slow:
                where = [urls[url] for at_s, url in viewer.at if at_s < one.end_s][-1:]
                whose[f"viewer {number} at {where}, until {one.end_s:.0f}"] += 1
    # Clients of an edge that stands still find out within 10 s: that is when they move.
    near = [(edge, NEAR_S) for begin_end in faults.values() for edge in begin_end]
    near.append((faults["hang"][0], NEAR_S + FEELS_S[1]))
    all_off = offs(ledger, series)
    calm = [o for o in all_off if not any(at - 1 <= o.at_s <= at + s for at, s in near)]
    most = max((one.truth for one in all_off), default=0)
    bound = max(2, round(most * 0.001))
    return {
        "machine": describe(Path.cwd()),
        "ledger": dict(Counter(entry.why for entry in ledger)),
        "views": {
            "frames": sum(viewer.frames for viewer in viewers),
            "disagreements": {why or "none": one._asdict() for why, one in delays(found).items()},
            "late": len(over),
            "late_by": dict(whose.most_common(12)),
            "latest": [
                one._asdict() for one in sorted(over, key=lambda o: o.begin_s - o.end_s)[:5]
            ],
            "wrong_at_the_end": sum(one.end_s == ended_s for one in found),
        },
        "at_rest": [{"truth": t, "least": low, "most": high} for t, low, high in rests],
        "live": {
            "seconds": len(all_off),
            "bound": bound,
            "largest_calm": max((abs(o.live - o.truth) for o in calm), default=0),
            "mean_calm": sum(abs(o.live - o.truth) for o in calm) / max(1, len(calm)),
            "over_bound_calm": sum(abs(o.live - o.truth) > bound for o in calm),
            "largest": max((abs(o.live - o.truth) for o in all_off), default=0),
            "worst": [o._asdict() for o in sorted(calm, key=lambda o: -abs(o.live - o.truth))[:5]],
        },
    }


def _cut_off(cut: tuple[float, float], at: Sequence[tuple[float, str]]) -> list[Span]:
    """What a region's isolation excuses for one who looks: users on the other side of the cut.

    Args:
        cut: from when till when ap is cut off.
        at: since when he looks from which edge.
    """
    began_s, ended_s = cut
    apart: set[str] = set()
    for (since_s, edge), (until_s, _) in pairwise([*at, (math.inf, "")]):
        if since_s < ended_s + HEALED_S and until_s > began_s:
            apart |= {CUT_OFF} if edge != CUT_OFF else set(EDGES) - {CUT_OFF}
    return [Span(began_s, ended_s, ended_s + HEALED_S, frozenset(apart))]


def against(
    audit: dict[str, Any],
    table: pl.DataFrame,
    ledger: list[Entry],
    faults_s: Sequence[float],
    opened: set[str],
    identified: int,
) -> dict[str, Any]:
    """The audit against the ledger, session by session.

    Args:
        audit: its record.
        table: its stretches.
        ledger: of all who came and went.
        faults_s: when a fault began or ended: until NEAR_S later edges are busy.
        opened: keys of the sessions of which READY came.
        identified: IDENTIFYs that were sent: more sessions there can't be.
    """
    known = set(table["session"].to_list())
    lacking = opened - known
    last = table.sort("start_ms").select("session", "end_ms", "end_error_ms")
    ends = {session: (end_ms, error_ms) for session, end_ms, error_ms in last.iter_rows()}
    gone = {entry.session: entry for entry in ledger if entry.session in ends}  # its last word
    off_ms: dict[str, list[float]] = {"close": [], "cut": []}
    beyond = 0
    for session, entry in gone.items():
        end_ms, error_ms = ends[session]
        if entry.why in off_ms and end_ms is not None:
            off_ms[entry.why].append(late_ms := entry.at_s * 1000 - end_ms)
            busy = any(at <= entry.at_s <= at + NEAR_S for at in faults_s)
            noticed_ms = NEAR_S * 1000 if busy else NOTICED_MS
            beyond += not -noticed_ms <= late_ms <= error_ms + noticed_ms
    return {
        "verdict": audit["verdict"],
        "why": audit["why"],
        "sessions": audit["sessions"],
        "not_in_the_audit": len(lacking),
        "lacking": [entry for entry in ledger if entry.session in lacking][:10],
        "not_in_the_ledger": len(known - opened),
        "identified_without_ready": identified - len(opened),
        "open_and_gone": sum(
            ends[session][0] is None for session, entry in gone.items() if entry.step < 0
        ),
        "users": audit["users"],
        "users_by_ledger": len({entry.user for entry in ledger}),
        "ends_off_ms": {why: spread_of(sorted(map(abs, each))) for why, each in off_ms.items()},
        "ends_beyond_their_error": beyond,
        "reconnects": audit["reconnects"],
        "repaired": audit["repaired"],
        "log": audit["log"],
        "live": audit["live"],
    }


def spread_of(ordered: Sequence[float]) -> dict[str, float]:
    """Of values in order."""
    if not ordered:
        return {}
    at = {"p50": len(ordered) // 2, "p99": int(len(ordered) * 0.99), "max": len(ordered) - 1}
    return {name: round(ordered[index]) for name, index in at.items()}


def judge(result: dict[str, Any]) -> list[str]:
    """What is not as promised."""
    views, live, audit = result["views"], result["live"], result["audit"]
    wrong = []
    if views["late"]:
        wrong.append(f"{views['late']} disagreements of views lasted longer than they may")
    if views["wrong_at_the_end"]:
        wrong.append(f"{views['wrong_at_the_end']} users are shown wrong a minute after the end")
    wrong += [
        f"at rest {one['truth']} are in, and {one['least']} to {one['most']} are said"
        for one in result["at_rest"]
        if not one["least"] == one["most"] == one["truth"]
    ]
    if live["over_bound_calm"]:
        wrong.append(f"the live sum was off by {live['largest_calm']}, {live['bound']} at most")
    if audit["verdict"] != "PASS":
        wrong.append(f"the audit: {'; '.join(audit['why'])}")
    if audit["not_in_the_audit"]:
        wrong.append(f"the audit lacks {audit['not_in_the_audit']} sessions of the ledger")
    if audit["not_in_the_ledger"] > audit["identified_without_ready"]:
        wrong.append(f"the audit has {audit['not_in_the_ledger']} sessions that nobody opened")
    if audit["ends_beyond_their_error"]:
        wrong.append(f"{audit['ends_beyond_their_error']} ends are further off than is said")
    if audit["open_and_gone"]:
        wrong.append(f"{audit['open_and_gone']} sessions that are gone are open in the audit")
    if audit["users"] != audit["users_by_ledger"]:
        wrong.append(f"the audit has {audit['users']} users, the ledger {audit['users_by_ledger']}")
    return wrong


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.churn", description=__doc__)
    parser.add_argument("--users", type=int, default=20_000, help="in at once (default 20000)")
    parser.add_argument("--rate", type=float, default=200.0, help="that come, and go, in a second")
    parser.add_argument("--seconds", type=int, default=600, help="that they do (default 600)")
    parser.add_argument("--out", type=Path, default=Path(".jetrelay-drill/churn"))
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory) / "state", TOPOLOGY)
        world.launch()
        try:
            result = asyncio.run(run(arguments, world))
        finally:
            world.end()
            world.clean()
    print(json.dumps(result, indent=1, default=sorted))
    wrong = judge(result)
    for line in wrong:
        print(f"MISSED  {line}", file=sys.stderr)
    print("passed" if not wrong else f"{len(wrong)} missed", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

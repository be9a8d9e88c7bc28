"""Checks of a machine and of a world: what is wrong, and what to do about it."""

import asyncio
import platform
import resource
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from regions import http
from regions.apply import plan
from regions.commands import as_ordered
from regions.errors import ServerError, WorldError
from regions.jetstream import JetStream
from regions.nats_server import OLDEST, find_nats_server, version_of
from regions.ports import Claims
from regions.world import World, WorldEdge
from relay.core import names
from relay.errors import RelayError

Level = Literal["ok", "warn", "fail"]
OLDEST_PYTHON = (3, 11)
OPEN_FILES = 4_096  # edges of a laptop; a full edge wants connections + 1,000
DISK_WARN_BYTES = 5 * 1024**3
DISK_FAIL_BYTES = 512 * 1024**2
BOOK_WARN, BOOK_FAIL = 0.8, 0.95  # of what it may hold
ACTIVE_S = 3.0  # a mirror hears a heartbeat each second
DISTANCE = 1_000
CLOCK_WARN_S = 0.5
CLOCK_FAIL_S = 2.0


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the doctor's."""

    name: str
    level: Level
    text: str
    advice: str | None = None


def check_machine(state: Path) -> list[Check]:
    """Python, nats-server, open files, ports, disk."""
    return [check_python(), check_nats_server(), check_open_files(), check_ports(), _disk(state)]


async def check_world(world: World) -> list[Check]:
    """NATS, streams, mirrors, edges and clocks of a running world."""
    supervisor = world.record.supervisor
    text = "none: a deployment" if supervisor is None else f"runs, pid {supervisor.pid}"
    checks = [Check("supervisor", "ok", text)]
    regions = [region.name for region in world.regions]
    reached: dict[str, JetStream] = {}
    try:
        for region in regions:
            try:
                config = world.nats_config(region, "control")
                reached[region] = await JetStream.connect(region, config)
                checks.append(Check(f"nats {region}", "ok", f"answers at {config.servers[0]}"))
            except RelayError as error:
                advice = "`jetrelay ctl ps`; nats/*/server.log in the state directory says why"
                checks.append(Check(f"nats {region}", "fail", str(error), advice))
        checks.append(await _streams(world))
        for region, admin in reached.items():
            try:
                async with asyncio.timeout(10):
                    checks.append(await _clock(region, admin))
                    checks.append(await _book(region, admin))
                    checks += [
                        await _mirror(admin, origin, reached.get(origin))
                        for origin in regions
                        if origin != region
                    ]
            except (RelayError, TimeoutError) as error:
                checks.append(Check(f"jetstream {region}", "fail", str(error) or "no answer"))
    finally:
        for admin in reached.values():
            await admin.close()
    return checks + list(await asyncio.gather(*(_edge(edge) for edge in world.edges)))


def check_python() -> Check:
    """Whether this Python is new enough."""
    version = platform.python_version()
    text = f"{version} at {sys.executable}"
    if tuple(int(part) for part in version.split(".")[:2]) >= OLDEST_PYTHON:
        return Check("python", "ok", text)
    return Check("python", "fail", text, "3.11 or newer is needed")


def check_nats_server() -> Check:
    """Whether there is a nats-server, and a new enough one."""
    oldest = ".".join(str(part) for part in OLDEST)
    try:
        program = find_nats_server()
        found = version_of(program)
    except ServerError as error:
        return Check("nats-server", "fail", str(error))
    text = f"{'.'.join(str(part) for part in found)} at {program}"
    if found >= OLDEST:
        return Check("nats-server", "ok", text)
    return Check(
        "nats-server", "fail", text, f"{oldest} or newer: `pip install -U 'jetrelay[local]'`"
    )


def check_open_files() -> Check:
    """Whether this process may hold enough sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{soft} (hard limit {hard})"
    if soft >= OPEN_FILES:
        return Check("open files", "ok", text)
    return Check(
        "open files", "warn", text, f"`ulimit -n {min(hard, 65_536)}` before `jetrelay up`"
    )


def check_ports() -> Check:
    """Whether listeners can be opened on 127.0.0.1."""
    claims = Claims()
    try:
        port = claims.pick("127.0.0.1")
    except (WorldError, OSError) as error:
        return Check("ports", "fail", str(error), "end what listens there")
    finally:
        claims.release()
    return Check("ports", "ok", f"127.0.0.1 can be bound (tried {port})")


def check_disk(free_bytes: int, where: Path) -> Check:
    """Whether the streams have room: a full disk makes publishes time out until a restart."""
    text = f"{free_bytes / 1024**3:.1f} GiB free at {where}"
    if free_bytes < DISK_FAIL_BYTES:
        return Check(
            "disk", "fail", text, "make room, then `jetrelay ctl restart` the nats-servers"
        )
    if free_bytes < DISK_WARN_BYTES:
        return Check("disk", "warn", text, "lower streams.max_bytes in the topology, or make room")
    return Check("disk", "ok", text)


def check_mirror(
    region: str, origin: str, mirror: Mapping[str, Any] | None, origin_seq: int | None
) -> Check:
    """A mirror in `region`.

    Args:
        mirror: its STREAM.INFO, read before `origin_seq`; None: there is no such stream.
        origin_seq: the last sequence at the origin; None: it does not answer.
    """
    name = f"mirror {origin} in {region}"
    if mirror is None:
        return Check(name, "fail", "is missing", "`jetrelay streams apply`")
    here = int(mirror["state"]["last_seq"])
    if origin_seq is not None and here > origin_seq:
        advice = f"{origin} lost its last events; its edges repair them when they reconnect"
        return Check(name, "fail", f"at {here}, ahead of its origin at {origin_seq}", advice)
    place = f"at {here}" if origin_seq is None else f"at {here} of {origin_seq}"
    active_ns = mirror.get("mirror", {}).get("active", -1)
    if active_ns < 0 or active_ns > ACTIVE_S * 1e9:
        heard = "heard nothing yet" if active_ns < 0 else f"silent for {active_ns / 1e9:.1f} s"
        advice = f"is the link between {region} and {origin} cut? it catches up when it heals"
        return Check(name, "fail", f"{heard}, {place}", advice)
    text = f"{place}, heard {active_ns / 1e6:.0f} ms ago"
    if origin_seq is not None and origin_seq - here > DISTANCE:
        return Check(name, "warn", text, "it lags: under load or after a cut; look again")
    return Check(name, "ok", text)


def check_clock(name: str, offset_s: float) -> Check:
    """A clock that is `offset_s` ahead of ours."""
    text = f"{offset_s * 1000:+.0f} ms from this machine's"
    if abs(offset_s) >= CLOCK_FAIL_S:
        return Check(name, "fail", text, "run NTP on both: markers and leases need true clocks")
    if abs(offset_s) >= CLOCK_WARN_S:
        return Check(name, "warn", text, "run NTP on both")
    return Check(name, "ok", text)


def _disk(state: Path) -> Check:
    where = state.absolute()
    while not where.exists():
        where = where.parent
    return check_disk(shutil.disk_usage(where).free, where)


async def _streams(world: World) -> Check:
    topology = world.topology()
    nats = {region: world.nats_config(region, "control") for region in topology.names}
    report = await plan(topology, nats)
    if report.clean:
        return Check("streams", "ok", "as declared, in every region")
    lines = [str(change) for change in report.changes if change.action != "extra"]
    lines += [failure.error for failure in report.failures]
    return Check("streams", "fail", "; ".join(lines), "`jetrelay streams apply`")


def check_book(region: str, used: int, most: int) -> Check:
    """How full a region's book of operations is: a full one takes no more orders.

    Args:
        region: whose.
        used: bytes that it holds.
        most: bytes that it may hold; below 1: any number.
    """
    name, taken = f"book {region}", used / most if most > 0 else 0.0
    text = f"{taken:.0%} of {most / 1024**2:.0f} MiB" if most > 0 else "it may grow"
    if taken < BOOK_WARN:
        return Check(name, "ok", text)
    level: Level = "fail" if taken >= BOOK_FAIL else "warn"
    return Check(name, level, text, "raise streams.book_max_bytes in the topology")


async def _book(region: str, admin: JetStream) -> Check:
    info = await admin.info(names.book_stream(region))
    if info is None:
        return Check(f"book {region}", "fail", "is missing", "`jetrelay streams apply`")
    return check_book(region, int(info["state"]["bytes"]), int(info["config"]["max_bytes"]))


async def _mirror(admin: JetStream, origin: str, home: JetStream | None) -> Check:
    stream = names.events_stream(origin)
    mirror = await admin.info(stream)
    if home is None:
        return check_mirror(admin.region, origin, mirror, None)
    at_home = await home.info(stream)
    last = 0 if at_home is None else int(at_home["state"]["last_seq"])
    return check_mirror(admin.region, origin, mirror, last)


async def _clock(region: str, admin: JetStream) -> Check:
    """JetStream stamps its answers: half of the round trip after the question, by our clock."""
    asked = time.time()
    info = await admin.info(names.events_stream(region))
    middle = (asked + time.time()) / 2
    if info is None or "ts" not in info:
        return Check(f"clock {region}", "warn", "the server says no time")
    there = datetime.fromisoformat(_microseconds(str(info["ts"]))).timestamp()
    return check_clock(f"clock {region}", there - middle)


async def _edge(edge: WorldEdge) -> Check:
    name = f"edge {edge.name}"
    answer = await http.get(f"{edge.http}/readyz")
    if answer is None:
        return Check(name, "fail", f"{edge.http} does not answer", "`jetrelay ctl ps`")
    if as_ordered(answer):
        text = "it takes nobody new, as an operator wants it"
        return Check(name, "warn", text, "`jetrelay ctl status` says who, and why")
    if answer.status != 200:
        text = answer.body.decode("utf-8", "replace").strip()[:200]
        return Check(
            name, "fail", f"not ready ({answer.status}): {text}", f"see edges/{edge.name}.log"
        )
    date = answer.headers.get("date")
    if date is not None:
        offset_s = parsedate_to_datetime(date).timestamp() + 0.5 - datetime.now(UTC).timestamp()
        if abs(offset_s) >= CLOCK_FAIL_S:  # the header has whole seconds
            return check_clock(name, offset_s)
    return Check(name, "ok", f"ready at {edge.url}")


def _microseconds(stamp: str) -> str:
    """An RFC 3339 stamp with nanoseconds, as `fromisoformat` takes it."""
    head, dot, tail = stamp.rstrip("Z").partition(".")
    return f"{head}{dot}{tail[:6]}+00:00"

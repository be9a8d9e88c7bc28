"""Visits of plain pages: over edges of two regions, through a crash, to the unit."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.audits import lacking
from tests.countries import write_countries
from tests.world import World, running

TOPOLOGY = """
origins = ["https://docs.example.org"]
[clients]
geoip = "countries.mmdb"
trusted_proxies = ["127.0.0.0/8"]
[limits]
visit_beat_s = 2.0
visit_timeout_s = 8.0
visits = 1500
[[regions]]
name = "us"
edges = 2
[[regions]]
name = "eu"
edges = 1
"""
PAGE = {"Origin": "https://docs.example.org"}
TIMEOUT_S, PATIENT_S = 8.0, 40.0


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two regions whose visits are over after eight seconds without a word."""
    directory = tmp_path_factory.mktemp("visited")
    write_countries(directory / "countries.mmdb")
    with running(directory, TOPOLOGY, orderly=True) as world:
        yield world


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[World]:
    """The same, but a visit may be silent for longer than an edge takes to come back."""
    write_countries(tmp_path / "countries.mmdb")
    topology = TOPOLOGY.replace(f"visit_timeout_s = {TIMEOUT_S}", f"visit_timeout_s = {PATIENT_S}")
    with running(tmp_path, topology, orderly=True) as world:
        yield world


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that holds many connections."""
    connector = aiohttp.TCPConnector(limit=300)
    timeout = aiohttp.ClientTimeout(total=15)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


def address(world: World, edge: str, act: str) -> str:
    """Where an edge is told of visits."""
    return f"{world.found().edge(edge).http}/v1/visits/{act}"


async def post(
    http: aiohttp.ClientSession, url: str, body: object = None, **headers: str
) -> tuple[int, Any]:
    """Status and JSON of an answer; 0 where there was none."""
    data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    try:
        async with http.post(url, data=data, headers=PAGE | headers) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text else None
    except aiohttp.ClientError:
        return 0, None


async def opened(
    http: aiohttp.ClientSession,
    world: World,
    edge: str,
    timeout_s: float = TIMEOUT_S,
    forwarded: str = "",
) -> str:
    """The id of a new visit."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    status, told = await post(http, address(world, edge, "open"), **headers)
    assert (status, told["beat_s"], told["timeout_s"]) == (201, 2.0, timeout_s)
    return str(told["visit"])


async def run(world: World, *arguments: str) -> Any:
    """The JSON that a command prints."""
    done = await asyncio.to_thread(world.run, *arguments)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


async def counts(world: World) -> dict[str, int]:
    """Region -> visits now."""
    now = await run(world, "stats", "--json")
    return {name: figures["visits"] for name, figures in now["regions"].items()}


async def test_a_visit_is_beaten_and_closed_at_any_edge(
    visited: World, http: aiohttp.ClientSession
) -> None:
    visit = await opened(http, visited, "us-1", forwarded="198.51.100.7")
    assert visit.startswith("us.us-1.")
    for edge in ("us-1", "us-2", "eu-1"):
        assert (await post(http, address(visited, edge, "beat"), {"visit": visit}))[0] == 204
    await asyncio.sleep(1.2)
    assert (await counts(visited))["us"] == 1
    # As `navigator.sendBeacon` sends a string.
    closing = address(visited, "eu-1", "close")
    body = json.dumps({"visit": visit}).encode()
    assert (await post(http, closing, body, **{"Content-Type": "text/plain"}))[0] == 204
    await asyncio.sleep(1.2)
    assert (await counts(visited))["us"] == 0
    assert (await post(http, closing, {"visit": visit}))[0] == 204, "it is closed: as was asked"
    for edge in ("us-1", "eu-1"):
        status, told = await post(http, address(visited, edge, "beat"), {"visit": visit})
        assert (status, told["error"]["code"]) == (410, "over")
    await asyncio.sleep(1.2)
    assert (await counts(visited))["us"] == 0, "an id that was used up opens nothing"


async def test_a_visit_that_is_not_heard_of_is_over(
    visited: World, http: aiohttp.ClientSession
) -> None:
    silent, beating = [await opened(http, visited, "eu-1") for _ in range(2)]
    for _ in range(6):
        await asyncio.sleep(1.6)
        assert (await post(http, address(visited, "us-2", "beat"), {"visit": beating}))[0] == 204
    await asyncio.sleep(1.2)
    assert (await counts(visited))["eu"] == 1
    assert (await post(http, address(visited, "eu-1", "beat"), {"visit": silent}))[0] == 410
    await post(http, address(visited, "eu-1", "close"), {"visit": beating})


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_visit"),
        (b"{}", 400, "invalid_visit"),
        (b"no json", 400, "invalid_data"),
        (b'{"visit": 7}', 400, "invalid_data"),
        (b'{"visit": "\xff"}', 400, "invalid_data"),
        (b"[" * 1000, 400, "invalid_data"),
        (b'"' + b"x" * 1100, 413, "too_large"),
        (b'{"visit": "us.us-1.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAA"}', 400, "invalid_visit"),
        (b'{"visit": "us.>.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAA"}', 400, "invalid_visit"),
    ],
)
@pytest.mark.parametrize("act", ["beat", "close"])
async def test_what_is_no_visit_is_refused_by_name(
    visited: World, http: aiohttp.ClientSession, act: str, body: bytes, status: int, code: str
) -> None:
    got, told = await post(http, address(visited, "us-1", act), body)
    assert (got, told["error"]["code"]) == (status, code)


async def test_an_id_is_good_for_the_edge_that_it_names_alone(
    visited: World, http: aiohttp.ClientSession
) -> None:
    visit = await opened(http, visited, "us-1")
    _, _, key, mac = visit.split(".")
    for forged in (
        f"us.us-2.{key}.{mac}",
        f"eu.us-1.{key}.{mac}",
        visit[:-1] + ("A" if visit[-1] != "A" else "B"),
        visit + "=",
        visit.upper(),
    ):
        got, told = await post(http, address(visited, "us-1", "beat"), {"visit": forged})
        assert (got, told["error"]["code"]) == (400, "invalid_visit"), forged
    await post(http, address(visited, "us-1", "close"), {"visit": visit})


async def test_pages_of_other_origins_may_not_and_preflights_say_so(
    visited: World, http: aiohttp.ClientSession
) -> None:
    url = address(visited, "us-1", "open")
    got, told = await post(http, url, Origin="https://evil.example.org")
    assert (got, told["error"]["code"]) == (403, "not_permitted")
    async with http.options(url, headers=PAGE) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE["Origin"]
        assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    async with http.options(url, headers={"Origin": "https://evil.example.org"}) as answer:
        assert answer.status == 403
    async with http.get(url) as answer:
        assert answer.status == 405


async def test_a_thousand_visits_are_counted_to_the_unit_through_a_crash(
    visited: World, http: aiohttp.ClientSession
) -> None:
    dice = random.Random(7)
    began_ms = int(time.time() * 1000)
    edges = ["us-1", "us-2", "eu-1"]
    compared: list[tuple[int, int, int]] = []
    truth: Counter[str] = Counter()  # opened, closed, and lost closes, by owner
    # What is open by what its page knows: those that are, and since when others may not be.
    alive: dict[str, None] = {}
    left: dict[str, float] = {}  # without a word
    closing: dict[str, None] = {}
    killed = asyncio.Event()

    async def visit(number: int) -> None:
        await asyncio.sleep(number * 0.012)
        while True:
            edge = dice.choice(edges)
            status, told = await post(
                http,
                address(visited, edge, "open"),
                **{"X-Forwarded-For": f"192.0.2.{dice.randrange(1, 255)}"},
            )
            if status == 201:
                break
            truth["unknown"] += status == 0  # it may be stored, and was not answered
            await asyncio.sleep(0.2)  # the edge was killed, or does not serve yet
        mine = told["visit"]
        truth["opened"] += 1
        alive[mine] = None
        heard_s = time.monotonic()
        for _ in range(dice.randrange(1, 5)):
            await asyncio.sleep(dice.uniform(1.0, 2.0))
            status = 0
            while status not in (202, 204):  # at any edge that answers, until one has it
                url = address(visited, dice.choice(edges), "beat")
                status, _ = await post(http, url, {"visit": mine})
                late_s = time.monotonic() - heard_s
                assert status != 410, f"{mine} was heard of {late_s:.1f} s before"
            heard_s = time.monotonic()
        del alive[mine]
        if dice.random() < 0.3:
            truth["lost"] += 1
            left[mine] = heard_s
        else:
            closing[mine] = None
            while True:
                status, _ = await post(
                    http, address(visited, dice.choice(edges), "close"), {"visit": mine}
                )
                if status in (202, 204):
                    break
            truth["closed"] += 1
            del closing[mine]

    async def kill() -> None:
        await asyncio.sleep(5)
        await compare()
        await visited.ctl("kill", "us-1")
        killed.set()
        await asyncio.sleep(5)
        await compare()

    async def compare() -> None:
        """What the edges say that is open is what the pages know: what opens and ends in the
        meantime is on neither side.
        """
        async with asyncio.timeout(20):
            while True:
                before, maybe = {*alive, *left}, {*alive, *left, *closing}
                await asyncio.sleep(2.5)  # a frame of each edge, and its way
                counted = sum((await counts(visited)).values())
                now_s = time.monotonic()
                silent_s = {mine: now_s - heard_s for mine, heard_s in left.items()}
                over = {mine for mine, since_s in silent_s.items() if since_s > TIMEOUT_S + 2.5}
                soon = {mine for mine, since_s in silent_s.items() if since_s > TIMEOUT_S - 0.5}
                fewest = len(before & {*alive, *left} - soon)
                most = len({*maybe, *alive, *left, *closing} - over)
                if fewest <= counted <= most:
                    compared.append((fewest, counted, most))
                    return
                # An edge that was killed is silent until it is back: then its visits count again.
                assert killed.is_set(), (fewest, counted, most)

    async with asyncio.TaskGroup() as group:
        for number in range(1_000):
            group.create_task(visit(number))
        group.create_task(kill())
    assert killed.is_set()
    assert len(compared) == 2, compared
    assert all(fewest > 50 for fewest, _, _ in compared), compared
    assert truth["opened"] == 1_000
    await asyncio.sleep(TIMEOUT_S + 3)
    assert await counts(visited) == {"us": 0, "eu": 0}
    until_ms = int(time.time() * 1000)
    since, until = (
        datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in (began_ms, until_ms)
    )
    audit = await run(visited, "audit", "--since", since, "--until", until, "--json")
    found = audit["visits"]
    unanswered = found["opened"] - 1_000
    assert 0 <= unanswered <= truth["unknown"]
    assert found["open_at_end"] == 0
    ended = {"closed": truth["closed"], "timed_out": truth["lost"] + unanswered}
    assert found["ended"] == ended
    assert found["by_country"] == {"US": found["opened"]}
    assert (lacking(audit), audit["log"]["missing_batches"]) == ([], 0)
    assert found["off"] == 0
    assert found["compared"] > 100


async def test_the_counts_after_a_crash_are_those_before_it(
    patient: World, http: aiohttp.ClientSession
) -> None:
    visits = [
        await opened(http, patient, edge, PATIENT_S)
        for edge, count in (("us-1", 20), ("us-2", 5), ("eu-1", 10))
        for _ in range(count)
    ]
    await asyncio.sleep(1.2)
    assert await counts(patient) == {"us": 25, "eu": 10}
    await patient.ctl("hold", "us-1")
    silent: list[tuple[str, int]] = []
    async with asyncio.timeout(20):
        while not silent:  # it stands apart, and in none of the sums
            now = await run(patient, "stats", "--json")
            silent = [(one["edge"], one["visits"]) for one in now["silent"]]
    assert silent == [("us-1", 20)]
    assert now["total"]["visits"] == 15
    await patient.ctl("start", "us-1")
    async with asyncio.timeout(20):
        while True:
            for visit in visits:
                status, _ = await post(http, address(patient, "eu-1", "beat"), {"visit": visit})
                assert status in (202, 204)
            found = await counts(patient)
            if found["us"] == 25:
                break
    assert found["eu"] == 10
    for visit in visits:
        closing = address(patient, "us-2", "close")
        assert (await post(http, closing, {"visit": visit}))[0] in (202, 204)
    async with asyncio.timeout(20):
        while await counts(patient) != {"us": 0, "eu": 0}:
            await asyncio.sleep(0.2)


async def test_visits_of_an_edge_that_is_away_for_longer_than_they_may_be_silent_are_over(
    visited: World, http: aiohttp.ClientSession
) -> None:
    began_ms = int(time.time() * 1000)
    visit = await opened(http, visited, "us-1")
    await asyncio.sleep(1.2)
    await visited.ctl("stop", "us-1")
    (silent,) = (await run(visited, "stats", "--json"))["silent"]
    assert (silent["edge"], silent["state"], silent["visits"]) == ("us-1", "ended", 1)
    statuses: list[int] = []
    begin_s = time.monotonic()
    while not statuses or statuses[-1] == 202:
        status, _ = await post(http, address(visited, "eu-1", "beat"), {"visit": visit})
        statuses.append(status)
        assert time.monotonic() - begin_s < TIMEOUT_S + 5
        await asyncio.sleep(0.5)
    assert statuses[-1] == 410
    assert time.monotonic() - begin_s > TIMEOUT_S - 1
    await visited.ctl("start", "us-1")
    async with asyncio.timeout(20):
        while (await counts(visited)).get("us") != 0:
            await asyncio.sleep(0.2)
    for edge in ("us-1", "eu-1"):
        async with asyncio.timeout(20):
            while (
                status := (await post(http, address(visited, edge, "beat"), {"visit": visit}))[0]
            ) not in (204, 410):
                await asyncio.sleep(0.2)
        assert status == 410
    since = datetime.fromtimestamp(began_ms / 1000, UTC).isoformat()
    until = datetime.now(UTC).isoformat()
    audit = await run(visited, "audit", "--since", since, "--until", until, "--json")
    assert audit["visits"]["ended"] == {"edge_gone": 1}
    assert audit["visits"]["open_at_end"] == 0


async def test_one_address_has_a_share_of_what_may_open(
    visited: World, http: aiohttp.ClientSession
) -> None:
    url = address(visited, "eu-1", "open")
    for forwarded in ("203.0.113.1", "2001:db8:1:2::{}"):
        answers = await asyncio.gather(
            *(post(http, url, **{"X-Forwarded-For": forwarded.format(n)}) for n in range(1, 81))
        )
        statuses = Counter(status for status, _ in answers)
        assert statuses[201] >= 50
        assert statuses[429] >= 10
        limited = next(told for status, told in answers if status == 429)
        assert (limited["error"]["code"], 0 < limited["error"]["retry_after"] <= 1) == (
            "rate_limited", True
        )  # fmt: skip
        status, _ = await post(http, url, **{"X-Forwarded-For": "203.0.113.2"})
        assert status == 201, "another is let in"


async def test_no_more_can_be_open_than_the_limit(
    visited: World, http: aiohttp.ClientSession
) -> None:
    url = address(visited, "us-2", "open")
    made: list[str] = []
    dice, statuses = random.Random(3), Counter[int]()

    async def one() -> None:
        forwarded = f"198.51.100.{dice.randrange(1, 255)}"
        status, told = await post(http, url, **{"X-Forwarded-For": forwarded})
        statuses[status] += 1
        if status == 201:
            made.append(told["visit"])
        else:
            assert told["error"]["retry_after"] > 0
            assert told["error"]["code"] in ("unavailable", "rate_limited")

    for _ in range(4):
        await asyncio.gather(*(one() for _ in range(500)))
        await asyncio.sleep(0.3)
    assert len(made) <= 1_500
    assert statuses[201] == len(made)
    assert statuses.keys() <= {201, 429, 503}
    assert statuses[429] + statuses[503] > 0

"""How many are here: counted live, kept as a series, and rebuilt from the log."""

import asyncio
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from aiohttp import web
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from relay.bus.connection import open_connection
from relay.bus.inbox import Inbox
from relay.bus.leases import TTL_S
from relay.bus.reader import Reader
from relay.core.codes import Op
from tests.audits import lacking
from tests.countries import write_countries
from tests.raw import Raw, token
from tests.ready import serving
from tests.world import World

TOPOLOGY = """
[clients]
geoip = "countries.mmdb"
trusted_proxies = ["127.0.0.0/8"]
[[regions]]
name = "us"
edges = 2
[[regions]]
name = "eu"
edges = 1
[[regions]]
name = "ap"
edges = 1
"""
WITHIN_S = 10.0  # on a machine that is busy


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions whose edges know the countries of documentation prefixes."""
    directory = tmp_path_factory.mktemp("counted")
    write_countries(directory / "countries.mmdb")
    world = World(directory / "state", TOPOLOGY)
    world.launch()
    try:
        yield world
        assert world.end() == 0
        assert world.leftovers() == []
    finally:
        world.clean()


async def run(world: World, *arguments: str, code: int = 0) -> str:
    """What a command prints; its exit code is checked."""
    done = await asyncio.to_thread(world.run, *arguments)
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    return done.stdout


async def stats(world: World, *arguments: str) -> Any:
    """`jetrelay stats --json`."""
    return json.loads(await run(world, "stats", "--json", *arguments))


async def settled(
    world: World,
    sessions: int,
    users: int,
    region: str = "us",
    of: dict[str, tuple[int, int]] | None = None,
) -> Any:
    """What a region says as soon as it says so many sessions and users; in time, or it fails.

    A frame comes each second, and the count of users a second after the change. `of`: sessions and
    users by region. All users may be known before it is known in which regions each is.
    """
    deadline_s = time.monotonic() + WITHIN_S
    while True:
        now = await stats(world, "--region", region)
        total = now["total"]
        ready = {one["state"] for one in now["edges"]} == {"ready"} and now["users"]["exact"]
        by_region = {name: (one["sessions"], one["users"]) for name, one in now["regions"].items()}
        if (
            ready
            and (total["sessions"], total["users"]) == (sessions, users)
            and of in (None, by_region)
        ):
            return now
        assert time.monotonic() < deadline_s, (sessions, users, now)
        await asyncio.sleep(0.3)


@asynccontextmanager
async def sessions(
    world: World, *each: tuple[str, str, str]
) -> AsyncIterator[list[tuple[Raw, Any]]]:
    """(edge, user, address) each; with READY.d."""
    async with AsyncExitStack() as stack:
        made = []
        for edge, user, address in each:
            raw = await stack.enter_async_context(Raw(world.edges[edge].url, forwarded=address))
            ready = await raw.identify(
                token(world, user), "room", properties={"os": "linux", "browser": "firefox"}
            )
            made.append((raw, ready["d"]))
        yield made


EVERYBODY = (
    ("us-1", "ana", "192.0.2.1"),
    ("us-2", "bo", "198.51.100.2"),
    ("eu-1", "ana", "2001:db8::1"),
    ("eu-1", "cy", "203.0.113.3"),
    ("ap-1", "di", ""),
)


async def test_every_region_counts_all_and_users_once(counted: World) -> None:
    async with sessions(counted, *EVERYBODY) as made:
        for region in ("us", "eu", "ap"):
            of = {"us": (2, 2), "eu": (2, 2), "ap": (1, 1)}
            now = await settled(counted, 5, 4, region, of)
            assert now["seen_from"] == region
            assert now["total"] == {
                "connections": 5, "sessions": 5, "users": 4, "visits": 0, "edges": 4
            }  # fmt: skip
            assert now["countries"] == {"DE": 1, "FR": 1, "SG": 1, "US": 1, "ZZ": 1}
            assert now["transports"] == {"websocket": 5}
            assert (now["users"]["exact"], now["users"]["error"]) == (True, 0.0)
            assert now["silent"] == []
        before_ms = int(time.time() * 1000)
        await made[0][0].ws.close(1000)
        await made[1][0].drop()
        now = await settled(counted, 3, 3)
        assert now["closed"]["1000"] >= 1
        assert now["closed"]["1006"] >= 1
        then = datetime.fromtimestamp(before_ms / 1000, UTC).isoformat()
        past = await stats(counted, "--at", then)
        assert (past["total"]["sessions"], past["total"]["users"]) == (5, 4)
        text = await run(counted, "stats")
        assert "different ones: exact" in text


async def test_an_edge_that_is_silent_stands_apart(counted: World) -> None:
    async with sessions(counted, *EVERYBODY) as made:
        await settled(counted, 5, 4)
        await counted.ctl("pause", "us-1")
        paused_s = time.monotonic()
        try:
            now = await settled(counted, 4, 4)  # its user has another session
            assert [(one["edge"], one["sessions"]) for one in now["silent"]] == [("us-1", 1)]
            assert now["silent"][0]["age_ms"] > 3_000
            assert "us us-1, last heard" in await run(counted, "stats")
            # Longer than its lease lives: that it lets go of its clients then, is no chance here.
            await asyncio.sleep(paused_s + TTL_S + 1.0 - time.monotonic())
        finally:
            await counted.ctl("continue", "us-1")
        async with asyncio.timeout(30):
            while (now := await stats(counted))["total"]["edges"] < 4:
                await asyncio.sleep(0.5)
        assert await made[0][0].close_code() == 4000
        await serving(counted, "us-1")
        async with sessions(counted, EVERYBODY[0]):
            await settled(counted, 5, 4)


def _families(text: str) -> dict[str, Metric]:
    """What a scrape has, read as OpenMetrics."""
    families: Iterator[Metric] = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return {family.name: family for family in families}


async def test_metrics_have_the_figures_with_bounded_labels(counted: World) -> None:
    async with sessions(counted, *EVERYBODY):
        admin = counted.found().edge("eu-1").admin

        def read() -> str:
            with urllib.request.urlopen(f"{admin}/metrics", timeout=10) as answer:
                assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
                text: bytes = answer.read()
                return text.decode()

        text = await asyncio.to_thread(read)
        for metric in (
            'users{edge="eu-1",region="eu"} 2.0',
            'sessions_by_country{country="SG",edge="eu-1",region="eu"} 1.0',
            'sessions_by_transport{edge="eu-1",region="eu",transport="websocket"} 2.0',
            'sessions_opened_total{edge="eu-1",how="identify",region="eu"}',
        ):
            assert f"jetrelay_{metric}" in text
        families = _families(text)
        assert families["jetrelay_users"].type == "gauge"
        assert families["jetrelay_sessions_opened"].type == "counter"


async def test_close_codes_of_clients_own_make_one_label(counted: World) -> None:
    """Else a client could make as many as there are numbers."""
    edge = counted.found().edge("us-1")
    for code in range(3_100, 3_140):
        async with Raw(edge.url) as raw:
            await raw.identify(token(counted, "closer"), "room")
            await raw.ws.close(code)

    def closed() -> dict[str, float]:
        with urllib.request.urlopen(f"{edge.admin}/metrics", timeout=10) as answer:
            text: bytes = answer.read()
        samples = _families(text.decode())["jetrelay_sessions_closed"].samples
        return {sample.labels["code"]: sample.value for sample in samples}

    async with asyncio.timeout(10):
        while (found := await asyncio.to_thread(closed)).get("3000", 0) < 40:
            await asyncio.sleep(0.2)
    assert not [code for code in found if code.startswith("31")]


async def test_the_log_rebuilds_who_was_here_whoever_is_asked(
    counted: World, tmp_path: Path
) -> None:
    since_ms = int(time.time() * 1000)
    async with sessions(counted, *EVERYBODY) as made:
        (ana, ready), (bo, _), *_ = made
        await ana.drop()
        async with Raw(counted.edges["ap-1"].url, forwarded="192.0.2.1") as again:
            await again.resume(
                token(counted, "ana"), ready["session_id"], cursor=ready["cursor"], rooms=["room"]
            )
            await again.dispatched("RESUMED")
            await asyncio.sleep(1.5)  # it says once a second that it lives
            await counted.ctl("kill", "us-2")
            assert await bo.close_code() is None
            await asyncio.sleep(1)
            await again.ws.close(1000)
    await asyncio.sleep(1.5)  # what is told of who closes, and a batch of each edge
    until_ms = int(time.time() * 1000)
    since, until = (
        datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in (since_ms, until_ms)
    )
    span = ("--since", since, "--until", until)
    for region in ("us", "eu"):
        out = tmp_path / region
        done = await asyncio.to_thread(
            counted.run, "audit", "--region", region, *span, "--out", str(out)
        )
        assert done.stdout.startswith(("FAIL", "PASS")[done.returncode == 0]), done.stderr
    names = ("audit.json", "index.html", "sessions.csv", "sessions.parquet", "visits.csv")
    for name in names:
        assert (tmp_path / "us" / name).read_bytes() == (tmp_path / "eu" / name).read_bytes()
    audit = json.loads((tmp_path / "us" / "audit.json").read_text())
    assert lacking(audit) == []
    assert (audit["sessions"], audit["users"], audit["reconnects"]) == (5, 4, 1)
    assert audit["concurrency"]["peak"] == 5
    assert audit["repaired"]["by_rule"] == {"edge_died": 1}
    assert (audit["repaired"]["off"], audit["open_at_end"]) == (0, 0)
    assert audit["repaired"]["compared"] > 10
    assert audit["by_country"]["US"]["sessions"] == 1
    table = pl.read_parquet(tmp_path / "us" / "sessions.parquet")
    assert len(table) == 6
    person = json.loads(await run(counted, "audit", "user", "ana", "--json", *span))
    assert person["sessions"] == 2
    assert person["devices"] == ["linux firefox"]
    assert {one["edge"] for one in person["times"]} == {"us-1", "eu-1", "ap-1"}
    assert sum(one["how"] == "resume" for one in person["times"]) == 1
    await run(counted, "audit", "user", "nobody", *span, code=1)


async def test_the_series_is_read_back_and_written_to_a_receiver(
    counted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUX_TOKEN", "a-token")
    bodies: list[tuple[str, str, str]] = []
    answers = [503, 204]  # what it can't take now is sent again

    async def take(request: web.Request) -> web.Response:
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        if status == 204:
            auth = request.headers.get("Authorization", "")
            bodies.append((request.query_string, auth, await request.text()))
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/api/v2/write", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with sessions(counted, *EVERYBODY):
            await settled(counted, 5, 4)
            rows = await stats(counted, "--since", "20s", "--step", "1s")
            newest = [row for row in rows if row["scope"] == "total" and row["sessions"]][-1]
            assert newest["sessions"]["max"] == 5
            url = f"http://127.0.0.1:{port}/api/v2/write?org=o&bucket=b"
            await run(counted, "stats", "export", "--influx", url, "--since", "20m")
            csv = await run(counted, "stats", "--since", "20s", "--step", "1s", "--csv")
            head, *table = (line.split(",") for line in csv.splitlines())
            assert {len(row) for row in table} == {len(head)}
            totals = [dict(zip(head, row, strict=True)) for row in table]
            assert {row["scope"] for row in totals} == {"total", "us", "eu", "ap"}
            assert "5" in {row["sessions_max"] for row in totals if row["scope"] == "total"}
        ((query, auth, body),) = bodies
        assert auth == "Token a-token"
        assert query == "org=o&bucket=b&precision=s"
        lines = body.splitlines()
        assert all(line.startswith("jetrelay,scope=") for line in lines)
        assert {line.split(" ")[0] for line in lines} == {
            f"jetrelay,scope={scope}" for scope in ("total", "us", "eu", "ap")
        }
        answers[:] = [400]
        said = await asyncio.to_thread(
            counted.run, "stats", "export", "--influx", f"http://127.0.0.1:{port}/api/v2/write"
        )
        assert said.returncode == 2
        assert "refuses the series: 400" in said.stderr
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stats", "--at", "yesterday"), "nor like 12:03 nor like 15m"),
        (("stats", "--since", "5m", "--at", "5m"), "exclude each other"),
        (("stats", "--until", "5m"), "--until and --step go with --since"),
        (("stats", "--since", "5m", "--step", "7s"), "does not fit into minutes"),
        (("stats", "--since", "30d", "--step", "1s"), "take a larger --step"),
        (("stats", "--since", "5m", "--until", "10m"), "--until must be later"),
        (("stats", "export", "--influx", "host:8086"), "is no http:// or https:// address"),
        (("audit", "--since", "5m", "user", "ana"), "options go behind `user`"),
        (("stats", "--since", "5m", "export", "--influx", "-"), "options go behind `export`"),
        (("audit",), "--since says from when on"),
        (("audit", "--since", "5m", "--until", "2200-01-01T00:00Z"), "what is to come"),
        (("audit", "--since", "60d", "--until", "59d"), "the log holds nothing of that time"),
        (("audit", "user", "a.b", "--since", "5m"), "a user is 1 to 128 of"),
    ],
)
async def test_what_can_not_be_answered_is_named(
    counted: World, arguments: tuple[str, ...], said: str
) -> None:
    done = await asyncio.to_thread(counted.run, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_device_that_is_no_plain_text_reaches_no_terminal(counted: World) -> None:
    async with Raw(counted.edges["us-1"].url) as raw:
        await raw.send(
            Op.IDENTIFY,
            {
                "token": token(counted, "mallory"),
                "properties": {"os": "\x1b]52;c;x\x07", "browser": 3},
            },
        )
        await raw.dispatched("READY")
        await asyncio.sleep(1)
        until = datetime.now(UTC).isoformat()
        said = await run(counted, "audit", "user", "mallory", "--since", "30s", "--until", until)
        assert "\x1b" not in said
        assert "]52;c;x" in said


async def test_the_live_figures_of_all_that_was_before_are_as_the_log_says(
    counted: World,
) -> None:
    began_ms = counted.state_dir.stat().st_ctime_ns // 1_000_000 - 60_000
    since = datetime.fromtimestamp(began_ms / 1000, UTC).isoformat()
    async with sessions(counted, *EVERYBODY):
        await settled(counted, 5, 4)  # else this may be the first to look at this world
    deadline_s = time.monotonic() + 140  # until a calm minute is over, and stored
    while True:
        done = await asyncio.to_thread(counted.run, "audit", "--since", since, "--json")
        audit = json.loads(done.stdout or "null")  # a moment ago there was nothing
        if audit is not None and audit["live"]["sum_calm"]["seconds"]:
            break
        assert time.monotonic() < deadline_s, (audit, done.stderr)
        await asyncio.sleep(2)
    assert audit["verdict"] == "PASS", audit["why"]
    assert audit["live"]["edges"]["largest"] == 0
    assert audit["live"]["edges"]["seconds"] > 0


async def test_what_a_mirror_of_the_log_skipped_is_read_where_it_is(counted: World) -> None:
    since = datetime.now(UTC).isoformat()
    async with sessions(counted, *EVERYBODY):
        await settled(counted, 5, 4)
    await asyncio.sleep(1.5)
    connection = await open_connection(
        counted.nats_config("eu", "control"), "test", "_INBOX_control"
    )
    inbox = Inbox(connection)
    await inbox.start()
    reader = Reader(inbox, 4)
    try:
        page = await reader.since("LOG_us", since.replace("+00:00", "Z"), batch=1000)
        seqs = [int(headers["Nats-Sequence"]) for headers, _ in page.messages]
        skipped = seqs[len(seqs) // 2]
        await reader.api("STREAM.MSG.DELETE.LOG_us", {"seq": skipped})
        assert (await reader.info("LOG_us")).deleted == 1
        span = ("--since", since, "--until", datetime.now(UTC).isoformat(), "--json")
        told = [
            (await asyncio.to_thread(counted.run, "audit", "--region", region, *span)).stdout
            for region in ("us", "eu")
        ]
        assert told[0] == told[1]
        assert lacking(json.loads(told[1])) == []
    finally:
        await connection.close()


async def test_an_audit_does_not_take_a_log_that_has_not_come_for_one_that_has_ended(
    counted: World,
) -> None:
    async with sessions(counted, *EVERYBODY):
        await settled(counted, 5, 4)
        await counted.ctl("stop", "nats:ap-n1")
        try:
            await asyncio.sleep(12)  # it is dark, and its mirrors know nothing more of it
            span = ("--region", "us", "--since", "1m", "--until", "0s")
            done, said = await asyncio.gather(  # each waits for 20 s for what does not come
                asyncio.to_thread(counted.run, "audit", *span),
                run(counted, "audit", *span, "--partial", "--json", code=1),
            )
            assert done.returncode == 2
            assert "not all logs have come to us: that of ap up to 20" in done.stderr
            partial = json.loads(said)
            assert partial["verdict"] == "FAIL"
            assert "the log of ap has not come up to the end" in partial["why"]
            assert list(partial["known_ms"]) == ["ap"]
            until = datetime.fromtimestamp(partial["known_ms"]["ap"] / 1000, UTC).isoformat()
            earlier = ("audit", "--region", "us", "--since", "2m", "--until", until, "--json")
            whole = json.loads((await asyncio.to_thread(counted.run, *earlier)).stdout)
            assert lacking(whole) == []
            assert whole["known_ms"] == {}
            assert whole["by_region"]["ap"]["sessions"] >= 1
        finally:
            await counted.ctl("start", "nats:ap-n1")

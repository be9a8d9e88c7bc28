"""Alerts that are posted to the outside: each once, again where nobody answers, and taken back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from cli import hook as module
from cli.hook import Hook
from regions.news import AlertNews, AlertState

Bodies = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow soon."""
    monkeypatch.setattr(module, "PAUSES_S", (0.02,))


def alert(name: str = "RegionDark", state: AlertState = "firing", on: str = "eu") -> AlertNews:
    return AlertNews(name=name, on=on, severity="page", state=state, since_ms=5, text="dark")


@asynccontextmanager
async def receiver(answers: list[int]) -> AsyncIterator[tuple[str, Bodies]]:
    """Takes what is posted; `answers`: of the first requests, then 204."""
    bodies: Bodies = []

    async def take(request: web.Request) -> web.Response:
        status = answers.pop(0) if answers else 204
        if status == 204:
            bodies.append(json.loads(await request.text()))
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/alerts", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/alerts", bodies
    finally:
        await runner.cleanup()


@asynccontextmanager
async def started(url: str) -> AsyncIterator[Hook]:
    hook = Hook(url, "us")
    hook.start()
    try:
        yield hook
    finally:
        await hook.close()


async def until(bodies: Bodies, count: int) -> None:
    async with asyncio.timeout(10):
        while len(bodies) < count:
            await asyncio.sleep(0.01)


def said(bodies: Bodies) -> list[tuple[str, list[str]]]:
    return [(body["status"], [each["name"] for each in body["alerts"]]) for body in bodies]


async def test_what_fires_is_told_once_and_taken_back_once() -> None:
    async with receiver([]) as (url, bodies), started(url) as hook:
        hook.stand([alert("Slow", "pending")], chief=True)
        await asyncio.sleep(0.05)
        assert bodies == []
        for _ in range(3):
            hook.stand([alert()], chief=True)
            await until(bodies, 1)
        hook.stand([alert(), alert("Slow")], chief=True)
        await until(bodies, 2)
        hook.stand([alert("Slow")], chief=True)
        await until(bodies, 3)
        hook.stand([alert("Slow")], chief=True)
        await asyncio.sleep(0.05)
    assert said(bodies) == [
        ("firing", ["RegionDark"]), ("firing", ["Slow"]), ("resolved", ["RegionDark"]),
    ]  # fmt: skip
    assert (bodies[0]["version"], bodies[0]["by"]) == (1, "us")
    assert bodies[0]["alerts"][0]["text"] == "dark"
    assert hook.delivered == 3


async def test_what_fires_for_long_is_told_again_unless_somebody_looks_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.02)
    acked = msgspec.structs.replace(alert("Slow"), acked_by="ops")
    async with receiver([]) as (url, bodies), started(url) as hook:
        hook.stand([acked], chief=True)
        await until(bodies, 1)
        async with asyncio.timeout(10):
            while len(bodies) < 4:
                hook.stand([acked, alert()], chief=True)
                await asyncio.sleep(0.03)
    assert [names for _, names in said(bodies)] == [["Slow"]] + [["RegionDark"]] * 3


async def test_it_is_tried_again_until_it_is_taken() -> None:
    async with receiver([500, 503, 404]) as (url, bodies), started(url) as hook:
        hook.stand([alert()], chief=True)
        await until(bodies, 1)
        assert (hook.failed, hook.delivered) == (3, 1)


async def test_nobody_answers_and_then_somebody_does() -> None:
    async with receiver([]) as (url, bodies), started("http://127.0.0.1:9/alerts") as hook:
        hook.stand([alert()], chief=True)
        async with asyncio.timeout(10):
            while hook.failed < 3:
                await asyncio.sleep(0.01)
        hook._url = url
        await until(bodies, 1)


async def test_what_came_and_went_while_nobody_answered_is_not_told() -> None:
    async with receiver([500] * 5) as (url, bodies), started(url) as hook:
        hook.stand([alert()], chief=True)
        async with asyncio.timeout(10):
            while hook.failed < 1:
                await asyncio.sleep(0.01)
        hook.stand([alert("Slow")], chief=True)
        await until(bodies, 1)
        assert said(bodies) == [("firing", ["Slow"])]


async def test_one_keeper_tells_and_the_next_takes_over() -> None:
    async with receiver([]) as (url, bodies), started(url) as hook:
        hook.stand([alert()], chief=False)
        await asyncio.sleep(0.05)
        assert bodies == []
        hook.stand([alert()], chief=True)
        await until(bodies, 1)
        hook.stand([], chief=False)
        await until(bodies, 2)
        hook.stand([], chief=True)
        await asyncio.sleep(0.05)
        assert said(bodies) == [("firing", ["RegionDark"]), ("resolved", ["RegionDark"])]


async def test_who_takes_over_takes_back_what_the_one_before_may_have_told() -> None:
    """The other one told that it fires, and died; it was over before anybody knew that."""
    async with receiver([]) as (url, bodies), started(url) as hook:
        hook.stand([alert(), alert("Slow")], chief=False)
        hook.stand([alert("Slow")], chief=False)
        hook.stand([alert("Slow")], chief=True)
        await until(bodies, 2)
        hook.stand([alert("Slow")], chief=True)
        await asyncio.sleep(0.05)
        assert sorted(said(bodies)) == [("firing", ["Slow"]), ("resolved", ["RegionDark"])]


async def test_what_was_over_for_long_is_nothing_to_take_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HANDOVER_S", 0.01)
    async with receiver([]) as (url, bodies), started(url) as hook:
        hook.stand([alert()], chief=False)
        hook.stand([], chief=False)
        await asyncio.sleep(0.05)
        hook.stand([], chief=True)
        await asyncio.sleep(0.05)
        assert bodies == []


async def test_who_is_not_heard_outside_says_so() -> None:
    async with receiver([500]) as (url, _), started(url) as hook:
        works = [hook.works]
        hook.stand([alert()], chief=True)
        async with asyncio.timeout(10):
            while hook.delivered == 0:
                works += [hook.works] if hook.works != works[-1] else []
                await asyncio.sleep(0.001)
        assert [*works, hook.works] == [True, False, True]

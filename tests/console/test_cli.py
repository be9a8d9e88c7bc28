"""`jetrelay console` as a script meets it: what goes to stdout, what it exits with."""

import json
from pathlib import Path

import pytest

from tests.console.command import run
from tests.console.nats_process import PASSWORD, nats_processes
from tests.console.test_live import fake_edges


async def console(*arguments: str) -> tuple[int, str, str]:
    return await run("console", *arguments)


async def test_once_against_a_deployment(tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.touch(mode=0o600)
    login.write_text(f"console:{PASSWORD}")
    with nats_processes(tmp_path, 1) as (server,):
        await server.start()
        options = ("--nats", server.url, "--creds", str(login), "--once")
        async with fake_edges(server):
            code, out, err = await console(*options, "--format", "json")
    assert (code, err) == (0, "")
    seen = json.loads(out)
    assert {region["name"]: region["state"] for region in seen["regions"]} == {
        "us": "ok",
        "eu": "ok",
        "ap": "ok",
    }
    assert seen["lag_ms"]["eu"]["us"] > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--state", "nowhere", "--once"), "no world in nowhere"),
        (("--nats", "nats://127.0.0.1:1"), "not a terminal"),
        (("--nats", "nats://u:p@127.0.0.1:1", "--once"), "use --creds FILE"),
        (("--nats", "127.0.0.1", "--once"), "is not nats://host:port"),
        (("--creds", __file__, "--once"), "--creds goes with --nats"),
    ],
)
async def test_mistakes_are_one_line(arguments: tuple[str, ...], says: str) -> None:
    code, out, err = await console(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err

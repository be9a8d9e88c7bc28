"""The commands as processes, against a scripted gateway."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process

from relay.core.codes import Op
from tests.unit.client_gateway import Peer, gateway

MAIN = "from cli.main import main; main()"


async def jetrelay(*args: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", MAIN, *args, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def acknowledge(peer: Peer) -> None:
    """A gateway that stores what it gets, except in the room `no`."""
    await peer.welcome()
    seq = 0
    while True:
        d = await peer.hear(Op.PUBLISH)
        if d["room"] == "no":
            await peer.say(
                Op.ERROR, {"nonce": d["nonce"], "code": "not_permitted", "message": "no"}
            )
            continue
        seq += 1
        place = {"origin": "eu", "epoch": 1, "seq": seq, "id": d["id"]}
        await peer.say(Op.ACK, {"nonce": d["nonce"], **place})


async def chatter(peer: Peer) -> None:
    """A gateway that says something every few milliseconds."""
    await peer.welcome()
    for seq in range(1, 100_000):
        await peer.message(seq)
        await asyncio.sleep(0.005)


async def test_publish_prints_an_ack_for_each_line_of_stdin() -> None:
    async with gateway(acknowledge) as edge:
        process = await jetrelay("publish", "--room", "a", "-", "--url", edge.url, "--token", "T")
        out, _ = await asyncio.wait_for(process.communicate(b'{"n": 1}\nplain\n'), 20)
    assert process.returncode == 0
    assert out == b"eu 1\neu 2\n"
    assert [d["data"] for op, d in edge.heard if op == Op.PUBLISH] == [{"n": 1}, "plain"]


async def test_a_refused_publish_ends_with_1_and_a_word() -> None:
    async with gateway(acknowledge) as edge:
        process = await jetrelay("publish", "--room", "no", "x", "--url", edge.url, "--token", "T")
        out, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out) == (1, b"")
    assert b"not_permitted" in err
    assert b"Traceback" not in err


async def test_tail_follows_until_ctrl_c() -> None:
    async with gateway(chatter) as edge:
        args = ("tail", "--room", "chat:a", "--json", "--url", edge.url, "--token", "T")
        process = await jetrelay(*args)
        assert process.stdout is not None
        first = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        assert (first["event"], first["room"], first["seq"]) == ("message", "chat:a", 1)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert b"Traceback" not in err
    assert edge.closes == [1000]


async def test_tail_ends_quietly_when_its_reader_is_gone() -> None:
    async with gateway(chatter) as edge:
        args = ("tail", "--room", "chat:a", "--url", edge.url, "--token", "T")
        command = (
            f"{sys.executable} -c '{MAIN}' {' '.join(args)} | head -n 1; exit ${{PIPESTATUS[0]}}"
        )
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", command, stdout=PIPE, stderr=PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert len(out.splitlines()) == 1
    assert b"Traceback" not in err
    assert b"Broken" not in err


async def test_an_edge_that_is_not_there_is_one_line_on_stderr(unused_tcp_port: int) -> None:
    url = f"ws://127.0.0.1:{unused_tcp_port}/gateway"
    process = await jetrelay("tail", "--room", "a", "--url", url, "--token", "T")
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out) == (2, b"")
    assert err.count(b"\n") == 1
    assert url.encode() in err

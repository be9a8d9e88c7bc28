"""`python -m tests.truth`: whether consoles name what a drill breaks, and are never green too long.

A local world with a keeper that goes through all doors, a console in each region, canaries, and a
drill. Each second the JSON of each console is written down; afterwards it is compared with what the
drill did. Exit code 0: passed. 1: a fault was named late, or a console was green while a canary
failed. 2: it could not be run.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from regions.drills.timeline import Stage
from regions.faults import spaces
from tests.truth.drill import Drill, DrillFailedError
from tests.truth.judge import Findings, judge
from tests.truth.table import table
from tests.truth.witness import Witness
from tests.world import World

READY_S = 90.0
CAMPAIGN_S = 300.0
BEFORE_S = 3.0
AFTER_S = 5.0
TOLD = ("fault", "heal", "note")


def say(text: str) -> None:
    """Narrate."""
    print(text, file=sys.stderr, flush=True)


@contextlib.asynccontextmanager
async def keeper(world: World, log: Path) -> AsyncIterator[None]:
    """`jetrelay keeper`, which goes through all doors."""
    command = [sys.executable, "-m", "cli", "keeper", "--listen", "127.0.0.1:0", "--try"]
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *command, "--state", str(world.state_dir), stdout=file, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def run(arguments: argparse.Namespace, world: World) -> tuple[Findings, str]:
    """All of it; what was found, and the drill's own verdict."""
    out: Path = arguments.out
    drill = Drill(
        world.state_dir, out / "drill", arguments.drill, arguments.seed, arguments.lasts_s
    )

    def tell(stage: Stage) -> None:
        if stage.name in TOLD:
            say(f"{stage.at_s:7.1f} s  {stage.name:<6} {stage.text}")

    async with keeper(world, out / "keeper.log"):
        places = await drill.places()
        async with Witness(world.found(), out / "samples.jsonl") as witness:
            await witness.green(READY_S)
            begin = len(witness.samples)
            await asyncio.sleep(BEFORE_S)
            load = ("--clients", str(arguments.clients), "--rate", str(arguments.rate))
            await drill.run(tell, *load)
            await asyncio.sleep(AFTER_S)
            samples = witness.samples[begin:]
    return judge(samples, drill.faults(places), places), drill.word


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument("--drill", default="campaign", help="which (default campaign)")
    parser.add_argument(
        "--for",
        dest="lasts_s",
        type=float,
        default=None,
        metavar="SECONDS",
        help="how long the campaign (default 300), or the drill's fault, lasts",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=205,
        help="of what is broken (default 205: every kind, in 300 s)",
    )
    parser.add_argument("--clients", type=int, default=60, help="of the drill (default 60)")
    parser.add_argument("--rate", type=float, default=60.0, help="events/s of it (default 60)")
    parser.add_argument("--small-disks", type=int, metavar="MB", help="so that disks can be full")
    parser.add_argument("--out", type=Path, help="where what was said is kept")
    arguments = parser.parse_args()
    if arguments.drill == "campaign" and arguments.lasts_s is None:
        arguments.lasts_s = CAMPAIGN_S
    if arguments.out is None:
        arguments.out = Path(tempfile.mkdtemp(prefix="jetrelay-truth-"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    links = "relay" if spaces.why_not() else "netns"
    options = ["--links", links, "--wan"]
    if arguments.small_disks is not None:
        options += ["--small-disks", str(arguments.small_disks)]
    world = World(arguments.out / "world", None, *options)
    world.launch()
    try:
        found, word = asyncio.run(run(arguments, world))
    except (DrillFailedError, TimeoutError) as error:
        say(str(error) or "not all was green in time")
        return 2
    finally:
        world.end()
        world.clean()
    (arguments.out / "findings.json").write_bytes(msgspec.json.encode(found))
    print(f"{arguments.drill}, seed {arguments.seed}; its own verdict: {word}", end="\n\n")
    for line in table(found):
        print(line)
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())

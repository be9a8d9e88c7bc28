"""`jetrelay` as a script meets it: exit code, stdout, stderr."""

import asyncio
import sys


async def run(*arguments: str) -> tuple[int, str, str]:
    """`jetrelay ARGUMENTS`, without a terminal."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()

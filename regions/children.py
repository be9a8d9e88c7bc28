"""Processes that a command started, and ends."""

import asyncio
import contextlib


async def ended(child: asyncio.subprocess.Process, within_s: float) -> None:
    """Wait until a process has ended that was told to; kill it when it has not in time."""
    try:
        async with asyncio.timeout(within_s):
            await child.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()

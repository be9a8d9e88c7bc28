"""What an operator does, done by a drill."""

import asyncio
from collections.abc import Callable

from regions.errors import OperationError
from regions.operations.entry import Request
from regions.operations.office import open_office
from regions.world import World

ABORT_S = 10.0  # in which what is interrupted says so in the books


async def operate(world: World, request: Request, tell: Callable[[str], None]) -> None:
    """Carry an operation out as `jetrelay ctl` does.

    Args:
        world: in which.
        request: what is wanted.
        tell: is told what happens.

    Raises:
        OperationError: it was refused, or did not end well.
        CancelledError: it was aborted.
    """
    async with open_office(
        world.topology(), world.doors("console"), world.doors("control")
    ) as office:
        plan = await office.plan(request)
        async with office.submitted(request, plan, tell) as execution:
            try:
                end = await execution.carry_out()
            except asyncio.CancelledError:
                execution.aborting = f"{request.by}: it was interrupted"
                async with asyncio.timeout(ABORT_S):
                    await execution.carry_out()  # stops where it is, and says so in the books
                raise
    if end != "done":
        raise OperationError(f"{request.verb} {request.scope}: {end}")

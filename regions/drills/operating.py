"""What an operator does, done by a drill."""

from collections.abc import Callable

from regions.errors import OperationError
from regions.operations.entry import Request
from regions.operations.office import open_office
from regions.world import World


async def operate(world: World, request: Request, tell: Callable[[str], None]) -> None:
    """Carry an operation out as `jetrelay ctl` does.

    Args:
        world: in which.
        request: what is wanted.
        tell: is told what happens.

    Raises:
        OperationError: it was refused, or did not end well.
    """
    async with open_office(
        world.topology(), world.doors("console"), world.doors("control")
    ) as office:
        plan = await office.plan(request)
        async with office.submitted(request, plan, tell) as execution:
            end = await execution.carry_out()
    if end != "done":
        raise OperationError(f"{request.verb} {request.scope}: {end}")

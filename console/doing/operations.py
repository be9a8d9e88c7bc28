"""Operations that this console carries out, and what is said of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from regions.errors import OperationError
from regions.operations.entry import Plan, Request, What
from regions.operations.execution import Execution
from regions.operations.office import Office
from relay.errors import RelayError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.console")

LINES = 200  # that are kept of one
UNSEEN = 8  # operations


@dataclass(slots=True)
class Carried:
    """An operation that is carried out from here."""

    what: str  # `drain eu-1`
    name: str = ""  # empty: it is not stored yet
    lines: list[tuple[int, str]] = field(default_factory=list)  # Unix ms, what happened
    end: What | None = None
    error: str = ""
    execution: Execution | None = None

    @property
    def ended(self) -> bool:
        """Whether it goes on no more."""
        return self.end is not None or bool(self.error)


class Carrier:
    """Carries operations out, one after the other.

    Args:
        tasks: in which it does.
        wall_ms: the time, Unix ms.
        changed: is called whenever something was said.
    """

    def __init__(
        self, tasks: Tasks, wall_ms: Callable[[], int], changed: Callable[[], None]
    ) -> None:
        self._tasks = tasks
        self._wall_ms = wall_ms
        self._changed = changed
        self.current: Carried | None = None
        self._unseen: list[Carried] = []  # that went wrong before, and nobody has seen it

    @property
    def busy(self) -> bool:
        """Whether one is carried out."""
        return self.current is not None and not self.current.ended

    def submit(self, office: Office, request: Request, plan: Plan, override: str) -> None:
        """Carry out what was confirmed."""
        carried = self._begin(f"{request.verb} {request.scope}")

        async def work() -> What:
            tell = self._teller(carried)
            async with office.submitted(request, plan, tell, override) as execution:
                return await self._follow(carried, execution)

        self._tasks.spawn(self._do(carried, work()), "operation")

    def resume(self, office: Office, name: str, by: str) -> None:
        """Go on with an operation that nobody carries out."""
        carried = self._begin(f"resume {name}")
        carried.name = name

        async def work() -> What:
            async with office.resumed(name, by, self._teller(carried)) as execution:
                return await self._follow(carried, execution)

        self._tasks.spawn(self._do(carried, work()), "operation")

    def abort(self, office: Office, name: str, by: str, why: str) -> None:
        """Stop one: this one at once, or have it stopped by who carries it out."""
        carried = self.current
        if carried is not None and carried.name == name and carried.execution is not None:
            carried.execution.aborting = f"{by}: {why}" if why else by
            return
        carried = self._begin(f"abort {name}")
        carried.name = name

        async def work() -> What:
            stopped = await office.abort(name, by, why, self._teller(carried))
            return "aborted" if stopped else "done"

        self._tasks.spawn(self._do(carried, work()), "operation")

    def _begin(self, what: str) -> Carried:
        if self.busy:
            raise OperationError("one operation is carried out from here already: follow it, or A")
        if self.current is not None and self.current.end != "done":
            self._unseen = [*self._unseen, self.current][-UNSEEN:]
        self.current = Carried(what)
        return self.current

    def acknowledge(self) -> None:
        """Somebody has seen how it ended; one that ended before, and was not seen, comes next."""
        self.current = self._unseen.pop() if self._unseen else None

    async def _follow(self, carried: Carried, execution: Execution) -> What:
        carried.name, carried.execution = execution.name, execution
        self._changed()
        try:
            return await execution.carry_out()
        finally:
            carried.execution = None

    async def _do(self, carried: Carried, work: Awaitable[What]) -> None:
        try:
            carried.end = await work
        except asyncio.CancelledError:
            carried.error = "left as it is: `resume` goes on, `abort` stops it"
            raise
        except RelayError as error:
            carried.error = str(error)
        except Exception as error:
            _log.exception("%s", carried.what)
            carried.error = f"it can't be gone on with from here: {error!r}"
        finally:
            with suppress(RuntimeError):  # the screen may be gone by now
                self._changed()

    def _teller(self, carried: Carried) -> Callable[[str], None]:
        def tell(text: str) -> None:
            carried.lines.append((self._wall_ms(), text))
            del carried.lines[:-LINES]
            self._changed()

        return tell

"""What is refused, and in which words: lines and keys that mean nothing where they are given."""

from console.commands import parse
from relay.core.orders import TEXT
from tests.console.answers import handle
from tests.console.asked import Console, console
from tests.console.clerk import Clerk
from tests.console.stage import until


async def refused(shown: Console, line: str, why: str) -> None:
    """A line that nothing comes of but a word."""
    shown.app.tell(*parse(line))
    await shown.pilot.pause()
    assert why in shown.said, line


async def test_lines_that_mean_nothing_here() -> None:
    async with console(Clerk()) as shown:
        await refused(shown, "theme of-mine", "no theme 'of-mine': there are ")
        await refused(shown, "edge us-9", "no edge 'us-9'")
        await refused(shown, "region mars", "no region 'mars': there are ")
        await refused(shown, f"arm {'x' * (TEXT + 1)}", f"why: {TEXT} characters are the most")
        assert shown.app.acting.armed is None
        await shown.arm()
        await refused(shown, "cordon us-9", "no region and no edge is called 'us-9'")
        await shown.tell("edges", "filter zzz")
        await refused(shown, "copy", "there is no row here")


async def test_without_a_login_for_it_no_connection_is_closed() -> None:
    clerk = Clerk()
    async with console(clerk, backing=clerk.backing()) as shown:
        await shown.press("3", "K")
        assert clerk.kicked == []
        await refused(shown, f"kick {handle(0)}", "no login that may change anything")


async def test_one_connection_is_closed_at_a_time() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.press("3")
        await shown.arm()
        await shown.press("K")
        await shown.confirming()
        clerk.gate.clear()  # the edge does not answer yet
        await shown.typed("ana")
        await until(shown.pilot, lambda: bool(clerk.told("kick")))
        await refused(shown, f"kick {handle(1)}", "a connection is being closed: see what becomes")
        clerk.gate.set()
        await until(shown.pilot, lambda: bool(clerk.kicked))
        assert [session for session, _, _ in clerk.kicked] == [handle(0)]

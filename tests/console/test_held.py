"""While the picture is held: what must vanish vanishes, and nothing is shown of another subject."""

from console.panes.trace import TracePane
from console.views.standing import HELD
from relay.core.inquiry_answers import Traced
from tests.console.answers import handle, traced_frame
from tests.console.asked import console
from tests.console.clerk import Clerk
from tests.console.stage import until

SECRET = "a secret"


async def test_names_can_be_hidden_and_shown_again() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.press("3")
        await shown.shows("bo1")
        await shown.press("f", "p")
        assert "FROZEN" in shown.text
        assert "bo1" not in shown.text
        await shown.press("p")
        assert "bo1" in shown.text


async def test_another_client_is_not_shown_as_the_one_before() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.tell(f"client {handle(0)}")
        await shown.later()
        assert HELD not in shown.text
        asked = list(clerk.asked)
        held = shown.text
        await shown.press("f")
        await shown.later(5_000)
        for line in ("Rooms", "It has"):
            assert line in held
            assert line in shown.text
        await shown.tell(f"client {handle(1)}")
        assert HELD in shown.text
        assert handle(0) not in shown.text
        assert clerk.asked == asked
        await shown.press("f")
        await shown.later()
        assert HELD not in shown.text


async def test_payloads_are_gone_when_the_console_is_armed_no_more() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.tell(f"trace {handle(0)}")
        await shown.press("r")
        await shown.arm()
        await shown.press("r")
        await shown.shows("✎ payloads are shown")
        await clerk.parts.put(Traced(session=handle(0), frames=[traced_frame(0, d=f'"{SECRET}"')]))
        await shown.shows(SECRET)
        await shown.press("f")
        await clerk.parts.put(Traced(session=handle(0), frames=[traced_frame(1, d='"later"')]))
        pane = shown.app.query_one(TracePane)
        await until(shown.pilot, lambda: pane._tracing is not None and pane._tracing.count == 2)
        await shown.later()
        assert SECRET in shown.text
        assert '"later"' not in shown.text, "it came when the picture was held"
        await shown.press("W")
        assert SECRET not in shown.text
        await shown.press("f")
        assert '"later"' not in shown.text, "it was forgotten"

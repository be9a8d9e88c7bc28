"""What is done with a client: its connection is closed, its frames are traced; and who may not."""

from console.commands import parse
from console.doing.acting import ARMED_MS
from regions.inquiries.fleet import FleetClient
from regions.inquiries.gathering import Missing
from relay.core.inquiry_answers import Traced
from tests.console.answers import client, handle, one, traced_frame
from tests.console.asked import console, step
from tests.console.clerk import Clerk
from tests.console.stage import until

SECRET = "a secret"


async def test_a_connection_is_closed_by_who_is_armed_and_typed_its_user() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.press("3", "K")
        assert step(shown) == ""
        await shown.tell("kick")
        assert "read-only until it is armed" in shown.said
        await shown.arm()
        await shown.press("K")
        await shown.confirming()
        assert "ana, session s00ZCXU8RBFXYHCP, at us-1 of us" in shown.text
        assert "it misses nothing" in shown.text
        await shown.typed("bo1")
        assert "That is not ana" in shown.text
        assert clerk.kicked == []
        await shown.typed("ana")
        await until(shown.pilot, lambda: bool(clerk.kicked))
        assert clerk.kicked == [(handle(0), "ticket 42", 4000)]
        await shown.shows("kick ana  ✓ its connection at us-1 was closed with 4000")
        await shown.press("O")
        assert "✓ its connection" not in shown.text
        await shown.press("down", "K")
        await shown.confirming()
        await shown.press("escape")
        await shown.press("K")
        await shown.confirming()
        await shown.later(ARMED_MS)
        await shown.typed("bo1")
        assert "nothing was done: the console is read-only again" in shown.said
        assert len(clerk.kicked) == 1


async def test_how_it_is_closed_can_be_said_and_why_it_was_not_is() -> None:
    clerk = Clerk(unkicked="us-1: no answer: it may be closed, or not")
    async with console(clerk) as shown:
        await shown.arm()
        for line, why in (
            ("kick", "kick which client?"),
            ("kick short", "8 characters at least"),
            (f"kick {handle(0)} code=1000", "one of 4000, 4021, 4004"),
            (f"kick {handle(0)} now", "what is 'now'?"),
        ):
            shown.app.tell(*parse(line))
            await shown.pilot.pause()
            assert why in shown.said, line
        for number, why in ((0, "no edge that answered"), (2, "2 sessions begin so")):
            clerk.client_ = FleetClient(
                found=one(client(0)).found * number, ends=[],
                missing=[Missing("ap", "ap-1", "no answer")],
            )  # fmt: skip
            await shown.tell("kick s00ZCXU8")
            await until(shown.pilot, lambda: step(shown) == "over")
            assert why in shown.text
            assert "ap-1 (no answer)" in shown.text
            await shown.press("enter")
        clerk.client_ = one(client(0, user="an\u202ea"))  # nobody can type that
        await shown.tell(f"kick {handle(0)} code=4004")
        await shown.confirming()
        assert "It is told to stay away" in shown.text
        await shown.typed(handle(0)[:8])
        await shown.press("3")
        await shown.shows("✗ us-1: no answer: it may be closed, or not")
    assert clerk.kicked == []


async def test_a_trace_is_masked_and_ends_by_itself_or_by_its_key() -> None:
    clerk = Clerk()
    async with console(clerk, backing=clerk.backing()) as shown:
        await shown.press("3", "r")
        await shown.shows("◉ traced   ends by itself in 59s; r or esc ends it")
        assert clerk.traces == [(handle(0), False)]
        assert "payloads are masked: this login may not see them" in shown.text
        frames = [traced_frame(number) for number in range(4)]
        await clerk.parts.put(Traced(session=handle(0), frames=frames, skipped=7))
        await shown.later(20_000)
        assert "ends by itself in 39s" in shown.text
        assert "4 frames · 7 passed too fast to be shown" in shown.text
        assert "← client" in shown.text
        assert "PUBLISH" in shown.text
        await clerk.parts.put(Traced(session=handle(0), ended="its time is over"))
        await shown.shows("□ ended: its time is over")
        assert "4 frames" in shown.text
        await shown.press("r")
        await shown.shows("◉ traced")
        await shown.press("r")
        await shown.shows("□ ended: stopped")
        assert len(clerk.traces) == 2
        await shown.press("r")
        await until(shown.pilot, lambda: len(clerk.traces) == 3)
        await shown.press("escape")
        await until(shown.pilot, lambda: clerk.stopped == 3)
        assert shown.app.navigation.shown == "pane-clients"
        clerk.refusal = "no region answers"
        await shown.press("r")
        await shown.shows("□ ended: no region answers")


async def test_payloads_are_seen_by_who_may_while_the_console_is_armed() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.tell("room chat:lobby")
        await shown.later()
        assert clerk.told("peek") == [("chat:lobby", "_", 30, False)]
        assert "without payloads: W shows them" in shown.text
        await shown.tell(f"trace {handle(0)}")
        await shown.shows("payloads are masked: they are shown when armed (W)")
        await shown.press("r")
        await shown.arm()
        await shown.press("r")
        await shown.shows("✎ payloads are shown; the edge logs who looks")
        assert clerk.traces == [(handle(0), False), (handle(0), True)]
        await clerk.parts.put(Traced(session=handle(0), frames=[traced_frame(0, d=f'"{SECRET}"')]))
        await shown.shows(SECRET)
        await shown.press("W")
        await until(shown.pilot, lambda: clerk.stopped == 2)
        assert "□ ended: the console is armed no more" in shown.text
        assert SECRET not in shown.text
        await shown.arm()
        assert SECRET not in shown.text  # it was forgotten
        await shown.press("escape")
        await shown.later()
        assert clerk.told("peek")[-1] == ("chat:lobby", "_", 30, True)
        await shown.shows(SECRET)
        await shown.press("W")
        assert SECRET not in shown.text
        await shown.later()
        assert clerk.told("peek")[-1] == ("chat:lobby", "_", 30, False)

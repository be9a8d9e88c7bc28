"""What keepers tell can't crash the console, reach the terminal's escape codes or run an action."""

from hypothesis import given
from hypothesis import strategies as st

from console.commands import parse
from console.feed import BooksRead, NewsHeard
from regions.news import (
    EdgeNews,
    FlightNews,
    Peer,
    RegionNews,
    SteeringNews,
    StreamNews,
    StreamsNews,
)
from relay.core.orders import Order
from tests.console.stage import Stage, settle
from tests.console.test_hostile import ANY_TEXT, EVIL, FUZZ, assert_drawn_harmless


async def show_told(texts: list[str]) -> None:
    """Each of the texts as each name, on the screens that draw it."""
    stage = Stage({})
    async with stage.app.run_test(size=(160, 50)) as pilot:
        stage.connect()
        told = [texts[at:] + texts[:at] for at in range(len(texts))]
        for one, two, three, *_ in told:
            lost = Peer(name=two, current=False, offline=True)
            stream = StreamNews(name=one, origin=three, first=1, last=9, messages=9, bytes=9,
                                leader=two, peers=[lost], lag=1)  # fmt: skip
            stage.app.hear(NewsHeard(one, StreamsNews(at_ms=1, streams=[stream], by=two)))
        news = SteeringNews(
            at_ms=1,
            regions=[
                RegionNews(name=one, state=two, reason=three, lat=1.0, lon=2.0, cordoned=four)
                for one, two, three, four, *_ in told
            ],
            edges=[
                EdgeNews(region=one, name=two, state=three, reason=four, door=five)
                for one, two, three, four, five, *_ in told
            ],
            flights=[
                FlightNews(origin=one, region=two, took_ms=1.0, age_ms=1) for one, two, *_ in told
            ],
            by=texts[0],
        )
        stage.app.hear(NewsHeard(texts[-1], news))
        orders = tuple(
            Order(region=one, edge=two, at_ms=1, by=three, why=four, cordoned=True)
            for one, two, three, four, *_ in told
        )
        stage.app.hear(BooksRead((), orders, {}))
        for key in ("5", "enter", "6", "enter", "escape"):
            await pilot.press(key)
            await settle(stage, pilot, 3_500)
            assert_drawn_harmless(stage)
        for text in texts[:3]:
            for line in (f"whatif {text}", f"stream {text}", f"explain {text}"):
                stage.app.tell(*parse(line))
        await settle(stage, pilot, 3_500)
        assert_drawn_harmless(stage)
        assert stage.app.is_running
        assert stage.app.return_code is None


async def test_evil_texts_that_keepers_tell() -> None:
    await show_told([evil[:60] for evil in EVIL])


@FUZZ
@given(st.lists(ANY_TEXT, min_size=5, max_size=5))
async def test_any_text_that_keepers_tell(texts: list[str]) -> None:
    await show_told(texts)

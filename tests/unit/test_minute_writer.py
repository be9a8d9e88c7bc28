"""Who writes the minutes: whoever has the duty goes on where the one before stood."""

from typing import Any, cast

import msgspec

from relay.bus.events import STAMP, rfc3339, stamp_ms
from relay.bus.reader import Page
from relay.core.minute import MINUTE_MS, Minute, decode_minute, encode_minute
from relay.core.telemetry import EdgeFrame, encode_frame
from relay.edge.minutes import Minutes

M = 30_000_000
Stored = tuple[dict[str, str], bytes]


class Streams:
    """The stream of telemetry and the log, as far as they are used here."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, EdgeFrame]] = []
        self.minutes: list[Minute] = []
        self.ids: set[str] = set()
        self.down = False

    def say(self, at_ms: int, sessions: int, edge: str = "us-1") -> None:
        """An edge's frame is stored."""
        number = len(self.frames) + 1
        made = EdgeFrame(
            region="us", edge=edge, epoch=1, frame=number, at_ms=0, url="", version="",
            state="ready", nats_connected=True, connections=sessions, sessions=sessions,
            rooms=0,
        )  # fmt: skip
        self.frames.append((at_ms, made))

    def _message(self, at: int) -> Stored:
        at_ms, frame = self.frames[at]
        return {STAMP: rfc3339(at_ms), "Nats-Sequence": str(at + 1)}, encode_frame(frame)

    # --- as a reader ---------------------------------------------------------------------------

    async def last_by_subject(self, stream: str, subject: str) -> Stored | None:
        """The newest frame, or minute."""
        if stream == "TELE":
            return self._message(len(self.frames) - 1) if self.frames else None
        assert subject == "min.us.*"
        if not self.minutes:
            return None
        return {}, encode_minute(self.minutes[-1])[-1]

    async def newest(self, stream: str, subject: str, *, up_to: str) -> Page:
        """The newest frame of each edge from before a time."""
        assert (stream, subject) == ("TELE", "tele.us.*")
        found: dict[str, Stored] = {}
        for at, (ms, frame) in enumerate(self.frames):
            if ms < stamp_ms(up_to):
                found[frame.edge] = self._message(at)
        return Page(tuple(found.values()), 0)

    async def since(self, stream: str, start: str, *, batch: int, subject: str) -> Page:
        """Frames from a time on."""
        assert (stream, subject) == ("TELE", "tele.us.*")
        late = [at for at, (ms, _) in enumerate(self.frames) if ms >= stamp_ms(start)]
        return await self.page(stream, late[0] + 1 if late else 10**9, batch=batch)

    async def page(self, _stream: str, seq: int, *, batch: int, subject: str = "") -> Page:
        """Frames from a sequence on."""
        del subject
        found = [self._message(at) for at in range(seq - 1, min(len(self.frames), seq - 1 + batch))]
        return Page(tuple(found), max(0, len(self.frames) - (seq - 1) - len(found)))

    # --- as an inbox ---------------------------------------------------------------------------

    async def request(
        self, subject: str, data: bytes, _timeout_s: float, headers: dict[str, str]
    ) -> tuple[dict[str, str], bytes]:
        """Store a minute; one that stands there already is not stored again."""
        assert subject.startswith("min.us.us-")
        if headers["Nats-Msg-Id"] not in self.ids:
            self.ids.add(headers["Nats-Msg-Id"])
            self.minutes.append(decode_minute(data))
        return {}, msgspec.json.encode({"stream": "LOG_us", "seq": len(self.minutes)})


def writer(streams: Streams, edge: str = "us-1") -> Minutes:
    """An edge's writer of minutes."""
    return Minutes(cast("Any", streams), cast("Any", streams), "us", edge)


async def turns(minutes: Minutes, count: int = 5) -> None:
    """It has the duty for some turns."""
    for _ in range(count):
        await minutes.turn(on_duty=True)


def fill(streams: Streams, minute: int, sessions: int) -> None:
    """A frame in each second of a minute."""
    for second in range(60):
        streams.say(minute * MINUTE_MS + second * 1000 + 5, sessions)


async def test_a_minute_is_stored_once_it_is_over() -> None:
    streams = Streams()
    mine = writer(streams)
    await turns(mine)
    fill(streams, M, 3)
    await turns(mine)
    assert streams.minutes == []
    streams.say((M + 1) * MINUTE_MS + 1_500, 4)
    await turns(mine)
    assert streams.minutes == [], "its last frames may still be on their way"
    streams.say((M + 1) * MINUTE_MS + 2_500, 4)
    await turns(mine)
    (made,) = streams.minutes
    assert (made.minute, made.edges[0].sessions) == (M, [3] * 60)


async def test_whoever_takes_over_goes_on_and_nothing_is_stored_twice() -> None:
    streams = Streams()
    for number in range(3):
        fill(streams, M + number, number + 1)
    first, second = writer(streams, "us-1"), writer(streams, "us-2")
    streams.say((M + 3) * MINUTE_MS + 2_500, 9)
    await turns(first, 2)  # it looks where the first frames are, and stores their minute
    assert [one.minute for one in streams.minutes] == [M]
    await first.turn(on_duty=False)
    await turns(second)
    await turns(first)
    assert [one.minute for one in streams.minutes] == [M, M + 1, M + 2]
    assert [one.edges[0].sessions[30] for one in streams.minutes] == [1, 2, 3]


async def test_a_time_in_which_nobody_was_there_is_passed_over() -> None:
    streams = Streams()
    fill(streams, M, 1)
    fill(streams, M + 200, 2)
    streams.say((M + 201) * MINUTE_MS + 2_500, 9)
    await turns(writer(streams))
    assert [one.minute for one in streams.minutes] == [M, M + 200]
    assert streams.minutes[1].edges[0].sessions == [2] * 60

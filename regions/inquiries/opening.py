"""The way in to who asks: the first region that answers, and the edges that are heard there."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from regions.doors import Door
from regions.errors import InquiryError
from regions.inquiries.asker import Asker
from regions.inquiries.gathering import Missing
from regions.inquiries.line import Line
from regions.inquiries.round import ANSWER_S, Round
from regions.stats.reading import Past
from regions.steering.health import EdgeKey
from relay.core.telemetry import ENDED
from relay.errors import BusError, UnavailableError

HEARD_S = 10.0  # an edge that has been silent for longer is named, and not waited for
KNOWN_S = 600.0  # for longer: it is not even named


@asynccontextmanager
async def open_asker(
    doors: Sequence[Door], by: str, *, control: bool = False, answer_s: float = ANSWER_S
) -> AsyncIterator[Asker]:
    """Asks through the first region that answers.

    Args:
        doors: one a region, tried in turn.
        by: who asks, as edges log it.
        control: whether the doors' login is one that may see payloads and close connections.
        answer_s: how long edges are waited for; then they are named.

    Raises:
        InquiryError: none answers.
    """
    why = "no region is known"
    for door in doors:
        try:
            line = await Line.open(door, by, control=control)
        except UnavailableError as error:
            why = str(error)
            continue
        try:
            ages = await _ages(line)
        except BusError as error:
            why = f"{door.region}: {error}"
            await line.close()
            continue
        try:
            edges = [key for key, age_s in ages.items() if age_s <= HEARD_S]
            dark = [
                Missing(*key, f"not heard for {age_s:.0f} s")
                for key, age_s in ages.items()
                if HEARD_S < age_s <= KNOWN_S
            ]
            yield Asker(Round(line, edges, dark, answer_s))
        finally:
            await line.close()
        return
    raise InquiryError(f"no region answers: {why}")


async def _ages(line: Line) -> Mapping[EdgeKey, float]:
    """The edges that have not ended, and how long ago each was heard (s).

    Raises:
        BusError: the region's telemetry can't be read.
    """
    past = Past(line.region, await line.reader())
    now_ms = await past.now_ms()
    return {
        EdgeKey(heard.frame.region, heard.frame.edge): max(now_ms - heard.at_ms, 0) / 1000
        for heard in sorted(await past.newest_frames(), key=lambda each: each.frame.region)
        if heard.frame.state != ENDED
    }

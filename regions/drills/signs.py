"""Signs of trouble in telemetry: what an operator could have seen, and when. Values only."""

from dataclasses import dataclass, field

from relay.core.pair import MirrorState
from relay.core.telemetry import EdgeFrame

SILENT_S = 2.6  # two frames missed
LAG_MS = 3_000.0
AS_WANTED = ("ready", "cordoned", "drained")  # an operator's wish is nothing wrong
SLOWER, SLOWER_MS = 2.0, 150.0  # a lag of more than so many times what it was, and so much


@dataclass(slots=True)
class Watchman:
    """The newest frame of each edge, and what is not as it should be."""

    frames: dict[str, tuple[float, EdgeFrame]] = field(default_factory=dict)  # edge -> s, frame
    _before: dict[str, EdgeFrame] = field(default_factory=dict)  # when last asked to remember

    def hear(self, at_s: float, frame: EdgeFrame) -> None:
        """A frame came."""
        self.frames[frame.edge] = (at_s, frame)

    def remember(self) -> None:
        """What is now is how it should be."""
        self._before = {edge: frame for edge, (_, frame) in self.frames.items()}

    def signs(self, now_s: float) -> list[str]:
        """What is wrong now, or has changed since `remember`; most telling first."""
        found: list[tuple[int, str]] = []
        for edge, (at_s, frame) in sorted(self.frames.items()):
            if now_s - at_s > SILENT_S:
                found.append((1, f"nothing is heard of {edge}"))
                continue
            found += _changes(self._before.get(edge), frame)
            found += _wrongs(frame)
        return [text for _, text in sorted(dict.fromkeys(found))]

    def unwell(self, now_s: float, since_s: float = 0.0) -> str | None:
        """What keeps the world from being healthy and its mirrors from being current.

        What was heard before `since_s` does not count.
        """
        for edge, (at_s, frame) in sorted(self.frames.items()):
            if now_s - at_s > SILENT_S or at_s <= since_s:
                return f"nothing is heard of {edge}"
            for _, text in _wrongs(frame):
                return text
            for origin, lag in frame.lag_ms.items():
                # A stream without a leader is quiet, and its mirrors have all there is.
                if since_s and (lag is None or lag / 1000 > at_s - since_s):
                    return f"{frame.region} has heard nothing of {origin} since"
        return None


def _wrongs(frame: EdgeFrame) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = [(0, alarm) for alarm in frame.alarms]
    if not frame.nats_connected:
        found.append((1, f"{frame.edge} has lost its NATS"))
    if frame.state not in AS_WANTED:
        found.append((2, f"{frame.edge} is {frame.state}"))
    for origin, state in frame.mirrors.items():
        if origin != frame.region and state != MirrorState.CURRENT:
            found.append((3, f"the mirror of {origin} in {frame.region} is {state}"))
    for origin, lag in frame.lag_ms.items():
        if lag is not None and lag > LAG_MS:
            found.append((4, f"{frame.region} last heard {origin} {lag / 1000:.1f} s ago"))
    return found


def _changes(before: EdgeFrame | None, frame: EdgeFrame) -> list[tuple[int, str]]:
    if before is None:
        return []
    found: list[tuple[int, str]] = []
    for origin, epoch in frame.epochs.items():
        if epoch > before.epochs.get(origin, epoch):
            found.append((0, f"{origin} began epoch {epoch}, said by {frame.edge}"))
    for origin, lag in frame.lag_ms.items():
        usual = before.lag_ms.get(origin)
        if lag is not None and usual is not None and lag > usual * SLOWER + SLOWER_MS:
            found.append((5, f"what {origin} says takes {lag:.0f} ms to {frame.region}"))
    if frame.epoch != before.epoch:
        found.append((1, f"{frame.edge} was started anew"))
    elif frame.publishes_failed > before.publishes_failed:
        found.append((2, f"{frame.edge} answers publishes with `unavailable`"))
    return found

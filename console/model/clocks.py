"""Edges whose clocks differ from most others': what they make of other regions' stamps is wrong."""

from collections.abc import Iterable
from statistics import median_low

from console.model.track import EdgeTrack

OFF_MS = 2_000
LEAST = 3  # edges, of which most say what the time is

EdgeKey = tuple[str, str]  # (region, edge)


def clocks_off(tracks: Iterable[EdgeTrack], now_ms: int, gone_ms: int) -> dict[EdgeKey, int]:
    """Edge -> ms by which its clock is ahead of most others' (less than 0: behind), if it is off.

    By the stamps of frames and when they came. Of an edge's last frames the one counts that took
    the least time to come: what a link held back says nothing of a clock.

    Args:
        tracks: of all edges.
        now_ms: our steady clock.
        gone_ms: the age from which on what an edge said does not count.
    """
    heard = {
        (track.region, track.name): max(track.offsets_ms)
        for track in tracks
        if track.offsets_ms and now_ms - track.received_ms <= gone_ms
    }
    if len(heard) < LEAST:
        return {}
    usual = median_low(heard.values())
    return {key: ms - usual for key, ms in heard.items() if abs(ms - usual) > OFF_MS}

"""Times as people write them: `2026-11-28T12:00Z`, `12:03`, or `15m` ago. UTC."""

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"([0-9]{1,9})([smhd])\Z")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?Z?\Z")
UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_span(text: str) -> int | None:
    """Seconds of `90s`, `15m`, `2h`, `7d`; None: it is no such thing."""
    match = _AGO.match(text)
    return None if match is None else int(match[1]) * UNIT_S[match[2]]


def parse_moment(text: str, now_ms: int) -> int:
    """Unix ms of a time.

    Args:
        text: a date and time of ISO 8601 (without a zone: UTC), a time of day (the last one that
            was), or how long ago.
        now_ms: Unix ms.

    Raises:
        ValueError: it is no time; the text says what would be.
    """
    span_s = parse_span(text)
    if span_s is not None:
        return now_ms - span_s * 1000
    try:
        clock = _CLOCK.match(text)
        if clock is not None:
            return _last(int(clock[1]), int(clock[2]), int(clock[3] or 0), now_ms)
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither like 2026-11-28T12:00Z nor like 12:03 nor like 15m"
        ) from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return int(parsed.timestamp() * 1000)


def _last(hour: int, minute: int, second: int, now_ms: int) -> int:
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    at = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
    if at > now:
        at -= timedelta(days=1)
    return int(at.timestamp() * 1000)

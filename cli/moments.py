"""Times on a command line: `2026-11-28T12:00Z`, or `90s`, `15m`, `2h`, `7d` ago."""

import re
import time
from datetime import UTC, datetime
from typing import Any

import click

_AGO = re.compile(r"([0-9]{1,9})([smhd])\Z")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Moment(click.ParamType[int]):
    """A time, as Unix ms."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Unix ms of what was given.

        Raises:
            click.BadParameter: it is no time.
        """
        if isinstance(value, int):
            return value
        ago = _AGO.match(value)
        if ago:
            return int(time.time() * 1000) - int(ago[1]) * _UNIT_S[ago[2]] * 1000
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither like 2026-11-28T12:00Z nor like 15m", param, ctx)
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=UTC)
        return int(parsed.timestamp() * 1000)


class Duration(click.ParamType[int]):
    """A time span such as `90s` or `1h`, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Seconds.

        Raises:
            click.BadParameter: it is no time span.
        """
        if isinstance(value, int):
            return value
        span = _AGO.match(value)
        if not span or int(span[1]) == 0:
            self.fail(f"{value!r} is not like 1s, 5m, 1h or 1d", param, ctx)
        return int(span[1]) * _UNIT_S[span[2]]


def shown(unix_ms: int) -> str:
    """A time for people, in UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(unix_ms: int) -> str:
    """A time for programs, in UTC."""
    text = datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")

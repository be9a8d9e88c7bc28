"""Times on a command line: `2026-11-28T12:00Z`, `12:03`, or `90s`, `15m`, `2h`, `7d` ago."""

import time
from datetime import UTC, datetime
from typing import Any

import click

from regions.moments import parse_moment, parse_span


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
        try:
            return parse_moment(value, int(time.time() * 1000))
        except ValueError as error:
            self.fail(str(error), param, ctx)


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
        span_s = parse_span(value)
        if not span_s:
            self.fail(f"{value!r} is not like 1s, 5m, 1h or 1d", param, ctx)
        return span_s


def shown(unix_ms: int) -> str:
    """A time for people, in UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(unix_ms: int) -> str:
    """A time for programs, in UTC."""
    text = datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")

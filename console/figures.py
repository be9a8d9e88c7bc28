"""Figures as short text: counts, rates, durations, sizes. `—` stands for what is not known."""

from datetime import UTC, datetime

NONE = "—"
_STEPS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: int | None) -> str:
    """`61,234`; from a million on `1.2M`."""
    if value is None:
        return NONE
    return f"{value:,}" if value < 1_000_000 else _scaled(value)


def rate(per_second: float | None) -> str:
    """`0`, `0.4`, `5`, `87`, `1,240`, `41.2k`."""
    if per_second is None:
        return NONE
    if 0 < per_second < 9.95:
        return f"{per_second:.1f}".removesuffix(".0")
    return f"{per_second:,.0f}" if per_second < 9_999.5 else _scaled(per_second)


def duration(ms: float | None) -> str:
    """`42` (ms) up to 9,999; then `12.4s`, `5m03s`, `2h10m`, `3d04h`."""
    if ms is None:
        return NONE
    if ms < 9_999.5:
        return f"{ms:,.0f}"
    if ms < 99_950:
        return f"{ms / 1000:.1f}s"
    return _long(int(ms / 1000))


def took(seconds: float | None) -> str:
    """`21 ms`, `1.2 s`, `2m03s`: how long something took."""
    if seconds is None:
        return NONE
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 99.95 else _long(int(seconds))


def age(ms: int | None) -> str:
    """`0s`, `12s`, `5m03s`: how long ago."""
    if ms is None:
        return NONE
    seconds = ms // 1000
    return f"{seconds}s" if seconds < 100 else _long(seconds)


def size(count_bytes: int | None) -> str:
    """`212M`, `1.4G`: in powers of 1,024."""
    if count_bytes is None:
        return NONE
    value = count_bytes / 1024
    for unit in "KMGT":
        if value < 999.5:
            return f"{value:.0f}{unit}" if value >= 9.95 or unit == "K" else f"{value:.1f}{unit}"
        value /= 1024
    return f"{value:,.0f}P"


def octets(count_bytes: int | None) -> str:
    """`512B`; from 1,024 on as `size`, where also what is small counts."""
    few = count_bytes is not None and count_bytes < 1024
    return f"{count_bytes}B" if few else size(count_bytes)


def latency(ms: float | None) -> str:
    """`0.4`, `9.9`, `42` (ms)."""
    return f"{ms:.1f}" if ms is not None and ms < 9.95 else duration(ms)


def percent(share: float | None) -> str:
    """`62%`; from tenfold on `>999%`."""
    if share is None:
        return NONE
    return f"{share:.0%}" if share < 9.995 else ">999%"


def moment(unix_ms: float) -> str:
    """`2026-11-28 12:04:31Z`."""
    try:
        return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return NONE


def clock(unix_ms: float) -> str:
    """`12:04:31Z`."""
    try:
        return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return NONE


def _scaled(value: float) -> str:
    for step, unit in _STEPS:
        if value >= step * 0.9995:
            scaled = value / step
            return f"{scaled:.1f}{unit}" if scaled < 99.95 else f"{scaled:,.0f}{unit}"
    return f"{value:,.0f}"


def _long(seconds: int) -> str:
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    if seconds < 86_400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
    return f"{seconds // 86_400}d{seconds % 86_400 // 3600:02}h"

"""Round trips that a client measured: `us:31,eu:102.5`, in milliseconds."""

import math

from relay.core.names import is_region

MOST = 16  # regions
MOST_MS = 60_000.0
MOST_BYTES = 512


def parse_round_trips(text: str) -> dict[str, float]:
    """What a client says that it measured.

    Args:
        text: `REGION:MS` with commas between; empty: nothing.

    Returns:
        Region -> milliseconds.

    Raises:
        ValueError: it is none of that; the text says which part.
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"longer than {MOST_BYTES} characters")
    found: dict[str, float] = {}
    for part in text.split(",") if text else ():
        region, _, measured = part.partition(":")
        if not is_region(region) or region in found:
            raise ValueError(f"{part!r} is not REGION:MS, each region once")
        try:
            found[region] = float(measured)
        except ValueError as error:
            raise ValueError(f"{part!r} is not REGION:MS") from error
        if not (math.isfinite(found[region]) and 0 <= found[region] <= MOST_MS):
            raise ValueError(f"{part!r}: 0 to {MOST_MS:.0f} ms")
    if len(found) > MOST:
        raise ValueError(f"more than {MOST} regions")
    return found

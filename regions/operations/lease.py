"""The lease of a region's operations, as it is stored: for how long it is good, and whose it is."""

import msgspec

from regions.operations.holder import Holder
from relay.bus.connection import Headers
from relay.bus.events import STAMP, stamp_ms

TTL_S = 15
LASTS_S = TTL_S + 5.0  # the servers of a region do not agree on the time to the second


def holder_in(headers: Headers, data: bytes, now_ms: int) -> Holder | None:
    """Who has the lease in a stored message; None: nobody.

    One that was not renewed in its time is nobody's, though it stands: a nats-server that crashed
    may bring back what had ended, and forget when it was to end.

    Args:
        headers: as it is stored.
        data: its body.
        now_ms: the time by the clock of the region that stored it (Unix ms).
    """
    if not data or now_ms - stamp_ms(headers.get(STAMP, "")) > LASTS_S * 1000:
        return None
    try:
        return msgspec.json.decode(data, type=Holder)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None

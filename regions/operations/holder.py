"""Who works on a region, as the lease of its operations says it. A value."""

import msgspec


class Holder(msgspec.Struct, frozen=True):
    """Who has a lease."""

    run: str  # the operation
    by: str
    since_ms: int  # Unix ms
    token: str = ""  # tells one who carries it out from another

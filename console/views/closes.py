"""Why a connection was closed, by its code."""

from relay.core.codes import CLOSES

_USUAL = {1000: "closed", 1001: "went away", 1006: "broke off"}


def close_reason(code: int) -> str:
    """A few words; none for a code that means nothing here."""
    known = CLOSES.get(code)
    return known.reason if known is not None else _USUAL.get(code, "")

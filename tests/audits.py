"""Audits of less time than a test wants to take."""

from typing import Any

NOT_COMPARED = "no second of it was compared with the live series, which is kept by minutes"


def lacking(audit: dict[str, Any]) -> list[str]:
    """Why an audit did not pass, but that so short a time has no whole minute."""
    assert audit["verdict"] == ("FAIL" if audit["why"] else "PASS")
    assert (NOT_COMPARED in audit["why"]) == (not audit["live"]["sum"]["seconds"])
    return [why for why in audit["why"] if why != NOT_COMPARED]

"""Audits of less time than a test wants to take."""

from typing import Any

NOT_COMPARED = "no second of it was compared with the live series, which is kept by minutes"
NOT_CALM = "no second was far enough from a fault for the live sum to be judged"


def lacking(audit: dict[str, Any]) -> list[str]:
    """Why an audit did not pass, but that so short a time has no whole minute, or no calm one."""
    assert audit["verdict"] == ("FAIL" if audit["why"] else "PASS")
    live, why = audit["live"], audit["why"]
    assert (NOT_COMPARED in why) == (not live["sum"]["seconds"])
    assert (NOT_CALM in why) == (live["sum"]["seconds"] > 0 == live["sum_calm"]["seconds"])
    return [one for one in why if one not in (NOT_COMPARED, NOT_CALM)]

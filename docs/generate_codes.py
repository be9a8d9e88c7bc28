"""Writes docs/codes.md from relay/core/codes.py: `.venv/bin/python docs/generate_codes.py`."""

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from relay.config import Limits  # noqa: E402  the tree is importable from here on
from relay.core.codes import CLOSES, After, ErrorCode, EventName, Invalid, Op  # noqa: E402
from relay.core.session import INVALID_RETRIES  # noqa: E402

PAGE = ROOT / "docs" / "codes.md"

_EDGE, _CLIENT = "edge", "client"

OPS = {
    Op.DISPATCH: (_EDGE, "an event; `t` names it"),
    Op.HEARTBEAT: (_CLIENT, "I am here; the last `s` seen"),
    Op.IDENTIFY: (_CLIENT, "begin a session"),
    Op.PRESENCE_UPDATE: (_CLIENT, "what others see of me"),
    Op.RESUME: (_CLIENT, "go on with a session"),
    Op.RECONNECT: (_EDGE, "reconnect and resume, now"),
    Op.INVALID_SESSION: (_EDGE, "the RESUME can't be done; `d`: whether the same may be retried"),
    Op.HELLO: (_EDGE, "the first payload"),
    Op.HEARTBEAT_ACK: (_EDGE, "answer to HEARTBEAT, with the cursor"),
    Op.SUBSCRIBE: (_CLIENT, "join rooms"),
    Op.UNSUBSCRIBE: (_CLIENT, "leave rooms"),
    Op.PUBLISH: (_CLIENT, "store an event, or send an ephemeral one"),
    Op.TYPING: (_CLIENT, "I type in a room"),
    Op.WATCH: (_CLIENT, "tell me of these users"),
    Op.UNWATCH: (_CLIENT, "tell me no more of these users"),
    Op.HISTORY: (_CLIENT, "read a page of past events"),
    Op.REGIONS: (_EDGE, "the list of HELLO has changed"),
    Op.REFRESH: (_CLIENT, "a fresh token for the same user"),
    Op.ACK: (_EDGE, "done; answers the request with this `nonce`"),
    Op.ERROR: (_EDGE, "not done; the connection lives on"),
}

EVENTS = {
    EventName.READY: "the session has begun",
    EventName.RESUMED: "the missed events were sent; live ones follow",
    EventName.MESSAGE: "a stored event",
    EventName.SIGNAL: "an ephemeral event",
    EventName.TYPING: "a user types in a room",
    EventName.PRESENCE_BATCH: "who is in a room, and who came and went in the last window",
    EventName.PRESENCE: "what a watched user shows now",
    EventName.GAP: "events that this session will not get",
}

CAUSES = {
    1009: "A client frame of more than 32 KiB, or a message of more than 64 fragments.",
    1013: "NATS did not answer while IDENTIFY joined its rooms.",
    4000: (
        "Anything unexpected, a replay broken off by NATS, an edge that stood still for more than"
        f" 6 s, a RESUME that was told to retry {INVALID_RETRIES} times and could not go on, or an"
        " operator (`closed by an operator`)."
    ),
    4001: "An `op` that clients do not send.",
    4002: "Not JSON or msgpack, not a payload, or a `d` of another shape than its `op` has.",
    4003: (
        "Neither IDENTIFY nor RESUME in time, another `op` before them, or `?resume=1` without a"
        " RESUME of a valid session."
    ),
    4004: (
        "A token that is not valid, has expired, or (REFRESH) is another user's; or an operator."
    ),
    4005: "IDENTIFY or RESUME in a session, or while one of them is in progress.",
    4007: "A cursor that no edge of ours signed; a `seq` that is missing, negative or 60 s ahead.",
    4008: "More than 120 client frames in a minute, PUBLISH and HEARTBEAT not counted.",
    4009: "No HEARTBEAT for two intervals.",
    4012: "A `v` other than 1 or 10.",
    4014: "A token that grants nothing at all.",
    4020: "More than 1 MiB waits for a client that reads too slowly, or it took nothing of a "
    "replay for 20 s (2 s while others wait to read).",
    4021: "The edge is ending, or an operator.",
    4022: "Another connection resumed this session.",
}

AFTER = {
    After.RESUME: "reconnect, RESUME",
    After.IDENTIFY: "reconnect, IDENTIFY",
    After.STOP: "do not reconnect",
}

ERRORS = {
    ErrorCode.INVALID_ROOM: "The room is not 1 to 128 of `A-Z a-z 0-9 _ - :`.",
    ErrorCode.INVALID_ID: "The `id` is not 1 to 64 of `A-Z a-z 0-9 _ - : .`.",
    ErrorCode.INVALID_DATA: (
        "`data` that JSON can't carry, a `nonce` of more than 64 characters, a `limit` out of"
        " range, a `since`, `before` or `after` that is no cursor of ours."
    ),
    ErrorCode.NOT_PERMITTED: "The token does not grant it; or, after REFRESH, does no longer.",
    ErrorCode.RATE_LIMITED: (
        "More than 1,000 publishes a second (2,000 at once), or 5 status updates of a user in "
        "20 s: `retry_after`."
    ),
    ErrorCode.UNAVAILABLE: (
        "NATS did not answer, or the op is not served. A publish may be stored: retry it with"
        " the same `id`."
    ),
    ErrorCode.TOO_MANY_ROOMS: "The session would have more than 128 rooms.",
    ErrorCode.TOO_MANY_USERS: "The session would watch more than 1,000 users.",
    ErrorCode.TOO_LARGE: (
        "`data` has more than 60,000 bytes of JSON, or `custom` of a presence more than 256."
    ),
    ErrorCode.TOKEN_EXPIRING: "The token ends within 60 s: REFRESH, else 4004 at the end.",
}

INVALIDS = {
    Invalid.AHEAD: (False, "the cursor is beyond the head of the region's own stream"),
    Invalid.EXPIRED: (False, "the stream no longer holds the next event: `e.missing` has ranges"),
    Invalid.EPOCH: (False, "the origin has started a new epoch since the cursor was made"),
    Invalid.BEHIND: (True, "the cursor's epoch has not reached this region yet"),
    Invalid.SESSION: (False, "the `session_id` is not this user's, or was taken over too often"),
    Invalid.UNAVAILABLE: (True, "the region's streams could not be read"),
}

# Each number in the text above, where it comes from.
_DEFAULTS = Limits()
assert (_DEFAULTS.frame_bytes, _DEFAULTS.fragments) == (32 * 1024, 64)
assert (_DEFAULTS.frames_per_minute, _DEFAULTS.send_buffer_bytes) == (120, 1024 * 1024)
assert (_DEFAULTS.publishes_per_s, _DEFAULTS.publish_burst) == (1000, 2000)
assert _DEFAULTS.rooms_per_session == 128


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(list(head)), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def page() -> str:
    """The whole page."""
    closes = [(c.code, c.reason, AFTER[c.after], CAUSES[c.code]) for c in CLOSES.values()]
    parts = [
        "# Codes",
        (
            "Generated from `relay/core/codes.py` by `docs/generate_codes.py`; do not edit."
            " The [protocol](protocol.md) says how they play together. Numbers are defaults."
        ),
        "## Opcodes",
        "Below 20 they mean what Discord's gateway means by them; from 20 on they are ours.",
        table(("op", "name", "sent by", ""), ((int(op), op.name, *OPS[op]) for op in Op)),
        "## Dispatched events (`t`)",
        table(("t", ""), ((f"`{name}`", EVENTS[name]) for name in EventName)),
        "## Close codes",
        (
            "A code that is not in the table, and a connection that broke without one: reconnect"
            " and RESUME."
        ),
        table(("code", "reason", "the client does", "when"), closes),
        "## Error codes (op 31)",
        (
            "The connection lives on. `refused` of READY, RESUMED and a SUBSCRIBE's ACK uses the"
            " same codes."
        ),
        table(("code", "when"), ((f"`{code}`", ERRORS[code]) for code in ErrorCode)),
        "## Why a RESUME is refused (op 9)",
        "`e.reason` says why, `d` whether the same RESUME may be retried.",
        table(
            ("reason", "`d`", "when"),
            ((f"`{why}`", str(INVALIDS[why][0]).lower(), INVALIDS[why][1]) for why in Invalid),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    sys.stderr.write(f"{PAGE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()

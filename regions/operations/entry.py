"""What is asked for, what is planned, and what happened: an operation as the books hold it. Pure.

An operation is a row of entries that only grows. The first says who wants what, why, and what was
planned; the last how it ended. Whoever carries it out, and through whichever region, adds to it.
"""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from relay.core.orders import Order

Verb = Literal["cordon", "uncordon", "drain", "weight", "ramp", "evacuate", "return"]
What = Literal["submitted", "resumed", "given", "note", "abort", "aborted", "done", "failed"]
Wait = Literal["known", "gone", "ready"]
ENDS: tuple[What, ...] = ("aborted", "done", "failed")


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody wants."""

    verb: Verb
    region: str
    edge: str = ""  # empty: the region
    by: str
    why: str = ""
    within_s: float | None = None  # drain and evacuate: spread over so long; None: as is good
    weight: int | None = None  # percent
    over_s: float = 0.0  # ramp and return

    @property
    def scope(self) -> str:
        """What it is for, as people name it."""
        return self.edge or self.region


class Coming(msgspec.Struct, frozen=True):
    """What would come to a region, or to an edge."""

    name: str
    connections: int
    after: int  # connections then
    room: int  # 0: not known
    per_s: float
    admitted_per_s: float  # at most; 0: not known

    @property
    def taken(self) -> float:
        """How full it would be, 0 to 1."""
        return self.after / self.room if self.room else 0.0


class Stage(msgspec.Struct, frozen=True):
    """Orders that are given at once, and what is waited for then."""

    text: str
    orders: list[Order]  # their time, and which operation they are of, is said when they are given
    wait: Wait  # edges know of them | their clients are gone | half of the edges admit
    patience_s: float


Against = Literal["unreached", "last", "full", "fast", "closed", "unheard"]


class Objection(msgspec.Struct, frozen=True):
    """Why a plan would hurt."""

    kind: Against
    about: str  # a region or an edge; empty: all of it
    text: str
    figure: float = 0.0  # how bad it is, by a measure of its kind


class Plan(msgspec.Struct, frozen=True):
    """What will be done, and what that does."""

    stages: list[Stage]
    moves: int = 0  # connections that go elsewhere
    coming: list[Coming] = []
    takes_s: float = 0.0
    # It is done only if somebody says why nevertheless. Words alone: of an earlier version.
    objections: list[Objection | str] = []
    notes: list[str] = []

    @property
    def against(self) -> list[str]:
        """The objections, in words."""
        return [each if isinstance(each, str) else each.text for each in self.objections]

    @property
    def nothing(self) -> bool:
        """Whether all is already as it is wanted."""
        return not self.stages


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened in an operation."""

    run: str
    at_ms: int  # Unix ms, and later than the one before
    by: str
    what: What
    text: str = ""
    request: Request | None = None  # with `submitted`
    plan: Plan | None = None  # likewise
    override: str = ""  # with `submitted`, `resumed`: why in spite of what speaks against it


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """The entry as UTF-8 JSON."""
    return _encoder.encode(entry)


def decode_entry(data: bytes) -> Entry | None:
    """The entry in a message; None where there is none."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def new_run(request: Request, now_ms: int) -> str:
    """A name for an operation, which sorts by time."""
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    return f"{at:%Y%m%dT%H%M%S}-{request.verb}-{request.scope}-{secrets.token_hex(2)}"


def scope_of(run: str) -> str:
    """The scope that an operation is for, by its name; empty: that is no name of one."""
    parts = run.split("-", 2)
    return parts[2].rpartition("-")[0] if len(parts) == 3 else ""


class Run(msgspec.Struct, frozen=True):
    """An operation: what was heard of it, in order."""

    name: str
    request: Request
    plan: Plan
    entries: list[Entry]

    @property
    def end(self) -> Entry | None:
        """How it ended; None: it has not, or was taken up since."""
        for entry in reversed(self.entries):
            if entry.what in ENDS:
                return entry
            if entry.what in ("resumed", "abort"):
                return None
        return None

    @property
    def abort(self) -> Entry | None:
        """Who wants it aborted; None: nobody does who was not heeded."""
        for entry in reversed(self.entries):
            if entry.what in ENDS:
                return None
            if entry.what == "abort":
                return entry
        return None

    @property
    def began_ms(self) -> int:
        """When it was submitted, Unix ms."""
        return self.entries[0].at_ms


def runs_of(entries: Iterable[Entry]) -> list[Run]:
    """The operations that entries tell of, in the order of their beginnings.

    What was heard twice counts once; an operation whose beginning was not heard is left out.
    """
    found: dict[str, dict[tuple[int, str, str], Entry]] = {}
    for entry in entries:
        found.setdefault(entry.run, {})[entry.at_ms, entry.what, entry.text] = entry
    runs = []
    for name, known in found.items():
        ordered = [known[key] for key in sorted(known)]
        first = next((each for each in ordered if each.what == "submitted"), None)
        if first is not None and first.request is not None and first.plan is not None:
            runs.append(Run(name, first.request, first.plan, ordered))
    return sorted(runs, key=lambda run: (run.began_ms, run.name))

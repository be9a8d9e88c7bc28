"""What operators may ask edges: about clients, rooms, and how they are set up. JSON, values.

A question goes to one edge or to all of a region, on `ask`, `see` or `act`: who may publish there
may read, may see payloads too, may do something. Unknown keys are ignored, so newer askers and
older edges mix; a question that an edge does not know is refused.
"""

import msgspec

from relay.core.inquiry_answers import Refused
from relay.core.names import DEFAULT_TENANT, InquiryKind, is_asker, is_region

LONGEST_TRACE_S = 60.0
TEXT = 512  # characters of who and why
LEAST_HANDLE = 8  # characters of a session's handle by which it is found


class Clients(msgspec.Struct, frozen=True, tag="clients", tag_field="what"):
    """Which clients are here: the first `limit` of those that the query is true of."""

    query: str = ""
    sort: str = "age"  # a field; with `-` before it, the other way round
    limit: int = 50
    room: str = ""  # only those in it; empty: all
    tenant: str = DEFAULT_TENANT  # of `room`


class Client(msgspec.Struct, frozen=True, tag="client", tag_field="what"):
    """All about one."""

    session: str  # its handle, or 8 characters of it at least


class Rooms(msgspec.Struct, frozen=True, tag="rooms", tag_field="what"):
    """Which rooms have members here."""

    query: str = ""
    sort: str = "members"
    limit: int = 50


class Room(msgspec.Struct, frozen=True, tag="room", tag_field="what"):
    """All about one."""

    room: str
    tenant: str = DEFAULT_TENANT


class Peek(msgspec.Struct, frozen=True, tag="peek", tag_field="what"):
    """The newest events of a room, as they are stored in the edge's region."""

    room: str
    tenant: str = DEFAULT_TENANT
    limit: int = 20


class Settings(msgspec.Struct, frozen=True, tag="settings", tag_field="what"):
    """How this edge is set up."""


class Trace(msgspec.Struct, frozen=True, tag="trace", tag_field="what"):
    """The frames of one client from now on, both ways."""

    session: str
    for_s: float = 30.0


class Stop(msgspec.Struct, frozen=True, tag="stop", tag_field="what"):
    """The trace that this asker began is not wanted any more."""

    number: int  # of the question


class Kick(msgspec.Struct, frozen=True, tag="kick", tag_field="what"):
    """Close a client's connection."""

    session: str
    code: int
    why: str


Question = Clients | Client | Rooms | Room | Peek | Settings | Trace | Stop | Kick

ALLOWED: dict[InquiryKind, tuple[type, ...]] = {
    "ask": (Clients, Client, Rooms, Room, Peek, Settings, Trace, Stop),
    "see": (Peek, Trace, Stop),
    "act": (Kick,),
}

# What a client does after each: comes back and resumes; does so elsewhere; is told to stay away.
KICK_CODES = (4000, 4021, 4004)


class Ask(msgspec.Struct, frozen=True):
    """A question with who asks it."""

    region: str  # in which the answers are waited for
    asker: str
    number: int
    question: msgspec.Raw
    by: str = ""  # as he says himself


_encoder = msgspec.json.Encoder()
_asks = msgspec.json.Decoder(Ask)
_questions: msgspec.json.Decoder[Question] = msgspec.json.Decoder(Question)


def encode_ask(region: str, asker: str, number: int, question: Question, by: str = "") -> bytes:
    """A question as UTF-8 JSON."""
    raw = msgspec.Raw(_encoder.encode(question))
    return _encoder.encode(Ask(region, asker, number, raw, by))


def decode_ask(data: bytes) -> Ask:
    """Who asks, and what is not decoded yet: who asks something unknown can be told so.

    Raises:
        ValueError: nobody could be answered.
    """
    try:
        ask = _asks.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("nothing that could be answered") from error
    if not (is_region(ask.region) and is_asker(ask.asker) and 0 <= ask.number < 2**53):
        raise ValueError("nobody who could be answered")
    return ask


def decode_question(kind: InquiryKind, raw: msgspec.Raw) -> Question | Refused:
    """The question, where it may be asked by this kind; else why not."""
    try:
        question = _questions.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        return Refused(f"this edge does not know such a question: {error}")
    if not isinstance(question, ALLOWED[kind]):
        return Refused(f"{type(question).__name__.lower()} is nothing to {kind}")
    return question

"""What edges answer operators who ask about clients, rooms and settings. JSON, values.

Each answer says who gives it, and has at most `MOST_BYTES`: a list is cut, and that is said.
"""

import msgspec

from relay.core.client_row import ClientRow
from relay.core.limits import Allowance
from relay.core.masking import TracedFrame
from relay.core.room_row import RoomRow

MOST_ROWS = 200
MOST_ROOMS = 256  # of one client that are listed
MOST_EVENTS = 100  # of one peek
MOST_BYTES = 256 * 1024


class ClientsFound(msgspec.Struct, frozen=True, kw_only=True, tag="clients", tag_field="what"):
    """The first of those that match, how many do, and of how many."""

    rows: list[ClientRow]
    matched: int
    of: int
    cut: bool = False  # fewer than were asked for: they would be too many bytes


class Granted(msgspec.Struct, frozen=True):
    """What a token grants."""

    match: str
    can: list[str]
    auto: bool = False


class Seat(msgspec.Struct, frozen=True, omit_defaults=True):
    """A room that a session is in."""

    room: str
    joined: bool = True  # acknowledged; else it is on its way in
    presence: bool = False  # it is told who is there


class Ended(msgspec.Struct, frozen=True):
    """A connection that ended here."""

    at_ms: int  # Unix ms
    session: str
    code: int


class ClientFound(msgspec.Struct, frozen=True, kw_only=True, tag="client", tag_field="what"):
    """All about one client."""

    row: ClientRow
    opened_ms: int  # Unix ms
    resumed_ms: int  # Unix ms of the RESUME that brought it here; 0: it identified
    expires_ms: int  # Unix ms when its token ends; 0: it has shown none
    grants: list[Granted]
    watch: list[str]  # patterns of users whom it may watch
    watching: int  # users
    shown: str  # what others see of it: a status
    rooms: list[Seat]  # the first of them
    positions: dict[str, tuple[int, int]]  # origin -> epoch and sequence: it has all up to there
    ahead: dict[str, int]  # origin -> sequence, where it has more than its edge
    allowance: Allowance
    signals_dropped: int  # ephemeral events that it was too slow for
    ends: list[Ended]  # of this user's connections here, newest first


class RoomsFound(msgspec.Struct, frozen=True, kw_only=True, tag="rooms", tag_field="what"):
    """The first of those that match, how many do, and of how many."""

    rows: list[RoomRow]
    matched: int
    of: int
    cut: bool = False


class OriginOfRoom(msgspec.Struct, frozen=True, kw_only=True):
    """One origin's events of a room, at one edge."""

    origin: str
    epoch: int
    position: int  # sequence of the origin up to which all is delivered, whatever room
    newest: int  # of the room: that was delivered, or was there when it was opened
    lag_ms: float | None
    repairing: bool  # the stream is read for what the live feed lacks
    holes: int  # found and repaired since the edge's start, whatever room
    ring_events: int
    ring_bytes: int
    ring_base: int  # all of the room after this sequence is in the ring
    oldest_ms: int  # Unix ms of the first event in the ring; 0: there is none


class RoomFound(msgspec.Struct, frozen=True, kw_only=True, tag="room", tag_field="what"):
    """All about one room, at one edge."""

    row: RoomRow
    encodings: dict[str, int]  # -> members who share their frames
    private: int  # members who have more than their edge: their frames are their own
    looking: int  # members who are told who is there
    present_here: int  # users that this edge says are there
    origins: list[OriginOfRoom]


class PeekedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored event."""

    origin: str
    epoch: int
    seq: int
    user: str | None
    id: str | None
    ts_ms: int
    stored_ms: int
    size: int  # bytes of its data
    data: str | None = None  # JSON, where it may be seen; cut at 4,096 characters


class Peeked(msgspec.Struct, frozen=True, kw_only=True, tag="peeked", tag_field="what"):
    """The newest events of a room, oldest first."""

    events: list[PeekedEvent]
    more: bool  # there are older ones
    cut: bool = False


class SettingsTold(msgspec.Struct, frozen=True, kw_only=True, tag="settings", tag_field="what"):
    """How an edge is set up."""

    settings: dict[str, str]  # name -> value; of keys only by what they are told apart


class Traced(msgspec.Struct, frozen=True, kw_only=True, tag="traced", tag_field="what"):
    """What went over a client's connection since the last of these; the first says that it begins.

    Not the last while `ended` is empty.
    """

    session: str
    frames: list[TracedFrame] = []
    skipped: int = 0  # frames: there were too many
    ended: str = ""  # why


class Kicked(msgspec.Struct, frozen=True, kw_only=True, tag="kicked", tag_field="what"):
    """It was closed."""

    session: str
    tenant: str
    user: str
    code: int


class Absent(msgspec.Struct, frozen=True, tag="absent", tag_field="what"):
    """What was asked for is not here; of a client, how its connections here ended, newest first."""

    ends: list[Ended] = []


class Refused(msgspec.Struct, frozen=True, tag="refused", tag_field="what"):
    """It is not answered; `busy`: it may be later."""

    why: str
    busy: bool = False


Answer = (
    ClientsFound | ClientFound | RoomsFound | RoomFound | Peeked | SettingsTold | Traced | Kicked
    | Absent | Refused
)  # fmt: skip


class Teller(msgspec.Struct, frozen=True):
    """Who gives an answer."""

    region: str
    edge: str
    epoch: int  # Unix ms of its start


class Told(Teller, frozen=True):
    """An answer with who gives it."""

    answer: Answer


_encoder = msgspec.json.Encoder()
_told = msgspec.json.Decoder(Told)
_tellers = msgspec.json.Decoder(Teller)


def encode_told(told: Told) -> bytes:
    """An answer as UTF-8 JSON."""
    return _encoder.encode(told)


def decode_told(data: bytes) -> Told:
    """The answer in `data`; a refusal, where it is nothing that is known here.

    Raises:
        ValueError: nobody has answered that.
    """
    try:
        return _told.decode(data)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        who = _tellers.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("no answer of an edge") from error
    return Told(who.region, who.edge, who.epoch, Refused("its answer is of another version"))


def bounded(region: str, edge: str, epoch: int, answer: Answer) -> bytes:
    """An answer as UTF-8 JSON of at most `MOST_BYTES`: a list in it is cut where it is longer."""
    data = encode_told(Told(region, edge, epoch, answer))
    while len(data) > MOST_BYTES:
        match answer:
            case ClientsFound(rows=[_, *_]) | RoomsFound(rows=[_, *_]):
                kept = answer.rows[: len(answer.rows) * 2 // 3]
                answer = msgspec.structs.replace(answer, rows=kept, cut=True)
            case Peeked(events=[_, *_]):
                dropped = max(len(answer.events) // 3, 1)
                answer = msgspec.structs.replace(
                    answer, events=answer.events[dropped:], more=True, cut=True
                )
            case _:
                answer = Refused("the answer is too large")
        data = encode_told(Told(region, edge, epoch, answer))
    return data

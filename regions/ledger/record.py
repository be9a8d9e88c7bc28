"""One record of the ledger: something that a client did, got or was told, or what a stream holds.

On disk a record is one line of JSON, its kind under `k`. docs/ledger.md says what each means.
"""

import msgspec

Places = dict[str, tuple[int, int]]  # origin -> (epoch, seq): everything up to there

_SHORT = {
    "client": "c",
    "origin": "o",
    "epoch": "e",
    "seq": "q",
    "hash": "h",
    "number": "n",
}


class Base(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="k", rename=_SHORT):
    """`t` is CLOCK_MONOTONIC in ns: comparable between the processes of one machine."""

    t: int


# --- the run -----------------------------------------------------------------------------------


class Clock(Base, frozen=True, gc=False, tag="clock"):
    """What the wall clock said, in Unix ms: at the start of a file, and every 10 s."""

    w: int


class Phase(Base, frozen=True, gc=False, tag="phase"):
    """A phase of the run begins."""

    name: str


# --- publishing --------------------------------------------------------------------------------


class Asked(Base, frozen=True, gc=False, tag="ask"):
    """A publish was handed to the client library. `client` is the publishing user, too."""

    client: str
    room: str
    id: str
    number: int  # counts the publishes of this client in this room, from 1
    hash: str  # of the data


class Acked(Base, frozen=True, gc=False, tag="ok"):
    """It is stored, at this place; `dup`: it was there already."""

    client: str
    room: str
    id: str
    origin: str
    epoch: int
    seq: int
    dup: bool = False


class Failed(Base, frozen=True, gc=False, tag="fail"):
    """It is certainly not stored."""

    client: str
    room: str
    id: str
    why: str


class Unknown(Base, frozen=True, gc=False, tag="unknown"):
    """It got no answer: it may be stored, or not."""

    client: str
    room: str
    id: str
    why: str


# --- what a client got -------------------------------------------------------------------------


class Delivered(Base, frozen=True, gc=False, tag="event"):
    """An event came on the wire. `app`: the library handed it on; else it dropped it as a repeat.

    `replayed`: its frame had no `s`. `number` is what the data says.
    """

    client: str
    room: str
    user: str | None
    id: str | None
    number: int
    origin: str
    epoch: int
    seq: int
    hash: str
    replayed: bool = False
    app: bool = True


class Surfaced(Base, frozen=True, gc=False, tag="app"):
    """The library handed on an event that no frame of its own brought: a repeat, or out of turn."""

    client: str
    room: str
    user: str | None
    id: str | None
    number: int
    origin: str
    epoch: int
    seq: int
    hash: str


class GapSaid(Base, frozen=True, gc=False, tag="gap"):
    """GAP: events that the session will not get; `last` None: all of the epoch from `first` on."""

    client: str
    origin: str
    epoch: int
    first: int
    last: int | None
    why: str
    room: str | None = None


# --- a client's sessions -----------------------------------------------------------------------


class Ready(Base, frozen=True, gc=False, tag="ready"):
    """A session began: of `rooms` it is owed everything after `at`."""

    client: str
    session: str
    region: str
    edge: str
    rooms: tuple[str, ...]
    at: Places


class Subscribed(Base, frozen=True, gc=False, tag="sub"):
    """ACK of a SUBSCRIBE: of `room` the session is owed everything after `at`."""

    client: str
    room: str
    at: Places


class Unsubscribed(Base, frozen=True, gc=False, tag="unsub"):
    """UNSUBSCRIBE was sent: of `room` nothing more is owed."""

    client: str
    room: str


class RoomRefused(Base, frozen=True, gc=False, tag="refused"):
    """The client was told that it no longer has `room`."""

    client: str
    room: str
    why: str


class Resuming(Base, frozen=True, gc=False, tag="resume"):
    """RESUME was sent with the cursor `at`."""

    client: str
    session: str
    at: Places


class Resumed(Base, frozen=True, gc=False, tag="resumed"):
    """RESUMED came: `replayed` events were sent before it."""

    client: str
    region: str
    edge: str
    replayed: int
    behind: dict[str, int]
    at: Places


class Invalid(Base, frozen=True, gc=False, tag="invalid"):
    """INVALID_SESSION came."""

    client: str
    retry: bool
    why: str


class LostSaid(Base, frozen=True, gc=False, tag="lost"):
    """The application was told that its session could not be continued."""

    client: str
    why: str


class Down(Base, frozen=True, gc=False, tag="down"):
    """A connection that was ready ended; `heard` is when its last frame had come (as `t`)."""

    client: str
    code: int | None
    why: str
    heard: int


class Recalled(Base, frozen=True, gc=False, tag="op7"):
    """The edge asked the client to reconnect."""

    client: str


class Trying(Base, frozen=True, gc=False, tag="try"):
    """The client will connect to `url` after `wait_ms`."""

    client: str
    url: str
    attempt: int
    wait_ms: int


class Drained(Base, frozen=True, gc=False, tag="drain"):
    """Whether the client got as far as what was acknowledged; `lacks` says where it did not."""

    client: str
    reached: bool
    lacks: tuple[str, ...] = ()


class Ended(Base, frozen=True, gc=False, tag="end"):
    """The client was closed, or ended with an error; `at` is its last cursor."""

    client: str
    at: Places
    why: str = ""


# --- the streams -------------------------------------------------------------------------------


class Opening(Base, frozen=True, gc=False, tag="opening"):
    """What `region` held of an origin's stream before the crowd came: `first` to `last`.

    `epoch`: of the stream; 0 for a mirror, whose own metadata says nothing of it.
    """

    region: str
    origin: str
    first: int
    last: int
    epoch: int = 0


class Stream(Base, frozen=True, gc=False, tag="stream"):
    """What `region` holds of an origin's stream: `first` to `last`.

    The scan read it from `first` on, or from where it ended before the crowd came.
    """

    region: str
    origin: str
    epoch: int
    first: int
    last: int


class Fork(Base, frozen=True, gc=False, tag="fork"):
    """Where an epoch begins in `region`'s copy of an origin's stream, fillers included."""

    region: str
    origin: str
    epoch: int
    first: int


class Unread(Base, frozen=True, gc=False, tag="unread"):
    """The scan could not read what `region` holds of an origin's stream, or not all of it."""

    region: str
    origin: str
    why: str


class Stored(Base, frozen=True, gc=False, tag="stored"):
    """An event in `region`'s copy of the stream of `origin`; `ts` is its `Jr-Ts`, Unix ms."""

    region: str
    origin: str
    epoch: int
    seq: int
    room: str
    user: str | None
    id: str | None
    number: int
    hash: str
    ts: int = 0


Record = (
    Clock | Phase | Asked | Acked | Failed | Unknown | Delivered | Surfaced | GapSaid | Ready
    | Subscribed | Unsubscribed | RoomRefused | Resuming | Resumed | Invalid | LostSaid | Down
    | Recalled | Trying | Drained | Ended | Opening | Stream | Fork | Unread | Stored
)  # fmt: skip

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Record).decode

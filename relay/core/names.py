"""Names and the NATS subjects made from them: the only place where text becomes part of a subject.

Every name that a client chooses passes one of the patterns here before it comes near a subject, so
that no `.`, `*`, `>`, space or control character can widen or inject one.
"""

import hashlib
import re
from typing import Literal

DEFAULT_TENANT = "_"
DEFAULT_SHARD = "0"
SYSTEM_TENANT = "-"  # reserved: markers; no token can name it
MARK_ROOM = "mark"
VOID_ROOM = "void"

# `\Z`, not `$`: the latter lets a trailing newline through.
_ROOM = re.compile(r"[A-Za-z0-9_:-]{1,128}\Z")
_ID = re.compile(r"[A-Za-z0-9_:.-]{1,64}\Z")
_TENANT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}\Z")
_PLACE = re.compile(r"[a-z][a-z0-9-]{0,15}\Z")
_EDGE = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
_RUN = re.compile(r"[A-Za-z0-9-]{1,128}\Z")
_ASKER = re.compile(r"[a-z0-9]{1,32}\Z")


def is_room(name: object) -> bool:
    """Whether `name` is a room or user name: 1 to 128 of `A-Z a-z 0-9 _ - :`."""
    return isinstance(name, str) and _ROOM.match(name) is not None


is_user = is_room


def is_publish_id(name: object) -> bool:
    """Whether `name` may identify a publish: 1 to 64 of `A-Z a-z 0-9 _ - : .`."""
    return isinstance(name, str) and _ID.match(name) is not None


def is_tenant(name: object) -> bool:
    """Whether `name` may be a tenant: 1 to 32 of `A-Z a-z 0-9 _ -`, not starting with `-`."""
    return isinstance(name, str) and _TENANT.match(name) is not None


def is_region(name: object) -> bool:
    """Whether `name` may be a region: 1 to 16 of `a-z 0-9 -`, starting with a letter."""
    return isinstance(name, str) and _PLACE.match(name) is not None


def is_edge(name: object) -> bool:
    """Whether `name` may be an edge: 1 to 32 of `a-z 0-9 -`, starting with a letter."""
    return isinstance(name, str) and _EDGE.match(name) is not None


def is_run(name: object) -> bool:
    """Whether `name` may be an operation: 1 to 128 of `A-Z a-z 0-9 -`."""
    return isinstance(name, str) and _RUN.match(name) is not None


def is_asker(name: object) -> bool:
    """Whether `name` may be who asks edges: 1 to 32 of `a-z 0-9`."""
    return isinstance(name, str) and _ASKER.match(name) is not None


def msg_id(tenant: str, user: str, room: str, publish_id: str) -> str:
    """`Nats-Msg-Id` of a publish: dedup is per stream, so the id is scoped by user and room.

    Hashed, so that no client text becomes a header and no two scopes can be made to collide.
    """
    text = "\x00".join((tenant, user, room, publish_id)).encode()
    return hashlib.blake2b(text, digest_size=16).hexdigest()


# --- streams -----------------------------------------------------------------------------------


def events_stream(origin: str) -> str:
    """The stream of `origin`'s events, under the same name at home and wherever it is mirrored."""
    return f"EV_{origin}"


def records_stream(origin: str) -> str:
    """The stream of (`s`, position) records of `origin`'s edges, mirrored like the events."""
    return f"REC_{origin}"


def log_stream(origin: str) -> str:
    """The log of who was at `origin`'s edges, mirrored like the events."""
    return f"LOG_{origin}"


def minutes_stream(origin: str) -> str:
    """How many were at `origin`'s edges in each minute, mirrored like the events.

    Apart from the log, which drops its oldest when many come and go.
    """
    return f"MIN_{origin}"


def book_stream(origin: str) -> str:
    """What operators ordered and did through `origin`, mirrored like the events."""
    return f"OPS_{origin}"


LEASE_STREAM = "LEASE"  # one region's edge leases; local, last value per subject
SIGNAL_STREAM = "SIGNAL"  # ephemeral events of all regions; local, in memory, republished
TELEMETRY_STREAM = "TELE"  # the frames of all edges, and news, as heard here for a day; local


def mirror_consumer(stream: str, region: str) -> str:
    """The durable consumer at home from which `region`'s mirror of `stream` is fed (ADR-60)."""
    return f"MIR_{stream}_to_{region}"


def mirror_delivery(stream: str, region: str) -> str:
    """The subject on which that consumer delivers, across the link."""
    return f"mirror.{stream}.{region}"


# --- subjects ----------------------------------------------------------------------------------


def event_subject(origin: str, tenant: str, shard: str, room: str) -> str:
    """Where an event is stored: `ev.<origin>.<tenant>.<shard>.<room>`."""
    return f"ev.{origin}.{tenant}.{shard}.{room}"


def live_subject(region: str, origin: str, tenant: str, shard: str, room: str) -> str:
    """Where `region`'s copy of the stream republishes it. `origin` may be the wildcard `*`."""
    return f"live.{region}.{origin}.{tenant}.{shard}.{room}"


def mark_subject(origin: str) -> str:
    """The stored marker of `origin`, once a second."""
    return event_subject(origin, SYSTEM_TENANT, DEFAULT_SHARD, MARK_ROOM)


def void_subject(origin: str) -> str:
    """What takes a sequence of `origin` that nothing else may get; with it an epoch begins."""
    return event_subject(origin, SYSTEM_TENANT, DEFAULT_SHARD, VOID_ROOM)


def mark_live_subject(region: str, origin: str = "*") -> str:
    """Where the stored markers come out in `region`."""
    return live_subject(region, origin, SYSTEM_TENANT, DEFAULT_SHARD, MARK_ROOM)


def void_live_subject(region: str, origin: str = "*") -> str:
    """Where what an epoch begins with comes out in `region`."""
    return live_subject(region, origin, SYSTEM_TENANT, DEFAULT_SHARD, VOID_ROOM)


def head_subject(origin: str) -> str:
    """The core-NATS copy of a marker, through the links: the head where a mirror is stuck."""
    return f"head.{origin}"


def signal_subject(region: str, tenant: str, shard: str, room: str) -> str:
    """Where an ephemeral event is published; it crosses the links without room interest."""
    return f"sig.{region}.{tenant}.{shard}.{room}"


def signal_live_subject(tenant: str, shard: str, room: str, region: str = "*") -> str:
    """Where the local SIGNAL stream republishes ephemeral events of `region`."""
    return f"siglive.{region}.{tenant}.{shard}.{room}"


def telemetry_subject(region: str, edge: str) -> str:
    """An edge's 1 Hz telemetry frame, through the links."""
    return f"tele.{region}.{edge}"


def news_subject(region: str, about: str) -> str:
    """What a region's keeper, or a drill, tells who watches the fleet, through the links."""
    return f"news.{region}.{about}"


LogKind = Literal["att", "visit", "visitmark"]


def log_subject(region: str, kind: LogKind, edge: str) -> str:
    """Where an edge stores comings and goings (`att`), its visits, or where the newest checkpoint
    of them is.

    `edge` may be the wildcard `*`.
    """
    return f"log.{region}.{kind}.{edge}"


def minute_subject(region: str, edge: str) -> str:
    """Where the edge that has the duty stores its region's minutes; `edge` may be `*`."""
    return f"min.{region}.{edge}"


def users_subject(region: str, edge: str) -> str:
    """Which users came to an edge and which went, every second, through the links."""
    return f"users.{region}.{edge}"


def users_ask_subject(region: str, edge: str) -> str:
    """Where an edge is asked for all of its users, through the links."""
    return f"usersask.{region}.{edge}"


def visit_subject(region: str, edge: str) -> str:
    """Where an edge is told what others heard of its visits, through the links."""
    return f"visit.{region}.{edge}"


def visit_answer_subject(region: str, edge: str) -> str:
    """Where it answers them, through the links."""
    return f"visitans.{region}.{edge}"


def lease_subject(region: str, edge: str) -> str:
    """An edge's sign of life every 2 s, through the links."""
    return f"lease.{region}.{edge}"


def presence_subject(region: str, edge: str) -> str:
    """What changed at an edge in a window of 2 s, through the links."""
    return f"pres.{region}.{edge}"


def presence_ask_subject(region: str, edge: str) -> str:
    """Where an edge is asked who is in some scopes, through the links."""
    return f"presask.{region}.{edge}"


def presence_answer_subject(region: str, edge: str) -> str:
    """Where an edge gets the answers to what it asked, through the links."""
    return f"presans.{region}.{edge}"


def slot_subject(region: str, slot: int) -> str:
    """The stored lease of one slot of `s` (in LEASE_STREAM)."""
    return f"slot.{region}.{slot}"


RUNNING = "running"  # the duty of who carries out an operation, by scope


def duty_subject(region: str, duty: str, *scope: str) -> str:
    """The stored lease of a duty that one edge of the region has (in LEASE_STREAM): `marker`."""
    return ".".join(("duty", region, duty, *scope))


EVERY_EDGE = "-"  # in place of an edge, whose name it can't be

InquiryKind = Literal["ask", "see", "act"]
"""What may be asked is a matter of permissions: to read, to see payloads too, to do something."""

AnswerKind = Literal["told", "shown"]
"""Where answers go: `shown` where payloads may be in them."""


def inquiry_subject(kind: InquiryKind, region: str, edge: str) -> str:
    """Where an edge, or every edge of a region, is asked by operators, through the links."""
    return f"{kind}.{region}.{edge}"


def inquiry_answer_subject(kind: AnswerKind, region: str, asker: str, number: int | str) -> str:
    """Where who asks in `region` gets the answers to the question `number`, through the links."""
    return f"{kind}.{region}.{asker}.{number}"


def order_subject(origin: str, region: str, edge: str = "") -> str:
    """What is wanted of a region or of an edge, stored in the book of `origin`."""
    return f"ops.{origin}.order.{region}.{edge}" if edge else f"ops.{origin}.order.{region}"


def run_subject(origin: str, run: str) -> str:
    """What happened in an operation (`*`: in any), in the book of `origin`."""
    return f"ops.{origin}.run.{run}"


def takeover_subject(region: str) -> str:
    """Announcements that an edge of `region` resumed a session, through the links."""
    return f"takeover.{region}"


def witness_subject(region: str) -> str:
    """Where an edge asks the others of its region what they saw of the home stream."""
    return f"witness.{region}"


def alarm_subject(region: str) -> str:
    """What an edge of `region` found wrong with a stream, through the links."""
    return f"alarm.{region}"


def skipped_subject(region: str) -> str:
    """Where the region's watcher tells its edges what the live feed jumped over."""
    return f"skipped.{region}"


def hole_subject(region: str) -> str:
    """Where an edge of `region` records events that its live feed had passed over."""
    return f"rec.{region}.hole"


def record_subject(origin: str, slot: int) -> str:
    """Where the edge with this slot stores its (`s`, position) records."""
    return f"rec.{origin}.{slot}"


def room_of(subject: str) -> tuple[str, str, str]:
    """(origin, tenant, room) of an `ev.…` subject, or of a `live.<region>.…` one.

    Raises:
        ValueError: the subject has neither form.
    """
    parts = subject.split(".")
    if parts[0] == "ev" and len(parts) == 5:
        return parts[1], parts[2], parts[4]
    if parts[0] == "live" and len(parts) == 6:
        return parts[2], parts[3], parts[5]
    raise ValueError(f"not an event subject: {subject!r}")


# --- wildcards: what streams capture, links carry and permissions allow ------------------------

Kind = Literal[
    "ev", "rec", "sig", "tele", "lease", "slot", "duty", "takeover", "head", "alarm", "witness",
    "live", "siglive", "pres", "presask", "presans", "log", "min", "users",
    "usersask", "visit", "visitans", "ops", "news", "ask", "see", "act", "told", "shown",
]  # fmt: skip


def below(kind: Kind, *tokens: str) -> str:
    """Every subject of a kind under `tokens`: `below("ev", "us")` is `ev.us.>`."""
    return ".".join((kind, *tokens, ">"))

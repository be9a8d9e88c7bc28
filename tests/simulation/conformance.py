"""The same calls to the model and to real nats-servers, told in the same words."""

import json
import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from relay.bus.connection import STATUS
from relay.core import names
from tests.simulation.connection import Headers
from tests.simulation.jetstream import Answer
from tests.simulation.plan import ClientPlan, Plan, RegionPlan, make_plan
from tests.simulation.world import World

ROOMS = ("a", "b", "c")
UNTOLD = {"Nats-Time-Stamp"}  # differs by nature


class Call(NamedTuple):
    """One message to one region, and whether its answer is a batch."""

    region: str
    subject: str
    data: bytes
    headers: Headers


Told = list[tuple[Headers, Any]]
Heard = list[tuple[str, Headers, bytes]]


def told(answers: list[Answer]) -> Told:
    """Answers without what differs by nature, JSON decoded and cut to what the edges read."""
    return [(_kept(headers), _read(headers, data)) for headers, data in answers]


def _kept(headers: Headers) -> Headers:
    return {name: value for name, value in headers.items() if name not in UNTOLD}


def _read(headers: Headers, data: bytes) -> Any:
    if "Nats-Stream" in headers or not data:
        return data
    body = json.loads(data)
    if "message" in body:
        return {key: body["message"][key] for key in ("subject", "seq")}
    if "state" not in body:
        return {key: body[key] for key in ("stream", "seq", "duplicate", "error") if key in body}
    state = body["state"]
    metadata = body["config"].get("metadata") or {}
    return {
        **{key: state[key] for key in ("messages", "first_seq", "last_seq")},
        "num_deleted": state.get("num_deleted", 0),
        "deleted": state.get("deleted"),
        "metadata": {key: metadata[key] for key in metadata if not key.startswith("_nats")},
    }


def ended(answers: list[Answer], call: Call) -> bool:
    """Whether nothing more comes as the answer to a call."""
    if not answers:
        return False
    batch = ".DIRECT.GET." in call.subject and b'"batch"' in call.data
    return not batch or STATUS in answers[-1][0]


def event(room: str) -> str:
    """The subject of an event in a room of `us`."""
    return names.event_subject("us", "_", "0", room)


def steps(seed: int, count: int, stamps: dict[int, str]) -> "list[Callable[[str], Call]]":
    """Calls, each made from the name of the region to ask; the same for both sides.

    Args:
        seed: decides everything.
        count: how many.
        stamps: sequence -> time, as the side that is asked stored it.
    """
    dice = random.Random(seed)
    made: list[Callable[[str], Call]] = []
    last = 0
    for _ in range(count):
        throw = dice.random()
        if throw < 0.35:
            made.append(_publish(dice, last))
            last += 1
        elif throw < 0.80:
            made.append(_get(dice, last, stamps))
        elif throw < 0.85:
            made.append(_ask_leader(dice, last))
        elif throw < 0.94:
            details = b'{"deleted_details": true}' if dice.random() < 0.5 else b""
            made.append(_at_home("$JS.API.STREAM.INFO.EV_us", details))
        else:
            made.append(_lease(dice))
    return made


def _at_home(subject: str, data: bytes, headers: Headers | None = None) -> Callable[[str], Call]:
    return lambda _: Call("us", subject, data, headers or {})


def _publish(dice: random.Random, last: int) -> Callable[[str], Call]:
    headers: Headers = {"Jr-User": dice.choice(("ana", "bo"))}
    if dice.random() < 0.6:
        headers["Nats-Msg-Id"] = f"id{dice.randrange(40)}"
    if dice.random() < 0.25:
        headers["Nats-Expected-Last-Sequence"] = str(max(0, last - dice.randrange(3)))
    if dice.random() < 0.1:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(dice.randrange(last + 1))
    data = json.dumps({"n": last, "pad": "x" * dice.randrange(200)}).encode()
    return _at_home(event(dice.choice(ROOMS)), data, headers)


def _get(dice: random.Random, last: int, stamps: dict[int, str]) -> Callable[[str], Call]:
    request: dict[str, Any] = {}
    kind = dice.random()
    pattern = dice.choice((event("a"), event("b"), event("nobody"), "ev.us._.0.*", "ev.us.>", ">"))
    when = 0
    if kind < 0.2:
        request["last_by_subj"] = pattern
    else:
        request["batch"] = dice.choice((1, 2, 5, 64))
        request["max_bytes"] = dice.choice((1, 300, 262_144))
        if dice.random() < 0.6:
            request["next_by_subj"] = pattern
        if kind < 0.3 and last:
            when = dice.randrange(1, last + 1)
        else:
            request["seq"] = dice.randrange(1, last + 4)
    if dice.random() < 0.2:
        request = {"seq": 1, "batch": 8, "next_by_subj": "slot.us.*"}
        return _at_home("$JS.API.DIRECT.GET.LEASE", json.dumps(request).encode())

    def make(region: str) -> Call:
        if when:
            request["start_time"] = stamps.get(when, "2020-01-01T00:00:00Z")
        return Call(region, "$JS.API.DIRECT.GET.EV_us", json.dumps(request).encode(), {})

    return make


def _ask_leader(dice: random.Random, last: int) -> Callable[[str], Call]:
    subject = dice.choice((event("a"), event("b"), event("nobody")))
    request: dict[str, Any] = {"next_by_subj": subject, "seq": dice.randrange(1, last + 3)}
    if dice.random() < 0.5:
        request = {"last_by_subj": subject}
    if dice.random() < 0.5:
        request["no_hdr"] = True
    return _at_home("$JS.API.STREAM.MSG.GET.EV_us", json.dumps(request).encode())


def _lease(dice: random.Random) -> Callable[[str], Call]:
    headers = {"Nats-Expected-Last-Subject-Sequence": str(dice.randrange(6))}
    return _at_home(f"slot.us.{dice.randrange(2)}", b'{"edge": "us-1"}', headers)


class _Ear:
    """A connection of the test's own to a modelled region."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.server = 0
        self.answers: list[Answer] = []
        self.heard: Heard = []

    def deliver(
        self, sid: int, subject: str, _reply: str, messages: list[Answer], _extra_s: float
    ) -> None:
        """What a subscription gets: 1 is the inbox, 2 the live feed."""
        if sid == 1:
            self.answers += messages
        else:
            self.heard += [(subject, headers, data) for headers, data in messages]


class Model:
    """The model's side: two regions without edges."""

    def __init__(self) -> None:
        plan = make_plan(0, 0, ())
        regions = tuple(RegionPlan(name, 1, 1) for name in ("eu", "us"))
        clients: tuple[ClientPlan, ...] = ()
        values = {name: getattr(plan, name) for name in Plan.__slots__}
        self.world = World(Plan(**{**values, "regions": regions, "clients": clients}))
        self.ears = {name: _Ear(name) for name in self.world.systems}
        for name, ear in self.ears.items():
            system = self.world.systems[name]
            system.on_stored = lambda _region, _message: None
            system.subscribe(ear, 1, f"_INBOX.{name}.*")  # type: ignore[arg-type]
            system.subscribe(ear, 2, f"live.{name}.>")  # type: ignore[arg-type]

    async def ask(self, call: Call) -> list[Answer]:
        """The answers to a call."""
        ear, system = self.ears[call.region], self.world.systems[call.region]
        ear.answers = []
        reply = f"_INBOX.{call.region}.1"
        system.arrive(ear, call.subject, reply, call.headers, call.data)  # type: ignore[arg-type]
        self.wait(0.5)  # there and back over a link; all of it within the window of the ids
        return ear.answers

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.world.scheduler.run(self.world.scheduler.now + seconds)

    def heard(self, region: str) -> Heard:
        """What the live feed of a region brought so far."""
        return self.ears[region].heard


Ask = Callable[[Call], Awaitable[list[Answer]]]

"""One region's NATS: one server or three, core subjects, JetStream, and how they break."""

import random
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relay.core import names
from tests.simulation import jetstream
from tests.simulation.connection import NOBODY, SimConnection
from tests.simulation.jetstream import Answer
from tests.simulation.loop import Scheduler
from tests.simulation.streams import (
    EXPECTED_LAST,
    EXPECTED_LAST_SUBJECT,
    Headers,
    Stored,
    Stream,
    matches,
)

if TYPE_CHECKING:
    from tests.simulation.links import Link
    from tests.simulation.mirrors import Pump

WALL0_S = 1_800_000_000.0  # Unix time at the start of every run
ROUTE_S = (0.0002, 0.02)  # until a subscription is known to the other servers of a cluster
CROSSING = (  # what the links carry
    "tele", "lease", "sig", "takeover", "head", "alarm", "pres", "presask", "presans",
    "users", "usersask", "visit", "visitans",
)  # fmt: skip
SERVERS = 3  # of a cluster
_STREAM_OF = {"ev": names.events_stream, "log": names.log_stream, "ops": names.book_stream}
Respond = Callable[[list[Answer]], None]


class Subscription:
    """One subscription at one server."""

    __slots__ = ("connection", "pattern", "server", "sid", "spread_s")

    def __init__(self, connection: SimConnection, sid: int, pattern: str, spread_s: float) -> None:
        self.connection = connection
        self.sid = sid
        self.pattern = pattern
        self.server = connection.server
        self.spread_s = spread_s


class System:
    """A region's NATS.

    Args:
        servers: how many; JetStream is replicated over all of them.
        count: called with the name of each thing that went wrong on purpose.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        dice: random.Random,
        region: str,
        servers: int,
        count: Callable[[str], None],
    ) -> None:
        self.region = region
        self.scheduler = scheduler
        self.streams: dict[str, Stream] = {}
        self.links: dict[str, Link] = {}
        self.pumps: dict[str, list[Pump]] = {}  # fed from here, by stream
        self.on_stored: Callable[[str, Stored], None] = lambda _region, _message: None
        self.on_muted: Callable[[str, int], None] = lambda _origin, _seq: None
        self.alive = [True] * servers
        self._starts = [1] * servers
        self.leader = 0
        self.no_leader = False
        self.js_from_s = 0.0  # JetStream answers from then on
        self.disk_full = False
        self.frozen = False
        self.muted = False  # the leader stores and acknowledges, and republishes nothing
        self.lag_s = 0.0  # of followers that answer direct gets, at most
        self.stale_s = 0.0  # of one of the three
        self.reads_take_s = 0.0  # at most
        self.ack_loss = 0.0
        self.ack_late = 0.0
        self._count = count
        self._dice = dice
        self._subscriptions: dict[tuple[SimConnection, int], Subscription] = {}
        self._exact: dict[str, list[Subscription]] = {}
        self._wild: list[Subscription] = []
        self._inboxes: dict[str, Subscription] = {}
        self._routes: dict[str, list[Subscription]] = {}  # what `_exact` and `_wild` say
        self._connections: dict[SimConnection, None] = {}  # in the order of their coming
        self._backlog: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self._seen: dict[str, tuple[list[float], list[int]]] = {}  # what is where since when

    @property
    def now_s(self) -> float:
        """Unix time at the servers."""
        return WALL0_S + self.scheduler.now

    @property
    def up(self) -> bool:
        """Whether any server runs."""
        return any(self.alive)

    @property
    def clustered(self) -> bool:
        """Whether there are several servers."""
        return len(self.alive) > 1

    @property
    def writes(self) -> bool:
        """Whether streams can be written."""
        return self.up and not self.no_leader and self.scheduler.now >= self.js_from_s

    # --- connections ---------------------------------------------------------------------------

    def accept(self, connection: SimConnection, dice: random.Random) -> bool:
        """A client connects. False: nobody is there."""
        up = [at for at, alive in enumerate(self.alive) if alive]
        if not up or self.frozen:
            return False
        connection.server = up[int(dice.random() * len(up))]
        self._connections[connection] = None
        return True

    def forget(self, connection: SimConnection) -> None:
        """A client is gone."""
        connection.server = NOBODY
        self._connections.pop(connection, None)
        for key in [key for key in self._subscriptions if key[0] is connection]:
            self._drop(key)

    def hang_up(self, connection: SimConnection, *, keep: bool) -> None:
        """The server ends a connection."""
        self.forget(connection)
        connection.drop(keep=keep)

    def connections_of(self, owner: str) -> list[SimConnection]:
        """The connections whose name begins so, in the order of their names."""
        found = [each for each in self._connections if each.name.startswith(owner)]
        return sorted(found, key=lambda each: each.name)

    def subscribe(self, connection: SimConnection, sid: int, pattern: str) -> None:
        """SUB"""
        spread_s = self.scheduler.now
        if self.clustered:
            spread_s += self._dice.uniform(*ROUTE_S)
        one = Subscription(connection, sid, pattern, spread_s)
        self._subscriptions[connection, sid] = one
        if pattern.startswith("_INBOX."):
            self._inboxes[pattern[:-2]] = one
            return
        self._routes.clear()
        if "*" in pattern or ">" in pattern:
            self._wild.append(one)
        else:
            self._exact.setdefault(pattern, []).append(one)

    def unsubscribe(self, connection: SimConnection, sid: int) -> None:
        """UNSUB"""
        if (connection, sid) in self._subscriptions:
            self._drop((connection, sid))

    def _drop(self, key: tuple[SimConnection, int]) -> None:
        one = self._subscriptions.pop(key)
        if one.pattern.startswith("_INBOX."):
            self._inboxes.pop(one.pattern[:-2], None)
            return
        self._routes.clear()
        if one in self._wild:
            self._wild.remove(one)
        else:
            self._exact[one.pattern].remove(one)

    def ping(self, connection: SimConnection) -> None:
        """PING"""
        connection.pong()

    def take(self, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Something arrived from a client: dealt with now, or when the server goes on."""
        if self.frozen:
            self._backlog.append((call, args))
        else:
            call(*args)

    # --- core NATS -----------------------------------------------------------------------------

    def arrive(
        self, connection: SimConnection, subject: str, reply: str, headers: Headers, data: bytes
    ) -> None:
        """PUB from a client."""
        if connection.server == NOBODY:
            return
        server = connection.server
        kind = subject.partition(".")[0]
        if kind == "$JS":
            self._call(subject, data, lambda answers: self.answer(reply, answers))
            return
        if kind in ("ev", "rec", "slot", "duty"):
            self._publish(subject, headers, data, reply)
            return
        if kind == "_INBOX":
            self.answer(subject, [(headers, data)])
            return
        if kind == "sig":
            self._signal(subject, headers, data)
        self.route(subject, reply, headers, data, server)
        if kind in CROSSING:
            for other in sorted(self.links):
                link = self.links[other]
                link.send(self.region, self.peers[other].cross, subject, headers, data)

    def record(self, subject: str, data: bytes) -> None:
        """The control plane stores something."""
        self._publish(subject, {}, data, "")

    peers: "dict[str, System]"

    def cross(self, subject: str, headers: Headers, data: bytes) -> None:
        """A message came over a link."""
        if not self.up:
            return
        if subject.startswith("sig."):
            self._signal(subject, headers, data)
        self.route(subject, "", headers, data, self.leader)

    def route(self, subject: str, reply: str, headers: Headers, data: bytes, server: int) -> None:
        """To every subscriber in the region."""
        found = self._routes.get(subject)
        if found is None:
            found = [*self._exact.get(subject, ())]
            found += [one for one in self._wild if matches(one.pattern, subject)]
            self._routes[subject] = found
        if found:
            message = [(headers, data)]
            for one in found:
                self._give(one, subject, reply, message, server)

    def _give(
        self, one: Subscription, subject: str, reply: str, messages: list[Answer], server: int
    ) -> None:
        if one.connection.server == NOBODY:
            return
        extra_s = 0.0
        if server != one.server:
            if self.scheduler.now < one.spread_s:
                return
            extra_s = self._dice.random() * 0.001
        one.connection.deliver(one.sid, subject, reply, messages, extra_s)

    def answer(self, reply: str, answers: list[Answer], extra_s: float = 0.0) -> None:
        """Answers to a reply subject."""
        one = self._inboxes.get(reply.rpartition(".")[0])
        if one is not None and one.connection.server != NOBODY and answers:
            one.connection.deliver(one.sid, reply, "", answers, extra_s)

    # --- JetStream -----------------------------------------------------------------------------

    def _call(self, subject: str, data: bytes, respond: Respond) -> None:
        parts = subject.split(".")
        if parts[1] == "API":
            self.api(parts[2:], data, respond)
            return
        other = parts[1]
        link = self.links.get(other)
        if link is None or not link.open:
            respond([jetstream.NOBODY])
            return

        def back(answers: list[Answer]) -> None:
            assert link is not None
            link.send(other, respond, answers)

        link.send(self.region, self.peers[other].api, parts[3:], data, back)

    def api(self, call: list[str], data: bytes, respond: Respond) -> None:
        """A call of the JetStream API, from here or from another region."""
        if self.frozen:
            self._backlog.append((self.api, (call, data, respond)))
            return
        if not self.up or self.scheduler.now < self.js_from_s:
            respond([jetstream.NOBODY])
            return
        stream = self.streams.get(call[-1])
        if call[:2] == ["DIRECT", "GET"]:
            if stream is None:
                respond([jetstream.NOBODY])
            else:
                upto = self._held_upto(stream)
                answers = jetstream.direct_get(stream, data, upto, self.now_s)
                if self.reads_take_s:
                    delay_s = self._dice.random() * self.reads_take_s
                    self.scheduler.after(delay_s, respond, answers)
                else:
                    respond(answers)
            return
        if self.no_leader:
            return  # nobody answers
        if stream is None:
            respond([jetstream.no_stream()])
        elif call[1] == "INFO":
            respond([jetstream.info(stream, data, self.now_s)])
        elif call[1] == "MSG":
            respond([jetstream.message_get(stream, data, self.now_s)])
        elif call[1] == "UPDATE":
            respond([jetstream.update(stream, data)])

    def _held_upto(self, stream: Stream) -> int:
        """What the replica that answers a direct get holds."""
        if not self.clustered or not (self.lag_s or self.stale_s):
            return stream.last
        times, seqs = self._seen.get(stream.name, ([], []))
        stale = bool(self.stale_s) and self._dice.random() * SERVERS < 1
        behind_s = self.stale_s if stale else self._dice.random() * self.lag_s
        at = bisect_right(times, self.scheduler.now - behind_s)
        if at == len(times):
            return stream.last
        self._count("one replica far behind" if stale else "follower behind")
        return seqs[at] - 1

    def _stream_of(self, subject: str) -> Stream | None:
        kind, region = subject.split(".", 2)[:2]
        if kind in ("slot", "duty"):
            return self.streams.get(names.LEASE_STREAM)
        of = _STREAM_OF.get(kind, names.records_stream)
        return self.streams.get(of(region)) if region == self.region else None

    def _publish(self, subject: str, headers: Headers, data: bytes, reply: str) -> None:
        stream = self._stream_of(subject)
        if stream is None or not self.writes:
            if not self.no_leader:
                self.answer(reply, [jetstream.NOBODY])
            return
        if self.disk_full:
            self._count("publish without answer: disk full")
            return
        stream.expire(self.now_s)
        ack = stream.publish(subject, headers, data, self.now_s)
        if ack.error is None and not ack.duplicate:
            self._stored(stream, stream.messages[ack.seq])
        if not reply:
            return
        extra_s = self._dice.random() * 0.003 if self.clustered else 0.0
        answers = [jetstream.ack_answer(stream, ack, self.region)]
        if self.ack_loss and self._dice.random() < self.ack_loss:
            self._count("publish ack lost")
            return
        if self.ack_late and self._dice.random() < self.ack_late:
            self._count("publish ack late")
            self.scheduler.after(self._dice.uniform(0.5, 4.0), self.answer, reply, answers)
            return
        self.answer(reply, answers, extra_s)

    def _stored(self, stream: Stream, message: Stored) -> None:
        """A message is in a home stream: republish it, and give it to the mirrors."""
        self.on_stored(self.region, message)
        own = stream.by_subject[message.subject]
        self._announce(stream, message, own[-2] if len(own) > 1 else 0)
        for pump in self.pumps.get(stream.name, ()):
            pump.offer(message)

    def mirrored(self, stream: Stream, message: Stored) -> None:
        """A mirror of this region got a message. What its publisher expected is not kept."""
        if EXPECTED_LAST in message.headers or EXPECTED_LAST_SUBJECT in message.headers:
            gone = (EXPECTED_LAST, EXPECTED_LAST_SUBJECT)
            kept = {name: value for name, value in message.headers.items() if name not in gone}
            message = message._replace(headers=kept)
        previous = stream.store(message)
        self._announce(stream, message, previous)

    def _announce(self, stream: Stream, message: Stored, previous: int) -> None:
        if self.clustered:
            times, seqs = self._seen.setdefault(stream.name, ([], []))
            times.append(self.scheduler.now)
            seqs.append(message.seq)
        if stream.republish is None:
            return
        if self.muted:
            self._count("event stored and never republished")
            self.on_muted(message.subject.split(".")[1], message.seq)
            return
        source, dest = stream.republish
        subject = dest + message.subject.removeprefix(source)
        headers = jetstream.republished(stream, message, previous)
        self.route(subject, "", headers, message.data, self.leader)

    def _signal(self, subject: str, headers: Headers, data: bytes) -> None:
        """The SIGNAL stream of this region captures, and republishes; it acknowledges nothing."""
        if self.writes:
            self.route(f"siglive{subject[3:]}", "", headers, data, self.leader)

    # --- faults --------------------------------------------------------------------------------

    def server_id(self, server: int) -> str:
        """What tells a server's process from another one."""
        return "" if server == NOBODY else f"{self.region}/{server}/{self._starts[server]}"

    def kill(self, server: int) -> None:
        """SIGKILL of one server."""
        if not self.alive[server]:
            return
        self.alive[server] = False
        gone = [each for each in self._connections if each.server == server]
        for connection in sorted(gone, key=lambda each: each.name):
            self.hang_up(connection, keep=self._dice.random() < 0.5)
        if not self.up:
            self._backlog.clear()
            self.frozen = False
            for link in self.links.values():
                link.down.add(self.region)
                link.reset()

    def start(self, server: int) -> None:
        """The server runs again, with what it had on disk."""
        if self.alive[server]:
            return
        first = not self.up
        self.alive[server] = True
        self._starts[server] += 1
        if first:
            self.disk_full = False
            self.leader = server
            self.js_from_s = self.scheduler.now + self._dice.uniform(0.05, 0.4)
            for link in self.links.values():
                link.down.discard(self.region)
                link.heal() if not link.cut else None
            self.restart_pumps()

    def restart_pumps(self) -> None:
        """Everything that is mirrored from here begins again."""
        for pumps in self.pumps.values():
            for pump in pumps:
                pump.restart()

    def elect(self) -> None:
        """Another server leads."""
        up = [at for at, alive in enumerate(self.alive) if alive]
        if up:
            self.leader = up[int(self._dice.random() * len(up))]
        self.no_leader = False
        self.muted = False

    def thaw(self) -> None:
        """The server goes on after it stood still."""
        self.frozen = False
        backlog, self._backlog = self._backlog, []
        for call, args in backlog:
            call(*args)

"""A share of a swarm as a process: `python -m regions.swarm.process`, told what to do on stdin."""

import asyncio
import contextlib
import gc
import random
import resource
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from regions.machine import own
from regions.state import find_world
from regions.swarm import frames
from regions.swarm.client import Client, Coding, Phase
from regions.swarm.figures import LAG, Second, Tally
from regions.swarm.line import End, Line
from regions.swarm.listener import Listener
from regions.swarm.orders import (
    Begin,
    Come,
    Hush,
    Hushed,
    Order,
    Settle,
    Settled,
    Speak,
    Spoken,
    Stop,
    Word,
    decode_order,
    encode,
)
from regions.swarm.profiles import arrivals, chooser
from regions.swarm.spec import room_name, user_name, voice_name, voices_for
from regions.swarm.voice import Voice
from relay.client.bodies import Hello
from relay.client.reconnect import gateway_url
from relay.core.grants import Act, RoomGrant
from relay.errors import RelayError
from relay.tasks import Tasks

DATA_BYTES = 52  # of an event's data as JSON, without what pads it
TOKEN_S = 12 * 3600
LAG_S = 0.02  # how often it is looked how late this process is
LOOK_S = 0.05
TURN_S = 0.001  # between two looks for events that are due
HELLOS = 256  # that are remembered
AWAY_S = 5.0  # the mean time that a client of `churn` is away
CUT_SHARE = 0.3  # of those who go then: without a word
SLOW_PAUSE_S, SLOW_READ_S = 20.0, 0.5
LINE_BYTES = 64 * 1024 * 1024


class Crowd:
    """The virtual clients of this process.

    Args:
        begin: what they are, and where they go.
        say: is given every word for the parent.
    """

    def __init__(self, begin: Begin, say: Callable[[Word], None]) -> None:
        spec = begin.spec
        self.coding = Coding(spec.encoding)
        self.tally = Tally()
        self._spec, self._index, self._say = spec, begin.index, say
        self._zero_ns = begin.zero_ns
        self._token = begin.token
        self._issuer = None if begin.state is None else find_world(Path(begin.state)).issuer()
        self._dice = random.Random(f"{spec.seed}/{begin.index}")  # noqa: S311 (to be repeated)
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks("swarm")
        self._hellos: dict[bytes, Hello] = {}
        self._urls = [place.url for place in begin.places]
        self._listeners: dict[int, Listener] = {}  # by number in the swarm; here, or on their way
        self._voices: list[Voice] = []
        self._rate = 0.0
        self._turn = begin.index  # of the rooms
        self._live = 0
        self._second = 0
        self._cpu_s = own().cpu_s
        self._first = frames.BINARY if spec.encoding == "msgpack" else frames.TEXT
        self._rooms_of = chooser(
            spec.rooms, spec.rooms_each, skewed=spec.behaviour.skewed, seed=spec.seed
        )
        self._names = [room_name(spec, number) for number in range(spec.rooms)]

    # --- what the clients need (see `Ground`) --------------------------------------------------

    def token(self, user: str) -> str:
        """A token of a user."""
        if self._issuer is None:
            assert self._token is not None, "there is a world, or a token"
            return self._token
        can = frozenset({Act.SUBSCRIBE, Act.PUBLISH})
        return self._issuer.token(user, [RoomGrant(f"{self._spec.run}:*", can)], TOKEN_S)

    def dial(self, client: Client, url: str, *, resume: bool) -> Line:
        """Begin to connect."""
        whole = urlsplit(gateway_url(url, self._spec.encoding, resume))
        path = f"{whole.path or '/'}?{whole.query}"
        line = Line(client, whole.netloc, path, self._first)
        secure = whole.scheme == "wss"
        port = whole.port or (443 if secure else 80)
        self._tasks.spawn(self._open(client, line, whole.hostname or "", port, secure), "open")
        return line

    async def _open(
        self, client: Client, line: Line, hostname: str, port: int, secure: bool
    ) -> None:
        try:
            await self._loop.create_connection(
                lambda: line, hostname, port, ssl=True if secure else None
            )
        except OSError as error:
            self.tally.counts[f"no connection: {error.strerror or error}"] += 1
            client.ended(line, End())

    def hello(self, d: bytes) -> Hello:
        """What an edge says first."""
        key = bytes(d)
        found = self._hellos.get(key)
        if found is None:
            found = self.coding.hello(d)
            if len(self._hellos) >= HELLOS:
                self._hellos.clear()
            self._hellos[key] = found
        return found

    def after(self, delay_s: float, client: Client) -> None:
        """Call the client's `again` in a while."""
        self._loop.call_later(delay_s, client.again)

    def dice(self) -> float:
        """A random number from 0 to 1."""
        return self._dice.random()

    def is_live(self, client: Client) -> None:
        """A client has become live."""
        if not isinstance(client, Listener):
            return
        self._live += 1
        stay_s = self._spec.behaviour.stay_s
        if stay_s is not None:
            self._loop.call_later(self._dice.expovariate(1 / stay_s), self._go, client)
        if client.slow:
            client.read(False)
            self._loop.call_later(self._dice.uniform(0, SLOW_PAUSE_S), self._sip, client)

    def is_gone(self, client: Client) -> None:
        """A client is not live any more."""
        if isinstance(client, Listener):
            self._live -= 1

    # --- what clients do by themselves ---------------------------------------------------------

    def _go(self, client: Listener) -> None:
        if client.phase is not Phase.LIVE:
            return  # it was lost meanwhile: once it is back, it stays a while again
        cut = self._dice.random() < CUT_SHARE
        client.leave(cut=cut)
        self.tally.counts["went without a word" if cut else "went"] += 1
        self._loop.call_later(self._dice.expovariate(1 / AWAY_S), client.come)

    def _sip(self, client: Listener) -> None:
        """A slow reader reads a little."""
        if client.phase is not Phase.LIVE:
            return
        client.read(True)
        self._loop.call_later(SLOW_READ_S, self._pause, client)

    def _pause(self, client: Listener) -> None:
        if client.phase is Phase.LIVE:
            client.read(False)
            self._loop.call_later(SLOW_PAUSE_S, self._sip, client)

    # --- what runs besides ---------------------------------------------------------------------

    def start(self) -> None:
        """Count, beat hearts, and look how late we are."""
        self._tasks.keep(self._seconds, "seconds")
        self._tasks.keep(self._hearts, "hearts")
        self._tasks.keep(self._lags, "lags")
        self._tasks.keep(self._speak, "speak")

    async def close(self) -> None:
        """End all connections."""
        for client in [*self._listeners.values(), *self._voices]:
            client.leave(cut=False)
        await asyncio.sleep(0.1)  # the last close frames
        await self._tasks.close()

    async def _seconds(self) -> None:
        while True:
            ends_ns = self._zero_ns + (self._second + 1) * 1_000_000_000
            await asyncio.sleep(max(ends_ns - time.monotonic_ns(), 0) / 1e9)
            self._say(self._report())
            self._second += 1

    def _report(self) -> Second:
        counts, times = self.tally.take()
        use = own()
        spent_s, self._cpu_s = use.cpu_s - self._cpu_s, use.cpu_s
        return Second(
            number=self._second,
            index=self._index,
            wanted=len(self._listeners),
            here=self._live,
            waiting=sum(voice.waiting for voice in self._voices),
            counts=counts,
            times=times,
            cpu_s=spent_s,
            rss_bytes=use.rss_bytes,
        )

    async def _lags(self) -> None:
        due_s = time.monotonic()
        while True:
            due_s = max(due_s + LAG_S, time.monotonic())
            await asyncio.sleep(due_s - time.monotonic())
            self.tally.time(LAG).add(int(max(time.monotonic() - due_s, 0) * 1e6))

    async def _hearts(self) -> None:
        """Each client's heart beats once in an interval, and about as many in each second."""
        number = 0
        while True:
            await asyncio.sleep(1.0)
            number += 1
            for at, client in enumerate([*self._listeners.values(), *self._voices]):
                every_s = max(client.beat // 1000, 1)
                if (at + number) % every_s == 0:
                    client.heartbeat()

    # --- what the parent orders ----------------------------------------------------------------

    async def come(self, upto: int) -> None:
        """Those of the first `upto` clients who are not here come."""
        spec = self._spec
        fresh = [n for n in range(self._index, upto, spec.processes) if n not in self._listeners]
        if not fresh:
            return
        dice = random.Random(f"{spec.seed}/arrivals")  # noqa: S311 (the same in each process)
        # All processes know when everybody comes; each brings its own.
        begins = fresh[0]
        times = arrivals(
            spec.behaviour.arrive, upto - begins, spec.connect_per_s, spec.measured_s, dice
        )
        began_s = time.monotonic()
        for number in fresh:
            due_s = began_s + times[number - begins]
            if (wait_s := due_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            listener = self._listeners[number] = self._listener(number)
            listener.come()

    def _listener(self, number: int) -> Listener:
        spec = self._spec
        turn = number % len(self._urls)
        # Spread over the whole swarm, and not over those whom one edge has.
        share = (number * 0.618033988749895) % 1.0
        return Listener(
            self,
            user_name(spec, number),
            self._urls[turn:] + self._urls[:turn],
            [self._names[room] for room in self._rooms_of(number)],
            ears=share >= 1 - spec.ears,
            slow=share < spec.behaviour.slow,
        )

    def speak(self, rate: float) -> None:
        """Publish so many events a second from now on."""
        spec = self._spec
        self._rate = rate
        padding = "x" * max(spec.size - DATA_BYTES, 0)
        while rate > 0 and len(self._voices) < voices_for(rate):
            number = len(self._voices)
            turn = (number * spec.processes + self._index) % len(self._urls)
            voice = Voice(
                self,
                voice_name(spec, self._index, number),
                self._urls[turn:] + self._urls[:turn],
                f"{self._index}.{number}",
                padding,
            )
            self._voices.append(voice)
            voice.come()

    async def _speak(self) -> None:
        due_s = time.monotonic()
        while True:
            await asyncio.sleep(TURN_S)
            now_s = time.monotonic()
            if self._rate <= 0 or not self._voices:
                due_s = now_s
                continue
            # Nothing that was due is left out: a stall of ours, too, shows in the times.
            while due_s <= now_s:
                self._say_something(due_s)
                due_s += self._dice.expovariate(self._rate)

    def _say_something(self, due_s: float) -> None:
        room = self._turn % len(self._names)
        # A room has one voice of each process, unless there are fewer rooms than voices.
        number = room if len(self._names) >= len(self._voices) else self._turn
        voice = self._voices[number % len(self._voices)]
        self._turn += 1
        voice.publish(self._names[room], int(due_s * 1e9))

    async def hush(self, timeout_s: float) -> Hushed:
        """Publish no more, and wait for the answers."""
        self._rate = 0.0
        await self._until(lambda: not any(voice.waiting for voice in self._voices), timeout_s)
        return Hushed(
            {voice.name: voice.spoken for voice in self._voices},
            sum(voice.waiting for voice in self._voices),
        )

    async def settle(self, spoken: Spoken, timeout_s: float) -> Settled:
        """Wait until the clients have all that was said."""

        def short() -> int:
            return sum(one.short_of(spoken) for one in self._listeners.values())

        await self._until(lambda: short() == 0, timeout_s)
        return Settled(short())

    async def _until(self, met: Callable[[], bool], timeout_s: float) -> None:
        ends_s = time.monotonic() + timeout_s
        while not met() and time.monotonic() < ends_s:  # noqa: ASYNC110 (of thousands of clients)
            await asyncio.sleep(LOOK_S)


async def _orders() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return reader


def _say(word: Word) -> None:
    sys.stdout.buffer.write(encode(word) + b"\n")
    sys.stdout.buffer.flush()


async def serve() -> None:
    """Do as told, until told to stop or nobody is there to tell.

    Raises:
        RelayError: the world that it is to go to is not there.
    """
    reader = await _orders()
    first = decode_order(await reader.readline())
    assert isinstance(first, Begin), first
    crowd = Crowd(first, _say)
    crowd.start()
    tasks = Tasks("swarm.orders")
    try:
        while line := await reader.readline():
            order = decode_order(line)
            if isinstance(order, Stop):
                break
            _do(crowd, order, tasks)
    finally:
        await tasks.close()
        await crowd.close()


def _do(crowd: Crowd, order: Order, tasks: Tasks) -> None:
    match order:
        case Come():
            tasks.spawn(crowd.come(order.upto), "come")
        case Speak():
            crowd.speak(order.rate)
        case Hush():
            tasks.spawn(_answer(crowd.hush(order.timeout_s)), "hush")
        case Settle():
            tasks.spawn(_answer(crowd.settle(order.spoken, order.timeout_s)), "settle")


async def _answer(word: Coroutine[Any, Any, Word]) -> None:
    _say(await word)


def main() -> int:
    """The process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # What a swarm makes lives as long as it does, and makes no cycles while it runs.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())
    except KeyboardInterrupt:
        return 130
    except RelayError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # nobody is there to hear it
        sys.exit(main())

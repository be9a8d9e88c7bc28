"""The process that carries the links: TCP relays, or the forwarder of network namespaces.

It is told the state of all directions at once, over a unix socket, by one supervisor. When that
connection ends, everything is as without faults: a killed supervisor leaves no cut behind.
"""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Protocol

import msgspec

from regions.control import listen_unix
from regions.faults.flow import Flow, Pair
from regions.faults.forwarder import Forwarder
from regions.faults.packets import Packets
from regions.faults.relay import Lane, Relay


class RelayPlace(msgspec.Struct, frozen=True):
    """One relay: where it listens, and where it leads."""

    source: str  # the region that dials
    target: str
    port: int  # on 127.0.0.1
    host_there: str
    port_there: int


class Space(msgspec.Struct, frozen=True):
    """The forwarder's device, and the region behind each address."""

    device: str
    addresses: dict[str, str]


class Directed(msgspec.Struct, frozen=True):
    """One direction and its state."""

    source: str
    target: str
    flow: Flow


class WanConfig(msgspec.Struct, frozen=True):
    """What the process is told; either relays or a space."""

    socket: str
    base: list[Directed]  # without faults
    relays: list[RelayPlace] = []
    space: Space | None = None


class Shape(msgspec.Struct, frozen=True):
    """One line to it: the state of every direction."""

    flows: list[Directed]


class Shaped(msgspec.Struct, frozen=True):
    """One line back: it is so since `at_s` of the machine's monotonic clock."""

    at_s: float


class Carrier(Protocol):
    """What carries."""

    def set(self, flows: Mapping[Pair, Flow]) -> None:
        """Do this from now on."""

    async def start(self) -> None:
        """Begin to carry."""

    async def close(self) -> None:
        """End it."""


class Relays:
    """Carries by TCP relays."""

    def __init__(self, places: list[RelayPlace]) -> None:
        self._lanes: dict[Pair, Lane] = {}
        self._relays = [
            Relay(
                "127.0.0.1",
                place.port,
                (place.host_there, place.port_there),
                self._lane(place.source, place.target),
                self._lane(place.target, place.source),
            )
            for place in places
        ]

    def _lane(self, source: str, target: str) -> Lane:
        return self._lanes.setdefault((source, target), Lane())

    def set(self, flows: Mapping[Pair, Flow]) -> None:
        """Do this from now on."""
        for pair, lane in self._lanes.items():
            lane.set(flows[pair])
        for relay in self._relays:
            relay.changed()

    async def start(self) -> None:
        """Listen."""
        for relay in self._relays:
            await relay.start()

    async def close(self) -> None:
        """Drop everything."""
        for relay in self._relays:
            await relay.close()


class Tunnel:
    """Carries by a TUN device."""

    def __init__(self, space: Space) -> None:
        addresses = {name: IPv4Address(text) for name, text in space.addresses.items()}
        self._packets = Packets(addresses, Random())  # noqa: S311 - losses are no secret
        self._forwarder = Forwarder(space.device, self._packets)

    def set(self, flows: Mapping[Pair, Flow]) -> None:
        """Do this from now on."""
        for pair, flow in flows.items():
            self._packets.set(pair, flow)

    async def start(self) -> None:
        """Take the device."""
        self._forwarder.start()

    async def close(self) -> None:
        """Give it back."""
        self._forwarder.close()


class Wan:
    """The process."""

    def __init__(self, config: WanConfig) -> None:
        self._config = config
        self._base = _flows(config.base)
        self._carrier: Carrier = (
            Relays(config.relays) if config.space is None else Tunnel(config.space)
        )
        self._teller: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """Carry until SIGTERM or SIGINT."""
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        self._carrier.set(self._base)
        await self._carrier.start()
        server = await listen_unix(Path(self._config.socket), self._serve)
        await ended.wait()
        server.close()
        await self._carrier.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._teller is not None:
            self._teller.close()  # a supervisor that connects anew counts
        self._teller = writer
        try:
            with suppress(ConnectionError, ValueError, msgspec.DecodeError):
                while line := await reader.readline():
                    self._carrier.set(_flows(msgspec.json.decode(line, type=Shape).flows))
                    writer.write(msgspec.json.encode(Shaped(time.monotonic())) + b"\n")
                    await writer.drain()
        finally:
            if self._teller is writer:
                self._teller = None
                self._carrier.set(self._base)
            writer.close()


def _flows(directed: list[Directed]) -> dict[Pair, Flow]:
    return {(one.source, one.target): one.flow for one in directed}


def run_wan(path: Path) -> int:
    """Run the process that the file at `path` describes; its exit code."""
    config = msgspec.json.decode(path.read_bytes(), type=WanConfig)
    try:
        asyncio.run(Wan(config).run())
    except OSError as error:
        # The supervisor reads this line, and takes other ports where one is taken.
        text = "address already in use" if error.errno == 98 else os.strerror(error.errno or 0)
        print(f"jetrelay wan: {text}: {error}", flush=True)  # noqa: T201
        return 1
    return 0

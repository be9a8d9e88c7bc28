"""A network namespace for each region, joined by a router whose WAN is a TUN device.

    this namespace ---- router ---- one namespace for each region
                          |
                         TUN: the forwarder's, through which regions reach each other

What a region sends to another one the router's rules lead into the TUN device, and what comes out
of it goes on to its region. Without a forwarder nothing gets through. Needs Linux, root and `ip`
(iproute2). The addresses are a block of 198.18.0.0/15 (RFC 2544: networks for tests) that nobody
here has; names carry the supervisor's pid.
"""

import os
import re
import shutil
import subprocess
import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path

import msgspec

from regions.errors import WorldError

DEVICE = "wan0"
_PREFIX = "jetrelay"
_ALL = IPv4Network("198.18.0.0/15")
_BLOCK_BITS = 23  # 32 networks of 16 addresses: the router's, and up to 16 regions
_NETWORK_BITS = 28
_BLOCKS = 1 << (_BLOCK_BITS - _ALL.prefixlen)
_TABLE = "100"
_OURS = re.compile(_PREFIX + r"([0-9]+)-")


class _Route(msgspec.Struct):
    dst: str


class Spaces:
    """The namespaces of one world. Its methods block."""

    def __init__(self, regions: Sequence[str], state: Path) -> None:
        """Not made yet. `state` chooses the block: a world has its addresses again if it can."""
        self.regions = tuple(regions)
        self._state = state
        self._tag = f"{_PREFIX}{os.getpid()}"
        self._wire = f"jetr{os.getpid()}w"  # an interface's name has 15 characters at most
        self._networks: list[IPv4Network] = []
        self._lock = threading.Lock()
        self.router = f"{self._tag}-router"

    def make(self) -> None:
        """Make them; what a world left that was killed is removed first.

        Raises:
            WorldError: namespaces can't be made here; the text says why.
        """
        with self._lock:
            if why := why_not():
                raise WorldError(why)
            sweep()
            try:
                self._make_router()
                for region in self.regions:
                    self._make_region(region)
            except BaseException:
                self._remove()
                raise

    def close(self) -> None:
        """Remove them; their interfaces, and the route to them, go with them."""
        with self._lock:  # a start that was cancelled may still be making them
            self._remove()

    def _remove(self) -> None:
        there = _namespaces()
        for name in (*(self.name(region) for region in self.regions), self.router):
            if name in there:
                _ip("netns", "del", name)
        _remove_wire(self._wire)

    def name(self, region: str) -> str:
        """The namespace of `region`."""
        return f"{self._tag}-{region}"

    def address(self, region: str) -> IPv4Address:
        """The address of `region`."""
        return self._network(region)[1]

    def places(self) -> dict[str, tuple[str, str]]:
        """Region -> (namespace, address)."""
        return {region: (self.name(region), str(self.address(region))) for region in self.regions}

    def _network(self, region: str) -> IPv4Network:
        return self._networks[1 + self.regions.index(region)]

    def _make_router(self) -> None:
        router = self.router
        _ip("netns", "add", router)
        _ip("-n", router, "link", "set", "lo", "up")
        # What comes back out of the TUN device has a source that belongs elsewhere.
        for key in ("ip_forward=1", "conf.all.rp_filter=0", "conf.default.rp_filter=0"):
            name, _, value = key.partition("=")
            path = f"/proc/sys/net/ipv4/{name.replace('.', '/')}"
            _run("ip", "netns", "exec", router, "sh", "-c", f"echo {value} > {path}")
        _ip("-n", router, "tuntap", "add", "dev", DEVICE, "mode", "tun")
        _ip("-n", router, "link", "set", DEVICE, "up", "txqueuelen", "10000")
        _ip("-n", router, "route", "add", "default", "dev", DEVICE, "table", _TABLE)
        _ip("-n", router, "route", "add", "blackhole", "default", "metric", "9", "table", _TABLE)
        _ip("link", "add", self._wire, "type", "veth", "peer", "name", "up0", "netns", router)
        _ip("link", "set", self._wire, "up")
        _ip("-n", router, "link", "set", "up0", "up")
        block = self._take_block()
        self._networks = list(block.subnets(new_prefix=_NETWORK_BITS))
        gateway, here = self._networks[0][1], self._networks[0][2]
        _ip("-n", router, "addr", "add", f"{gateway}/{_NETWORK_BITS}", "dev", "up0")
        _ip("addr", "add", f"{here}/{_NETWORK_BITS}", "dev", self._wire)
        _ip("route", "replace", str(block), "via", str(gateway), "dev", self._wire)

    def _take_block(self) -> IPv4Network:
        """A free block of addresses: whoever adds the route to it has it."""
        blocks = list(_ALL.subnets(new_prefix=_BLOCK_BITS))
        first = zlib.crc32(os.fsencode(self._state)) % _BLOCKS
        for block in blocks[first:] + blocks[:first]:
            if any(block.overlaps(taken) for taken in _routed()):
                continue
            with suppress(WorldError):
                _ip("route", "add", str(block), "dev", self._wire)
                return block
        raise WorldError(f"all {_BLOCKS} blocks of {_ALL} are in use here")

    def _make_region(self, region: str) -> None:
        name, network = self.name(region), self._network(region)
        number = self.regions.index(region) + 1
        router, down = self.router, f"down{number}"
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")
        _ip(
            "-n", router, "link", "add", down, "type", "veth", "peer", "name", "eth0", "netns", name
        )
        gateway = network[14]
        _ip("-n", router, "addr", "add", f"{gateway}/{_NETWORK_BITS}", "dev", down)
        _ip("-n", router, "link", "set", down, "up")
        _ip("-n", name, "addr", "add", f"{network[1]}/{_NETWORK_BITS}", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "route", "add", "default", "via", str(gateway))
        for other in self.regions:
            if other != region:
                _ip(
                    "-n", router, "rule", "add", "iif", down, "to", str(self._network(other)),
                    "lookup", _TABLE,
                )  # fmt: skip


def why_not() -> str | None:
    """Why there can be no namespaces here; None when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root: use TCP relays (`jetrelay up --links relay`)"
    if shutil.which("ip") is None:
        return "network namespaces need `ip` (Linux, iproute2): use --links relay"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun: use --links relay"
    trial = f"{_PREFIX}{os.getpid()}-trial"
    try:
        _ip("netns", "add", trial)
        try:
            _ip("-n", trial, "rule", "add", "to", "198.18.0.0/24", "lookup", _TABLE)
            _ip("-n", trial, "tuntap", "add", "dev", DEVICE, "mode", "tun")
            _ip("-n", trial, "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
        finally:
            _ip("netns", "del", trial)
    except WorldError as error:
        return f"root, but network namespaces can't be made: {error}"
    return None


def sweep() -> None:
    """Remove the namespaces of a supervisor that is dead, unless something still runs in them."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return
    by_owner: dict[str, list[str]] = {}
    for name in _namespaces():
        found = _OURS.match(name)
        if found is not None and not Path(f"/proc/{found[1]}").exists():
            by_owner.setdefault(found[1], []).append(name)
    for owner, names in by_owner.items():
        if not any(_ip("netns", "pids", name).strip() for name in names):
            for name in names:
                with suppress(WorldError):  # somebody else sweeps too
                    _ip("netns", "del", name)
            _remove_wire(f"jetr{owner}w")


def _remove_wire(wire: str) -> None:
    if Path(f"/sys/class/net/{wire}").exists():
        with suppress(WorldError):  # it goes with its namespace, if that was first
            _ip("link", "del", wire)


def _routed() -> list[IPv4Network]:
    """The networks to which this namespace has a route of their own."""
    routes = msgspec.json.decode(_ip("-j", "route", "show", "table", "all"), type=list[_Route])
    found: list[IPv4Network] = []
    for route in routes:
        with suppress(ValueError):
            network = ip_network(route.dst)
            if isinstance(network, IPv4Network):
                found.append(network)
    return found


def _namespaces() -> list[str]:
    return [line.split(" ", 1)[0] for line in _ip("netns", "list").splitlines()]


def _ip(*arguments: str) -> str:
    return _run("ip", *arguments)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are our own
            command, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorldError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise WorldError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout

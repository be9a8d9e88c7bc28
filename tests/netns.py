"""Regions in network namespaces of their own, joined by a router that can drop what they send.

    this namespace ---- router ---- one namespace for each region

A cut is a policy-routing rule in the router: packets vanish in silence, as on a cut cable. Needs
root and `ip` (iproute2). Names carry this process's id, the addresses are a block of
198.18.0.0/15 (RFC 2544: networks for tests) that nobody here has: parallel runs do not meet.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_PREFIX = "jetr"
_BLOCKS = 64  # of 8 networks each: the router's, and up to 7 regions
_OURS = re.compile(_PREFIX + r"([0-9]+)-")


class NamespaceError(Exception):
    """Namespaces can't be had here; the text says why."""


class Namespaces:
    """The namespaces of `regions`, as a context manager; nothing is left of them after it."""

    def __init__(self, regions: Sequence[str]) -> None:
        assert len(regions) <= 7
        self.regions = tuple(regions)
        self._tag = f"{_PREFIX}{os.getpid()}"
        self._router = f"{self._tag}-router"
        self._wire = f"{self._tag}w"  # an interface's name has 15 characters at most
        self._network = ""

    def __enter__(self) -> "Namespaces":
        if why := why_not():
            raise NamespaceError(why)
        _sweep()
        try:
            self._make_router()
            for region in self.regions:
                self._make_region(region)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the namespaces; their interfaces, and the route to them, go with them."""
        there = _namespaces()
        for name in (*(self.name(region) for region in self.regions), self._router):
            if name in there:
                _ip("netns", "del", name)
        if Path(f"/sys/class/net/{self._wire}").exists():
            with suppress(NamespaceError):  # it goes with its namespace, if that was first
                _ip("link", "del", self._wire)

    def name(self, region: str) -> str:
        """The namespace of `region`: the topology's `netns`."""
        return f"{self._tag}-{region}"

    def address(self, region: str) -> str:
        """The address of `region`: the topology's `bind`."""
        return self._host(self._number(region), 1)

    def cut(self, one: str, other: str) -> None:
        """Drop every packet between two regions."""
        self._rules("add", one, other)

    def heal(self, one: str, other: str) -> None:
        """Join two regions again."""
        self._rules("del", one, other)

    def _rules(self, action: str, one: str, other: str) -> None:
        a, b = (self._subnet(self._number(region)) for region in (one, other))
        for source, target in ((a, b), (b, a)):
            _ip("-n", self._router, "rule", action, "from", source, "to", target, "blackhole")

    def _make_router(self) -> None:
        _ip("netns", "add", self._router)
        _ip("-n", self._router, "link", "set", "lo", "up")
        forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
        _run("ip", "netns", "exec", self._router, "sh", "-c", forward)
        _ip("link", "add", self._wire, "type", "veth", "peer", "name", "up0", "netns", self._router)
        _ip("link", "set", self._wire, "up")
        _ip("-n", self._router, "link", "set", "up0", "up")
        self._network = self._take_block()
        gateway = self._host(0, 1)
        _ip("-n", self._router, "addr", "add", f"{gateway}/24", "dev", "up0")
        _ip("addr", "add", f"{self._host(0, 2)}/24", "dev", self._wire)
        _ip("route", "replace", self._network, "via", gateway, "dev", self._wire)

    def _take_block(self) -> str:
        """A free block of addresses: whoever adds the route to it has it."""
        for attempt in range(_BLOCKS):
            block = (os.getpid() + attempt) % _BLOCKS
            network = f"198.{18 + block // 32}.{block % 32 * 8}.0/21"
            if _ip("-o", "route", "show", "to", "root", network):
                continue
            try:
                _ip("route", "add", network, "dev", self._wire)
            except NamespaceError:
                continue
            return network
        raise NamespaceError(f"all {_BLOCKS} blocks of 198.18.0.0/15 are in use here")

    def _make_region(self, region: str) -> None:
        name, number = self.name(region), self._number(region)
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")
        _ip(
            "-n", self._router, "link", "add", f"down{number}",
            "type", "veth", "peer", "name", "eth0", "netns", name,
        )  # fmt: skip
        gateway = self._host(number, 254)
        _ip("-n", self._router, "addr", "add", f"{gateway}/24", "dev", f"down{number}")
        _ip("-n", self._router, "link", "set", f"down{number}", "up")
        _ip("-n", name, "addr", "add", f"{self.address(region)}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "route", "add", "default", "via", gateway)

    def _number(self, region: str) -> int:
        return self.regions.index(region) + 1

    def _host(self, number: int, host: int) -> str:
        a, b, c, _ = self._network.split(".")
        return f"{a}.{b}.{int(c) + number}.{host}"

    def _subnet(self, number: int) -> str:
        return f"{self._host(number, 0)}/24"


def why_not() -> str | None:
    """Why there can be no namespaces here; None when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need `ip` (iproute2)"
    trial = f"{_PREFIX}{os.getpid()}-trial"
    try:
        _ip("netns", "add", trial)
        try:
            rule = ("rule", "add", "from", "198.18.0.0/24", "to", "198.19.0.0/24", "blackhole")
            _ip("-n", trial, *rule)
            veth = ("type", "veth", "peer", "name", "veth1")
            _ip("-n", trial, "link", "add", "name", "veth0", *veth)
        finally:
            _ip("netns", "del", trial)
    except NamespaceError as error:
        return f"root, but network namespaces can't be made: {error}"
    return None


def _sweep() -> None:
    """Remove what a run left that was killed."""
    for name in _namespaces():
        found = _OURS.match(name)
        if found is not None and not Path(f"/proc/{found[1]}").exists():
            _ip("netns", "del", name)


def _namespaces() -> list[str]:
    return [line.split(" ", 1)[0] for line in _ip("netns", "list").splitlines()]


def _ip(*arguments: str) -> str:
    return _run("ip", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise NamespaceError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout

"""Decides of each IPv4 packet between regions when it arrives. Pure: bytes and a clock in."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from random import Random

from regions.faults.flow import Flow, Pair
from regions.faults.shaper import Shaper

_ADDRESSES = slice(12, 20)  # source and destination in an IPv4 header (RFC 791)


class Packets:
    """The directions between regions, each known by the addresses at its ends."""

    def __init__(self, addresses: Mapping[str, IPv4Address], dice: Random) -> None:
        self.shapers: dict[Pair, Shaper] = {}
        self._by_ends: dict[bytes, Shaper] = {}
        for source, here in addresses.items():
            for target, there in addresses.items():
                if source != target:
                    shaper = Shaper(dice)
                    self.shapers[source, target] = shaper
                    self._by_ends[here.packed + there.packed] = shaper

    def set(self, pair: Pair, flow: Flow) -> None:
        """Do this in one direction from now on, also with what is under way."""
        self.shapers[pair].flow = flow

    def arrival_s(self, packet: bytes, now_s: float) -> float | None:
        """When the packet arrives; None: never. What is not between two regions never does."""
        shaper = self._by_ends.get(packet[_ADDRESSES])
        if shaper is None or shaper.flow.cut:
            return None
        return shaper.arrival_s(len(packet), now_s, drops=True)

    def arrives(self, packet: bytes) -> bool:
        """Whether it gets through at the moment at which it would arrive."""
        return not self._by_ends[packet[_ADDRESSES]].flow.cut

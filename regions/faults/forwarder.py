"""Carries the packets between regions' network namespaces, late and with losses: a WAN.

The router's namespace sends what goes from one region to another into a TUN device; what is written
back to it goes on to its region. So one process sees every packet, and without that process none
gets through.
"""

import asyncio
import fcntl
import os
import struct
import time
from heapq import heappop, heappush
from itertools import count

from regions.faults.packets import Packets

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_PACKET_BYTES = 65_535
_BURST = 64  # packets read before others get their turn
_UNDER_WAY = 100_000  # packets; more are dropped


class Forwarder:
    """Reads packets from a TUN device and writes each back when it arrives."""

    def __init__(self, device: str, packets: Packets) -> None:
        """Carry for `device`, which exists in this process's network namespace."""
        self._device = device
        self._packets = packets
        self._file = -1
        self._under_way: list[tuple[float, int, bytes]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take the device.

        Raises:
            OSError: there is none, or somebody has it.
        """
        self._file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack("16sH", self._device.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(self._file, _TUNSETIFF, request)
        asyncio.get_running_loop().add_reader(self._file, self._read)

    def close(self) -> None:
        """Give it back."""
        asyncio.get_running_loop().remove_reader(self._file)
        if self._timer is not None:
            self._timer.cancel()
        os.close(self._file)

    def _read(self) -> None:
        for _ in range(_BURST):
            try:
                packet = os.read(self._file, _PACKET_BYTES)
            except BlockingIOError:
                break
            now_s = time.monotonic()
            arrival_s = self._packets.arrival_s(packet, now_s)
            if arrival_s is None:
                continue
            if arrival_s <= now_s and not self._under_way:
                self._write(packet)
            elif len(self._under_way) < _UNDER_WAY:
                heappush(self._under_way, (arrival_s, next(self._numbers), packet))
        self._arm()

    def _arm(self) -> None:
        if self._timer is None and self._under_way:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._under_way[0][0], self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        now_s = time.monotonic() + 0.0002
        while self._under_way and self._under_way[0][0] <= now_s:
            self._write(heappop(self._under_way)[2])
        self._arm()

    def _write(self, packet: bytes) -> None:
        if not self._packets.arrives(packet):
            return
        try:
            os.write(self._file, packet)
        except OSError:
            return  # the device is full, or no such region: lost, as on any network

"""The sockets of the name server: UDP in batches, TCP with bounds, and a limit on answers."""

import asyncio
import errno
import logging
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any

from regions.dns.answers import Answers
from regions.dns.query import HEADER, QR, TC, Address, Bad, Query, Rcode, read
from regions.errors import TopologyError
from relay.core.limits import Shares
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.dns")

Ancillary = tuple[tuple[int, int, bytes], ...]

BATCH = 64  # datagrams that are read before anything else runs
MOST_DATAGRAM = 4_096  # bytes; a longer one is none of ours
CONTROL_BYTES = 128  # of what comes beside a datagram
IP_PKTINFO = 8  # of Linux; the module `socket` of Python 3.11 does not name it
_LENGTH = struct.Struct("!H")
_INFO4 = struct.Struct("=i4s4s")  # in_pktinfo: interface, the local address, that of the header
PORT_TRIES = 20
BUFFER_BYTES = 4 * 1024 * 1024  # of the UDP socket, each way


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one client may do."""

    answers_per_s: float = 1_000.0  # over UDP, to one /24 or /56
    networks: int = 100_000  # whose answers are counted
    slip: int = 2  # one in so many that are too many is answered, truncated: come by TCP
    connections: int = 500  # over TCP, at once
    connections_each: int = 50  # of them from one /24 or /56
    idle_s: float = 10.0  # of such a connection
    life_s: float = 60.0  # of one, however busy
    queries: int = 1_000  # over one


class DnsServer:
    """A name server on one address, UDP and TCP.

    Args:
        answers: answers a query.
        bounds: what one client may do.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        answers: Answers,
        bounds: Bounds = Bounds(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.answers = answers
        self._bounds = bounds
        self._clock = clock
        self._shares = Shares(bounds.answers_per_s, bounds.networks)
        self._tasks = Tasks("dns")
        self._udp: socket.socket | None = None
        self._where: _Whither | None = None  # where it listens at every address
        self._tcp: asyncio.Server | None = None
        self._connections = Counter[str]()  # over TCP, by network
        self._over = 0
        self.queries: Counter[tuple[str, int]] = Counter()  # transport, type
        self.answered: Counter[str] = Counter()  # by code
        self.dropped: Counter[str] = Counter()  # why

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; port 0: any that is free for both. Returns where.

        Raises:
            TopologyError: the address can't be had.
        """
        try:
            family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
        except ValueError as error:
            raise TopologyError(f"dns: {host!r} is no address") from error
        tcp, udp = _both(family, host, port)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            udp.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        self._udp = udp
        if ip_address(host).is_unspecified:
            self._where = _Whither(udp, family)
        asyncio.get_running_loop().add_reader(udp, self._readable)
        self._tcp = await asyncio.start_server(self._serve, sock=tcp)
        return host, int(tcp.getsockname()[1])

    def take(self, answers: Answers, bounds: Bounds) -> None:
        """Go on with others, from the next query on."""
        self.answers = answers
        if bounds != self._bounds:
            self._bounds = bounds
            self._shares = Shares(bounds.answers_per_s, bounds.networks)

    async def close(self) -> None:
        """Answer no more."""
        if self._udp is not None:
            asyncio.get_running_loop().remove_reader(self._udp)
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        await self._tasks.close()

    # --- UDP -----------------------------------------------------------------------------------

    def _readable(self) -> None:
        assert self._udp is not None
        for _ in range(BATCH):
            try:
                data, source, whither = self._receive(self._udp)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # of an answer before, that did not arrive
                _log.debug("udp: %s", error)
                continue
            answer = self._answer_datagram(data, source)
            if answer is None:
                continue
            try:
                if whither:
                    self._udp.sendmsg([answer], whither, 0, source)
                else:
                    self._udp.sendto(answer, source)
            except OSError:
                self.dropped["not sent"] += 1

    def _receive(self, udp: socket.socket) -> tuple[bytes, Any, Ancillary]:
        """A datagram, whom it is from, and what makes the answer leave from where it came to."""
        if self._where is None:
            return *udp.recvfrom(MOST_DATAGRAM + 1), ()
        data, control, _, source = udp.recvmsg(MOST_DATAGRAM + 1, CONTROL_BYTES)
        return data, source, self._where.back(control)

    def _answer_datagram(self, data: bytes, source: tuple[str, int]) -> bytes | None:
        if len(data) > MOST_DATAGRAM or source[1] == 0:
            self.dropped["no query"] += 1
            return None
        address = _address(source[0])
        if self._shares.take(_net(address), self._clock()) > 0:
            self.dropped["too many"] += 1
            self._over += 1
            return self._slip(data) if self._over % self._bounds.slip == 0 else None
        return self._answer(data, address, tcp=False)

    def _slip(self, data: bytes) -> bytes | None:
        """A short answer that makes a true client come by TCP; no longer than what was asked."""
        query = read(data)
        if not isinstance(query, Query):
            return None
        header = HEADER.pack(query.id, QR | TC, 1, 0, 0, 0)
        return header + query.question

    def _answer(self, data: bytes, source: Address, *, tcp: bool) -> bytes | None:
        query = read(data)
        if query is None:
            self.dropped["no query"] += 1
            return None
        qtype = query.qtype if isinstance(query, Query) else 0
        self.queries["tcp" if tcp else "udp", qtype if qtype < 300 else 0] += 1
        try:
            answer = self.answers.answer(query, source, tcp=tcp)
            # An extended code has only its low bits there.
            code = query.rcode if isinstance(query, Bad) else Rcode(answer[3] & 0xF)
        except Exception:
            _log.exception("a query could not be answered")
            code = Rcode.SERVFAIL
            answer = HEADER.pack(query.id, QR | code, bool(query.question), 0, 0, 0)
            answer += query.question
        self.answered[code.name] += 1
        return answer

    # --- TCP -----------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername") or ("::",)  # it is gone already
        source = _address(peer[0])
        net, held = _net(source), self._connections
        if held.total() >= self._bounds.connections or held[net] >= self._bounds.connections_each:
            self.dropped["connection"] += 1
            writer.transport.abort()
            return
        held[net] += 1
        try:
            async with asyncio.timeout(self._bounds.life_s):
                await self._talk(reader, writer, source)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.transport.abort()  # who reads nothing would be waited for without end
        finally:
            writer.close()
            try:
                async with asyncio.timeout(self._bounds.idle_s):
                    await writer.wait_closed()
            except (OSError, TimeoutError):
                writer.transport.abort()  # who does not read what is left is not waited for
            held[net] -= 1
            if not held[net]:
                del held[net]

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: Address
    ) -> None:
        for _ in range(self._bounds.queries):
            async with asyncio.timeout(self._bounds.idle_s):
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                data = await reader.readexactly(length)
                answer = self._answer(data, source, tcp=True)
                if answer is None:
                    return
                writer.write(_LENGTH.pack(len(answer)) + answer)
                await writer.drain()
                await asyncio.sleep(0)  # one client's many queries are not all that there is


class _Whither:
    """To which of the machine's addresses a datagram came: an answer has to leave from there.

    The sockets API of RFC 3542, section 6, and ip(7).

    Args:
        udp: a socket that is bound to every address.
        family: its.
    """

    def __init__(self, udp: socket.socket, family: int) -> None:
        if family == socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)

    def back(self, control: Sequence[tuple[int, int, bytes]]) -> Ancillary:
        """What is sent with the answer to a datagram that came with this."""
        for level, kind, data in control:
            if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO) and len(data) >= _INFO4.size:
                _, local, _ = _INFO4.unpack_from(data)
                return ((level, kind, _INFO4.pack(0, local, bytes(4))),)
            if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
                return ((level, kind, data),)
        return ()


def _both(family: int, host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Sockets for TCP and UDP on the same port."""
    for left in reversed(range(PORT_TRIES if port == 0 else 1)):
        tcp: socket.socket | None = None
        try:
            tcp = _bound(family, socket.SOCK_STREAM, host, port)
            return tcp, _bound(family, socket.SOCK_DGRAM, host, tcp.getsockname()[1])
        except OSError as error:
            if tcp is not None:
                tcp.close()
            if left and error.errno == errno.EADDRINUSE:
                continue
            raise TopologyError(f"dns: {host}:{port}: {error.strerror}") from error
    raise AssertionError("unreachable")


def _bound(family: int, kind: int, host: str, port: int) -> socket.socket:
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def _address(text: str) -> Address:
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _net(address: Address) -> str:
    """Whose answers are counted together: a /24, or a /56 of IPv6."""
    packed = address.packed
    return packed[: 3 if len(packed) == 4 else 7].hex()

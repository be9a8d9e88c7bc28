"""What the kernel knows of a TCP connection: asked for when somebody wants it, kept nowhere."""

import socket
import struct
import sys
from typing import Any, NamedTuple

_SIZE = 256
_TIMES = struct.Struct("=I")  # tcpi_rtt, µs (linux/tcp.h: struct tcp_info)
_RTT, _RESENT, _ACKED = 68, 100, 120  # offsets
_BYTES = struct.Struct("=QQ")  # tcpi_bytes_acked, tcpi_bytes_received
_LEAST = _ACKED + _BYTES.size  # Linux 4.1


class TcpInfo(NamedTuple):
    """One connection."""

    rtt_ms: float  # smoothed
    out_bytes: int  # that the other end has acknowledged
    in_bytes: int
    resent: int  # segments


def tcp_info(sock: Any) -> TcpInfo | None:
    """What the kernel says of a socket; None where it says nothing: not Linux, not TCP, or closed.

    Args:
        sock: a socket, or what a transport gives as its own.
    """
    if sock is None or not sys.platform.startswith("linux"):
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except (OSError, ValueError):
        return None
    if len(raw) < _LEAST:
        return None
    (rtt_us,), (resent,) = _TIMES.unpack_from(raw, _RTT), _TIMES.unpack_from(raw, _RESENT)
    acked, received = _BYTES.unpack_from(raw, _ACKED)
    return TcpInfo(rtt_us / 1000, acked, received, resent)

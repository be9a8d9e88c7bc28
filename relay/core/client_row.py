"""A client as operators see it in a list, and the figures by which they ask for it."""

from typing import Protocol

import msgspec

from relay.core.query import Field


class ClientRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One open connection. What is not known is empty, or None."""

    session: str = ""  # its handle; empty before it has identified
    tenant: str = ""
    user: str = ""
    region: str
    edge: str
    phase: str  # new | entering | replaying | live | closing
    age_ms: int  # since the connection opened
    rooms: int = 0
    queue_bytes: int = 0  # wait to be sent in the edge's own buffer
    resumed: bool = False  # it came back by RESUME; else it identified here
    transport: str = ""
    encoding: str = ""
    country: str = ""
    device: str = ""  # as the client said when it identified; a RESUME does not say it
    agent: str = ""  # its User-Agent
    address: str = ""  # the network that it comes from: /24, or /48 of IPv6
    # What the kernel knows of its TCP connection.
    rtt_ms: float | None = None
    out_bytes: int | None = None  # acknowledged by the other end
    in_bytes: int | None = None
    resent: int | None = None  # segments


class ClientFigures(Protocol):
    """What queries look at: a row, or what one is made from."""

    @property
    def session(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def edge(self) -> str: ...
    @property
    def phase(self) -> str: ...
    @property
    def age_ms(self) -> int: ...
    @property
    def rooms(self) -> int: ...
    @property
    def queue_bytes(self) -> int: ...
    @property
    def resumed(self) -> bool: ...
    @property
    def transport(self) -> str: ...
    @property
    def encoding(self) -> str: ...
    @property
    def country(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def rtt_ms(self) -> float | None: ...
    @property
    def out_bytes(self) -> int | None: ...
    @property
    def in_bytes(self) -> int | None: ...
    @property
    def resent(self) -> int | None: ...


CLIENT_FIELDS: tuple[Field[ClientFigures], ...] = (
    Field("user", "text", lambda client: client.user or None, "who it is"),
    Field("tenant", "text", lambda client: client.tenant or None, "whose"),
    Field("session", "text", lambda client: client.session or None, "its session's handle"),
    Field("region", "text", lambda client: client.region, "where it is"),
    Field("edge", "text", lambda client: client.edge, "its edge"),
    Field(
        "phase", "text", lambda client: client.phase,
        "`new`, `entering`, `replaying`, `live` or `closing`",
    ),
    Field("age", "ms", lambda client: client.age_ms, "since its connection opened"),
    Field("rooms", "number", lambda client: client.rooms, "that it is in"),
    Field("queue", "bytes", lambda client: client.queue_bytes, "wait to be sent"),
    Field("rtt", "ms", lambda client: client.rtt_ms, "of its TCP connection, smoothed"),
    Field("out", "bytes", lambda client: client.out_bytes, "that it has acknowledged, by TCP"),
    Field("in", "bytes", lambda client: client.in_bytes, "that came from it, by TCP"),
    Field("resent", "number", lambda client: client.resent, "TCP segments sent again"),
    Field("resumed", "number", lambda client: float(client.resumed), "1: it came by RESUME; 0"),
    Field("country", "text", lambda client: client.country or None, "of its address"),
    Field("address", "text", lambda client: client.address or None, "its network: /24 or /48"),
    Field("device", "text", lambda client: client.device or None, "as it said to IDENTIFY"),
    Field("agent", "text", lambda client: client.agent or None, "its User-Agent"),
    Field("transport", "text", lambda client: client.transport, "`websocket`"),
    Field("encoding", "text", lambda client: client.encoding, "`json` or `msgpack`"),
)  # fmt: skip

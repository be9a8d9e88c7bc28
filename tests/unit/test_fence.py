"""An edge that was stopped and continued: what it may do before its leases are renewed."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from relay.bus.leases import TTL_S, Leases
from relay.config import Limits
from relay.core.numbering import Numbering
from relay.edge.admission import Door
from relay.edge.geography import Geography
from relay.edge.rhythm import Rhythm
from relay.edge.websocket import GatewayProtocol
from relay.errors import UnavailableError
from tests.unit.session_playbook import Playbook


class _Inbox:
    """A JetStream that stores everything, under growing sequences."""

    def __init__(self) -> None:
        self.stored: list[str] = []

    async def request(self, subject: str, *_: object) -> tuple[dict[str, str], bytes]:
        self.stored.append(subject)
        return {}, msgspec.json.encode({"stream": "S", "seq": len(self.stored)})


async def test_a_lease_stands_until_the_server_may_have_ended_it() -> None:
    leases = Leases(cast("Any", _Inbox()), cast("Any", None), "us", "us-1", 1)
    now_s = asyncio.get_running_loop().time()
    lease = await leases._put("lease.us.slot.0", 0)
    assert lease is not None
    assert lease.stands(now_s + TTL_S - 0.1)
    assert not lease.stands(now_s + TTL_S + 1)
    lease.until_s = now_s
    assert await leases.renew(lease)
    assert lease.stands(now_s + TTL_S - 0.1)


async def test_no_record_goes_into_a_slot_that_may_be_another_edges() -> None:
    inbox = _Inbox()
    leases = Leases(cast("Any", inbox), cast("Any", None), "us", "us-1", 1)
    slot = await leases._put("lease.us.slot.0", 0)
    assert slot is not None
    records: list[float] = []
    edge = SimpleNamespace(
        bus=SimpleNamespace(inbox=inbox),
        config=SimpleNamespace(region="us", edge="us-1"),
        hub=SimpleNamespace(numbering=Numbering(0, 0), positions={}, holes=0, owes=dict.fromkeys),
        holes=SimpleNamespace(elsewhere=["eu"]),
        lifeline=SimpleNamespace(stored=records.append),
        slot=slot,
    )
    rhythm = Rhythm(cast("Any", edge))
    await rhythm._record()
    assert len(records) == 1
    slot.until_s -= TTL_S + 1  # so long the edge stood still
    before = list(inbox.stored)
    with pytest.raises(UnavailableError, match="renewed"):
        await rhythm._record()
    assert (inbox.stored, len(records)) == (before, 1)
    await leases.renew(slot)
    await rhythm._record()
    assert len(records) == 2


class _Transport(asyncio.Transport):
    """What is written to a client."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low

    def resume_reading(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass


async def test_no_ping_is_answered_before_the_fence() -> None:
    said: list[bytes] = []
    transport = _Transport()
    gateway = SimpleNamespace(
        rules=Playbook().session.rules,
        before=lambda: said.append(transport.written),
        membership=lambda _: None,
        opened=lambda _: None,
        gone=lambda _connection, _code: None,
    )
    door = Door(Limits(), None, connections=lambda: 0, admits=lambda _resuming: True)
    kind = GatewayProtocol.bind(cast("Any", gateway), door, Geography())
    protocol = kind(None, SimpleNamespace(connections=set()), None)
    protocol.connection_made(transport)
    client = ClientProtocol(parse_uri("ws://edge/gateway?v=10&encoding=json"))
    client.send_request(client.connect())
    protocol.data_received(b"".join(client.data_to_send()))
    assert b" 101 " in transport.written
    client.receive_data(transport.written)
    transport.written = b""
    said.clear()
    client.send_ping(b"late")
    protocol.data_received(b"".join(client.data_to_send()))
    assert said == [b""]
    assert b"late" in transport.written
    protocol.connection_lost(None)

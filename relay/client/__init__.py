"""The Python client of jetrelay: `connect`, then subscribe, publish, read history and iterate."""

from relay.client.answers import Ack, Last, Page
from relay.client.client import Client, connect
from relay.client.errors import (
    AuthenticationFailed,
    ClientError,
    Closed,
    ConnectFailed,
    NothingGranted,
    NotSent,
    Refused,
    Replaced,
    SessionEnded,
    TimedOut,
    Unknown,
)
from relay.client.events import (
    Connected,
    DataEvent,
    Disconnected,
    Event,
    Gap,
    Lost,
    Message,
    Reconnecting,
    Resumed,
    RoomRefused,
    Signal,
    StateEvent,
)
from relay.client.settings import State
from relay.client.stats import Stats

__all__ = [
    "Ack",
    "AuthenticationFailed",
    "Client",
    "ClientError",
    "Closed",
    "ConnectFailed",
    "Connected",
    "DataEvent",
    "Disconnected",
    "Event",
    "Gap",
    "Last",
    "Lost",
    "Message",
    "NotSent",
    "NothingGranted",
    "Page",
    "Reconnecting",
    "Refused",
    "Replaced",
    "Resumed",
    "RoomRefused",
    "SessionEnded",
    "Signal",
    "State",
    "StateEvent",
    "Stats",
    "TimedOut",
    "Unknown",
    "connect",
]

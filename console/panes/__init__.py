"""The console's screens: one pane each, of which one is shown."""

from collections.abc import Mapping

from console.panes.client import ClientPane
from console.panes.clients import ClientsPane
from console.panes.drills import DrillsPane
from console.panes.edge import EdgePane
from console.panes.edges import EdgesPane
from console.panes.events import EventsPane
from console.panes.fleet import FleetPane
from console.panes.pane import Pane
from console.panes.room import RoomPane
from console.panes.rooms import RoomsPane
from console.panes.steering import SteeringPane
from console.panes.stream import StreamPane
from console.panes.streams import StreamsPane
from console.panes.trace import TracePane

_ALL: tuple[type[Pane], ...] = (
    FleetPane,
    EdgesPane,
    EdgePane,
    StreamsPane,
    StreamPane,
    SteeringPane,
    DrillsPane,
    EventsPane,
    ClientsPane,
    ClientPane,
    TracePane,
    RoomsPane,
    RoomPane,
)

PANES: Mapping[str, type[Pane]] = {pane.NAME: pane for pane in _ALL}

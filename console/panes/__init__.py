"""The console's screens: one pane each, of which one is shown."""

from collections.abc import Mapping

from console.panes.drills import DrillsPane
from console.panes.edge import EdgePane
from console.panes.edges import EdgesPane
from console.panes.events import EventsPane
from console.panes.fleet import FleetPane
from console.panes.pane import Pane
from console.panes.steering import SteeringPane
from console.panes.stream import StreamPane
from console.panes.streams import StreamsPane

_ALL: tuple[type[Pane], ...] = (
    FleetPane,
    EdgesPane,
    EdgePane,
    StreamsPane,
    StreamPane,
    SteeringPane,
    DrillsPane,
    EventsPane,
)

PANES: Mapping[str, type[Pane]] = {pane.NAME: pane for pane in _ALL}

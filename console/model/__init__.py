"""What the console knows, as frozen values: telemetry frames are folded into a `Fleet`, and
`observe` says how that looks at a given time.

Nothing here reads a clock, a socket or a file: times are arguments, in ms of one steady clock.
"""

from console.model.alerts import AlertView
from console.model.books import Books
from console.model.fleet import (
    MAX_EDGES,
    MAX_REGIONS,
    Fleet,
    Link,
    LinkState,
    change_link,
    count_refused,
    expect,
    fold,
    fold_books,
    fold_news,
)
from console.model.lag import LagCell, LagLevel
from console.model.observe import knows_silence, observe
from console.model.series import HISTORY_POINTS, Series
from console.model.timeline import Happening
from console.model.track import EdgeTrack, Rates
from console.model.view import Aged, Ages, EdgeView, FleetView, Freshness, RegionView

__all__ = [
    "HISTORY_POINTS",
    "MAX_EDGES",
    "MAX_REGIONS",
    "Aged",
    "Ages",
    "AlertView",
    "Books",
    "EdgeTrack",
    "EdgeView",
    "Fleet",
    "FleetView",
    "Freshness",
    "Happening",
    "LagCell",
    "LagLevel",
    "Link",
    "LinkState",
    "Rates",
    "RegionView",
    "Series",
    "change_link",
    "count_refused",
    "expect",
    "fold",
    "fold_books",
    "fold_news",
    "knows_silence",
    "observe",
]

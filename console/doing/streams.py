"""`:stream EV_us eu`: one stream in one region."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from console.errors import ConsoleError
from console.look import Subject
from console.model import FleetView
from console.model.streams import StreamRow, stream_rows

if TYPE_CHECKING:
    from console.app import ConsoleApp


class Streams:
    """The handlers."""

    def __init__(self, app: "ConsoleApp") -> None:
        self._app = app

    @property
    def handlers(self) -> Mapping[str, Callable[[str], None]]:
        """By the names of commands."""
        return {"stream": self._stream}

    def _stream(self, text: str) -> None:
        view = self._app.scene.look().view
        words = text.split()
        if not words or len(words) > 2:
            raise ConsoleError("stream STREAM [REGION]: one stream in one region, at home without")
        row = find(view, *words)
        self._app.navigation.go("stream", Subject("stream", row.region, row.stream.name))


def find(view: FleetView, name: str, region: str = "") -> StreamRow:
    """A stream by its name, at home unless a region is said.

    Raises:
        ConsoleError: there is none, or each region has one of its own and none was said.
    """
    found = [row for row in stream_rows(view) if row.stream.name == name]
    if not found:
        raise ConsoleError(f"no stream {name!r} is known")
    if region:
        found = [row for row in found if row.region == region]
        if not found:
            raise ConsoleError(f"{name} is not known in {region!r}")
        return found[0]
    homes = [row for row in found if row.kind == "home"]
    if len(homes) > 1:
        where = ", ".join(row.region for row in homes)
        raise ConsoleError(f"{where} have each a {name}: say :stream {name} REGION")
    return homes[0] if homes else found[0]


def names(view: FleetView) -> list[str]:
    """The names of all streams, each once."""
    return list(dict.fromkeys(row.stream.name for row in stream_rows(view)))

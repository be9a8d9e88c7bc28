"""The frames of a trace, the newest first."""

from collections.abc import Sequence

from console import figures
from console.look import Look
from console.signs import Tone
from console.views.cell import Cell, cell
from console.views.listing import Listing
from console.views.table import Column
from relay.core.codes import Op
from relay.core.masking import TracedFrame
from relay.core.query import Field

COLUMNS = (
    Column("time", 12, field="time"),
    Column("", 8, field="way"),
    Column("what", 15, field="what"),
    Column("event", 14, rank=1, field="event"),
    Column("size", 6, right=True, field="size"),
    Column("s", 16, right=True, rank=4, field="s"),
    Column("room", 16, rank=3, field="room"),
    Column("payload", 8, grows=True),
)
FIELDS: tuple[Field[TracedFrame], ...] = (
    Field("time", "number", lambda frame: frame.at_ms, "Unix ms"),
    Field("way", "text", lambda frame: "to" if frame.sent else "from", "`to` or `from` the client"),
    Field("what", "text", lambda frame: op_name(frame.op), "its opcode, by name"),
    Field("event", "text", lambda frame: frame.t, "of a DISPATCH"),
    Field("room", "text", lambda frame: frame.room, "that it is about"),
    Field("s", "number", lambda frame: frame.s, "its number in the session"),
    Field("size", "bytes", lambda frame: frame.size, "of its payload"),
)


class FrameTable(Listing[TracedFrame]):
    """A row each."""

    def __init__(self) -> None:
        self._look: Look | None = None
        super().__init__("Frames", COLUMNS, FIELDS, self._cells, id, name="frames")

    def show_frames(self, frames: Sequence[TracedFrame], look: Look, note: str) -> None:
        """Draw frames, as they are to be shown."""
        self._look = look
        self.show_items(frames, note)

    def _cells(self, frame: TracedFrame) -> Sequence[Cell]:
        return () if self._look is None else frame_row(frame, self._look)


def frame_row(frame: TracedFrame, look: Look) -> Sequence[Cell]:
    """The cells of one frame. While names are hidden, its payload is."""
    data = "" if frame.d is None else "(hidden)" if look.private else frame.d
    clock = figures.clock(frame.at_ms)
    at = clock if clock == figures.NONE else f"{clock[:-1]}.{frame.at_ms % 1000:03}"
    return (
        cell(at, Tone.MUTED),
        cell("→ client" if frame.sent else "← client", Tone.GOOD if frame.sent else Tone.TREND),
        cell(op_name(frame.op), Tone.STRONG),
        cell(frame.t or ""),
        cell(figures.octets(frame.size)),
        cell("" if frame.s is None else str(frame.s), Tone.MUTED),
        cell(look.name(frame.room or "")),
        cell(data, limit=500),
    )


def op_name(op: int | None) -> str:
    """What an opcode is called."""
    if op is None:
        return "no payload"
    try:
        return Op(op).name
    except ValueError:
        return f"op {op}"

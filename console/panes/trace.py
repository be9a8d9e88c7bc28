"""What passes over one client's connection, both ways, while it is looked at."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content

from console import figures
from console.look import Look, Mode, Subject
from console.panes.asking import AskingPane
from console.signs import Tone
from console.tracing import Tracing
from console.views.cell import Cell, cell, line
from console.views.drawn import Drawn
from console.views.frames import FrameTable
from console.views.standing import NOT_KEPT, without
from relay.core.inquiry import LONGEST_TRACE_S
from relay.core.masking import TracedFrame


class TracePane(AskingPane):
    """How the trace stands, and its frames. It ends when the screen is left."""

    NAME: ClassVar[str] = "trace"
    TITLE: ClassVar[str] = "Trace"

    def __init__(self) -> None:
        super().__init__()
        self._subject: Subject | None = None
        self._tracing: Tracing | None = None
        self._seen: tuple[Tracing | None, int] = (None, 0)  # frames of which, when it was live

    def compose(self) -> ComposeResult:
        """How it stands, and the table."""
        yield Drawn(name="trace-said", classes="said")
        yield FrameTable()

    def about(self, subject: Subject) -> bool:
        """Show one client."""
        if subject.kind != "client":
            return False
        if subject != self._subject:
            self._end("another client is looked at")
            self._tracing = None
        self._subject = subject
        return True

    @property
    def subject(self) -> Subject | None:
        """The client."""
        return self._subject

    def toggle(self) -> None:
        """Begin, or end what runs."""
        tracing, subject = self._tracing, self._subject
        if tracing is not None and tracing.is_running:
            tracing.stop("stopped")
        elif subject is not None:
            clients, backing = self.operated.clients, self.operated.backing
            payloads = clients.may_see
            open_ = backing.control if payloads else backing.asker
            if open_ is not None:
                self._tracing = Tracing(subject.name, payloads=payloads)
                self._tracing.start(open_, self.asking)

    def leave(self) -> None:
        """Nobody looks any more; what was seen is not kept."""
        self._end("left")
        self._tracing = None

    def draw(self, look: Look) -> None:
        """Draw what came."""
        tracing = self._tracing
        if look.mode is Mode.PAST:
            self._end("the past is looked at")
        if tracing is not None and tracing.payloads and not self.operated.clients.may_see:
            tracing.hide()
        lines = self._head(look)
        self.query_one("#trace-said", Drawn).say(Content("\n").join(lines))
        frames = [] if tracing is None else self._held(look, tracing)
        past = look.mode is Mode.PAST
        self.query_one(FrameTable).show_frames([] if past else frames, look, _note(tracing))

    def _held(self, look: Look, tracing: Tracing) -> list[TracedFrame]:
        """Its frames; while the picture is held, those that had come by then."""
        frames = tracing.frames
        if look.mode is not Mode.FROZEN:
            self._seen = (tracing, tracing.count)
        elif self._seen[0] is tracing:
            return frames[tracing.count - self._seen[1] :]
        return frames

    def _end(self, why: str) -> None:
        if self._tracing is not None and self._tracing.is_running:
            self._tracing.stop(why)

    def _head(self, look: Look) -> list[Content]:
        subject, tracing = self._subject, self._tracing
        if look.mode is Mode.PAST:
            return [line(cell(f"▲ {NOT_KEPT}", Tone.WARN, 100)), Content("")]
        if subject is None or tracing is None:
            text = "no trace runs; r begins one" if subject else "no client is chosen; 3 lists them"
            return [line(cell(text, Tone.MUTED)), Content("")]
        who = [
            cell(look.name(tracing.user), Tone.STRONG),
            cell(f" {look.name(subject.name)} at {tracing.edge or subject.where}", Tone.MUTED),
        ]
        if tracing.is_running:
            left_ms = max(0, int(LONGEST_TRACE_S * 1000) - self.asking.now_ms() + tracing.begun_ms)
            state = [
                cell("◉ traced   ", Tone.GOOD) if tracing.began else cell("◌ asking …   "),
                cell(f"ends by itself in {figures.age(left_ms)}; r or esc ends it", Tone.WARN),
            ]
        else:
            why = without(tracing.ended, look, (subject.name, tracing.user))
            state = [
                cell(f"□ ended: {why}   ", Tone.BAD if tracing.failed else Tone.WARN, 160),
                cell("r begins again, esc goes back", Tone.MUTED),
            ]
        return [line(*who), line(*state), line(*self._payloads(look, tracing))]

    def _payloads(self, look: Look, tracing: Tracing) -> list[Cell]:
        if tracing.payloads and look.private:
            return [cell("payloads are hidden: p shows names and payloads", Tone.MUTED)]
        if tracing.payloads:
            return [cell("✎ payloads are shown; the edge logs who looks", Tone.WARN)]
        if self.operated.clients.may_see:
            return [cell("payloads are masked: r, and r again, shows them", Tone.MUTED)]
        if self.operated.backing.control is None:
            return [cell("payloads are masked: this login may not see them", Tone.MUTED)]
        return [cell("payloads are masked: they are shown when armed (W)", Tone.MUTED)]


def _note(tracing: Tracing | None) -> str:
    if tracing is None:
        return ""
    parts = [f"{tracing.count:,} frames"]
    if tracing.skipped:
        parts.append(f"{tracing.skipped:,} passed too fast to be shown")
    if tracing.count > len(tracing.frames):
        parts.append(f"the newest {len(tracing.frames):,} are kept")
    return " · ".join(parts)

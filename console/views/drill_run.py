"""One run of a drill: who and since when, its figures, its stages, and what it was held against."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.widgets import Digits

from console import figures
from console.look import Look
from console.model.drills import DrillView
from console.signs import Tone, drill_sign
from console.views.cell import Cell, cell, line
from console.views.drawn import Drawn, Titled
from console.views.table import Column, RowTable
from regions.news import BoundNews, DrillNews

BIG_FROM = (62, 15)  # columns and lines from which figures are big
COLUMNS = (
    Column("at", 8, right=True),
    Column("stage", 11),
    Column("what", 20, grows=True),
    Column("took", 9, right=True),
)
NOTHING = "no drill was told of in the last day"
STAGE_TONES = {"fault": Tone.BAD, "heal": Tone.GOOD, "note": Tone.WARN}
TEXT = 400


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the figures."""

    label: str
    text: str  # as it is drawn big: digits
    small: str  # with its unit
    unit: str = ""  # of the digits
    bad: bool = False


class BigFigure(Vertical):
    """A label, and digits three lines high."""

    def compose(self) -> ComposeResult:
        """Both."""
        yield Drawn(classes="label")
        yield Digits()

    def show(self, figure: Figure) -> None:
        """Draw it."""
        label = f"{figure.label} {figure.unit}".rstrip()
        self.query_one(Drawn).say(line(cell(label, Tone.MUTED)))
        self.query_one(Digits).update(figure.text)
        self.set_class(figure.bad, "bad")


class StageTable(RowTable):
    """The stages of a run; its end stays in sight until somebody scrolls."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, name="drill-stages")
        self._run = ""
        self._left_y = 0  # where it was left
        self._follows = True

    def show_rows(self, run: str, rows: Sequence[Sequence[Cell]]) -> None:
        """Draw the rows of a run."""
        if run != self._run:
            self._run, self._follows = run, True
        elif self.scroll_offset.y != self._left_y:  # somebody has scrolled
            self._follows = self.scroll_offset.y >= self.max_scroll_y
            self._left_y = self.scroll_offset.y
        self.show(len(rows), lambda at: rows[at])
        if self._follows:
            self.call_after_refresh(self._to_end)

    def _to_end(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)
        self._left_y = self.scroll_offset.y


class RunBox(Container, Titled):
    """The run that is looked at."""

    def __init__(self) -> None:
        super().__init__(id="drill-run")

    def compose(self) -> ComposeResult:
        """Head, figures big or small, stages."""
        yield Drawn(name="drill-head")
        with Horizontal(id="drill-figures"):
            for _ in range(5):
                yield BigFigure()
        yield Drawn(name="drill-small")
        yield StageTable()

    def show(self, look: Look, drill: DrillView | None, note: str) -> None:
        """Draw a run; `note` stands at its foot."""
        foot = line(cell(note, Tone.MUTED, 100))
        stages = self.query_one(StageTable)
        for part in ("#drill-figures", "#drill-small", "#drill-stages"):
            self.query_one(part).display = drill is not None
        head = self.query_one("#drill-head", Drawn)
        if drill is None:
            self.entitle(line(cell("No drill")), foot)
            head.say(line(cell(NOTHING, Tone.MUTED)))
            return
        sign = drill_sign(drill.state(look.wall_ms))
        word = cell(f"{sign.glyph} {sign.word} ", sign.tone)
        self.entitle(line(word, cell(drill.drill, Tone.STRONG)), foot)
        tall = self.size.height >= BIG_FROM[1]
        head.say(Content("\n").join(_head(drill, look.wall_ms, tall=tall)))
        self._show_figures(figures_of(drill))
        stages.show_rows(drill.run, stage_rows(drill, look.wall_ms))

    def _show_figures(self, found: Sequence[Figure]) -> None:
        big = self.size.width >= BIG_FROM[0] and self.size.height >= BIG_FROM[1]
        row, small = self.query_one("#drill-figures"), self.query_one("#drill-small", Drawn)
        row.display, small.display = big, not big
        for widget, figure in zip(self.query(BigFigure), found, strict=True):
            widget.show(figure)
        cells: list[Cell] = []
        for figure in found:
            tone = Tone.BAD if figure.bad else Tone.STRONG
            cells += [cell(f"{figure.label} ", Tone.MUTED), cell(f"{figure.small}  ", tone)]
        small.say(line(*cells))


def figures_of(drill: DrillView) -> list[Figure]:
    """What is known: by the ledger where it was judged, else as it was seen live."""
    found = drill.found
    if found is None:
        seen = [("detect", "detect"), ("steer", "decide"), ("back", "reconnect")]
        return [
            *(_timed(label, drill.worst_s(stage)) for label, stage in seen),
            _counted("lost", None),
            _counted("duplicated", None),
        ]
    return [
        _timed("detect", found.detect_s),
        _timed("steer", found.decide_s),
        _timed("back p99", found.reconnect_p99_s),
        _counted("lost", found.lost),
        _counted("duplicated", found.repeated),
    ]


def stage_rows(drill: DrillView, wall_ms: int) -> list[Sequence[Cell]]:
    """Its stages in order; then what goes on, or how it ended and what it was held against."""
    rows = [_stage_row(stage) for stage in drill.stages if not stage.word]
    last = drill.last
    if not drill.ended:
        since_s = max(0, wall_ms - last.at_ms) / 1000
        rows.append(
            (
                cell(_at(drill.lasted_ms(wall_ms) / 1000), Tone.MUTED),
                cell("…", Tone.TREND),
                cell("since the last word", Tone.MUTED),
                cell(figures.took(since_s), Tone.TREND),
            )
        )
        return rows
    sign, bounds = drill_sign(last.word), [] if drill.found is None else drill.found.bounds
    rows.append(
        (cell(_at(last.at_s), Tone.MUTED), cell(sign.word, sign.tone), cell(sign.meaning), cell(""))
    )
    # What is said of a bound that was missed stands with the bound.
    reasons = [
        why
        for why in last.text.split("; ")
        if why and not any(bound.text and why.startswith(bound.text) for bound in bounds)
    ]
    rows += [
        (cell(""), cell("why", Tone.MUTED), cell(why, limit=TEXT), cell("")) for why in reasons
    ]
    # Those that were missed stand last, where they are in sight.
    return rows + [_bound_row(bound) for bound in sorted(bounds, key=lambda each: not each.met)]


def _head(drill: DrillView, wall_ms: int, *, tall: bool) -> list[Content]:
    first, report = drill.first, drill.last.report
    when = f"{figures.clock(drill.began_ms)}, {figures.age(drill.lasted_ms(wall_ms))}"
    cells = [
        cell("by ", Tone.MUTED),
        cell(first.by, Tone.STRONG),
        cell("   since ", Tone.MUTED),
        cell(when),
    ]
    if first.why:
        cells.append(cell(f"   {first.why}", limit=TEXT))
    lines = [line(*cells)]
    if tall:
        lines.append(line(cell("run ", Tone.MUTED), cell(drill.run, limit=TEXT)))
    if report and (tall or drill.ended):
        lines.append(line(cell("report ", Tone.MUTED), cell(report, limit=TEXT)))
    return lines


def _stage_row(stage: DrillNews) -> Sequence[Cell]:
    return (
        cell(_at(stage.at_s), Tone.MUTED),
        cell(stage.stage, STAGE_TONES.get(stage.stage, Tone.STRONG)),
        cell(stage.text, limit=TEXT),
        cell("" if stage.took_s is None else figures.took(stage.took_s)),
    )


def _bound_row(bound: BoundNews) -> Sequence[Cell]:
    mark = cell("✓ met", Tone.GOOD) if bound.met else cell("✗ missed", Tone.BAD)
    text = f"{bound.said}, {bound.bound}: {bound.text}"
    return (cell(""), mark, cell(text, limit=TEXT), cell(""))


def _at(seconds: float) -> str:
    return f"{seconds:,.1f} s"


def _timed(label: str, value: float | None) -> Figure:
    if value is None:
        return Figure(label, "-", figures.NONE, "s")
    digits = (
        f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
    )
    return Figure(label, digits, figures.took(value), "s")


def _counted(label: str, value: int | None) -> Figure:
    if value is None:
        return Figure(label, "-", figures.NONE)
    digits = str(value) if value < 1_000 else "999+"
    return Figure(label, digits, figures.count(value), bad=value > 0)

"""How an answer of the edges stands: how old it is, who did not give one, or why there is none."""

from collections.abc import Sequence
from typing import Any

from textual.content import Content

from console import figures
from console.asking import Asked, Asking
from console.look import Look, Mode
from console.signs import Tone
from console.views.cell import Cell, cell, line
from regions.inquiries.gathering import Missing

OLD_MS = 10_000  # an answer that is older is pointed at
SLOW_MS = 1_000  # whoever waits for longer is told so
NAMED = 4  # edges that are named as missing; the others are counted
WHY = 48  # cells of why one is
NOT_KEPT = "clients and rooms are not kept: this is the past; L goes back to now"
NO_WAY = "this console has no way to ask edges"
HELD = "not asked: the picture is held; f goes on"


def standing(
    asked: Asked[Any],
    asking: Asking,
    look: Look,
    said: Sequence[Cell],
    missing: Sequence[Missing],
    hidden: Sequence[str] = (),
) -> Content:
    """One line.

    Args:
        asked: what is asked.
        asking: the way to the edges.
        look: at what time, and whether names are hidden.
        said: what the answer says, in short.
        missing: edges that gave none.
        hidden: names that stand in no error while names are hidden.
    """
    if look.mode is Mode.PAST:
        return line(cell(f"▲ {NOT_KEPT}", Tone.WARN, 100))
    if not asking.is_possible:
        return line(cell(f"✗ {NO_WAY}", Tone.BAD, 100))
    now_ms = asking.now_ms()
    cells: list[Cell] = []
    if asked.error:
        cells.append(cell(f"✗ {without(asked.error, look, hidden)}  ", Tone.BAD, 160))
    age_ms = asked.age_ms(now_ms)
    if age_ms is None or not asked.is_current:
        if look.mode is Mode.FROZEN:
            cells.append(cell(HELD, Tone.WARN))
        elif not asked.error or asked.is_busy:
            cells.append(cell(_waiting("asking …", asked.waits_ms(now_ms)), Tone.MUTED))
        return line(*cells)
    cells += said
    old = age_ms > OLD_MS
    text = f"answered {figures.age(age_ms)} ago"
    cells.append(cell(f"▲ {text}" if old else text, Tone.WARN if old else Tone.MUTED))
    waits_ms = asked.waits_ms(now_ms)
    if waits_ms > SLOW_MS:
        cells.append(cell(_waiting(", asking again", waits_ms), Tone.MUTED))
    return line(*cells, *missing_cells(missing))


def short_standing(asked: Asked[Any], now_ms: int, look: Look) -> str:
    """The same for the foot of a table."""
    if asked.error:
        return f"✗ {asked.error}"
    age_ms = asked.age_ms(now_ms)
    if age_ms is None or not asked.is_current:
        if look.mode is Mode.FROZEN:
            return HELD
        return _waiting("asking …", asked.waits_ms(now_ms))
    return f"answered {figures.age(age_ms)} ago"


def missing_cells(missing: Sequence[Missing]) -> list[Cell]:
    """Who did not answer."""
    if not missing:
        return []
    cells = [cell("   ▲ no answer of ", Tone.WARN)]
    for at, each in enumerate(missing[:NAMED]):
        cells.append(cell(f"{', ' if at else ''}{each.edge}", Tone.WARN, 24))
        cells.append(cell(f" ({each.why})", Tone.MUTED, WHY))
    if len(missing) > NAMED:
        cells.append(cell(f" and {len(missing) - NAMED} more", Tone.WARN))
    return cells


def without(text: str, look: Look, names: Sequence[str]) -> str:
    """A text in which no name stands while names are hidden."""
    for name in names:
        if name and look.private:
            text = text.replace(name, look.name(name))
    return text


def _waiting(text: str, waits_ms: int) -> str:
    return f"{text} for {figures.age(waits_ms)}" if waits_ms > SLOW_MS else text

"""The catalogue of drills: what each does and needs, and whether it can be run here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from console.look import Look, Mode, Subject
from console.signs import Sign, Tone
from console.views.cell import Cell, cell, line, sign_cell
from console.views.drawn import NOTHING, Drawn
from console.views.listing import Listing
from console.views.table import Column
from regions.drills.catalogue import DRILLS, Drill, needs_of
from relay.core.query import Field

if TYPE_CHECKING:
    from console.doing.drilling import Drilling

HERE = Sign("●", "yes", Tone.GOOD, "it can be run here")
NOT_HERE = Sign("○", "no", Tone.MUTED, "it can't be run here")
UNKNOWN = Sign("?", "—", Tone.MUTED, "not known")
NOT_ASKED, IN_THE_PAST = "the world was not asked yet", "what could be run then is not known"
TEXT = 400


@dataclass(frozen=True, slots=True)
class Offer:
    """A drill, and whether it can be run here."""

    drill: Drill
    needs: str
    sign: Sign
    why_not: str  # empty: it can


COLUMNS = (
    Column("drill", 16, field="name"),
    Column("here", 5, field="here"),
    Column("what it does", 22, grows=True),
    Column("needs", 50, rank=1),
)
FIELDS: tuple[Field[Offer], ...] = (
    Field("name", "text", lambda offer: offer.drill.name, "the drill's name"),
    Field("here", "text", lambda offer: offer.sign.word, "yes, no"),
    Field("what", "text", lambda offer: offer.drill.line, "what it does"),
    Field("needs", "text", lambda offer: offer.needs, "what a world has to have for it"),
)
_NEEDS = {drill.name: ", ".join(needs_of(drill)) for drill in DRILLS}


class CatalogueTable(Listing[Offer]):
    """One row for each drill."""

    def __init__(self) -> None:
        super().__init__(
            "Drills", COLUMNS, FIELDS, offer_row, lambda offer: offer.drill.name, name="drills"
        )

    @property
    def subject(self) -> Subject | None:
        """The drill at the cursor."""
        offer = self.current
        return None if offer is None else Subject("drill", "", offer.drill.name)

    def show_offers(self, offers: Sequence[Offer], *, says_why: bool) -> None:
        """Draw them; `says_why`: why the one at the cursor can't be run stands below."""
        why = self.current.why_not if says_why and self.current is not None else ""
        can = sum(offer.sign is HERE for offer in offers)
        self.show_items(offers, why or (f"{can} can be run here" if can else ""))


class CatalogueText(Drawn):
    """All of the drill at the cursor."""

    def __init__(self) -> None:
        super().__init__(name="drill-about")

    def show_offer(self, offer: Offer | None) -> None:
        """Draw it."""
        if offer is None:
            self.say(NOTHING)
            return
        drill = offer.drill
        lasts = f"{drill.hold_s:g} s, or for=S" if drill.hold_s else "as long as it takes"
        lines = [
            line(cell(f"{drill.name}: ", Tone.STRONG), cell(drill.line, limit=TEXT)),
            line(cell("its fault lasts ", Tone.MUTED), cell(lasts)),
            line(cell("needs ", Tone.MUTED), cell(offer.needs or "two edges", limit=TEXT)),
            line(
                cell(f"{offer.sign.glyph} ", offer.sign.tone),
                cell(offer.why_not or HERE.meaning, limit=TEXT),
            ),
        ]
        self.say(Content("\n").join(lines))


def offers(look: Look, drilling: "Drilling") -> list[Offer]:
    """Every drill, as far as it is known whether it can be run here."""
    return [_offer(drill, look, drilling) for drill in DRILLS]


def _offer(drill: Drill, look: Look, drilling: "Drilling") -> Offer:
    needs = _NEEDS[drill.name]
    if look.mode is Mode.PAST:
        return Offer(drill, needs, UNKNOWN, IN_THE_PAST)
    if drilling.why_not:
        return Offer(drill, needs, NOT_HERE, drilling.why_not)
    if drill.name not in drilling.hindrances:
        return Offer(drill, needs, UNKNOWN, NOT_ASKED)
    why = drilling.hindrances[drill.name]
    return Offer(drill, needs, HERE if why is None else NOT_HERE, why or "")


def offer_row(offer: Offer) -> Sequence[Cell]:
    """The cells of one."""
    return (
        cell(offer.drill.name, Tone.STRONG),
        sign_cell(offer.sign),
        cell(offer.drill.line),
        cell(offer.needs, Tone.MUTED),
    )

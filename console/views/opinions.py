"""Regions and edges as keepers see them: a row where they agree, else one for each view of it."""

from collections.abc import Sequence

from console import figures
from console.look import Look, Subject
from console.model import FleetView, Freshness
from console.model.opinions import (
    EDGE_OPINION_FIELDS,
    OPINION_FIELDS,
    EdgeOpinion,
    Opinion,
    edge_opinions,
    keepers,
    opinions,
)
from console.signs import Tone, steer_sign
from console.views.cell import Cell, cell, sign_cell
from console.views.listing import Listing
from console.views.regions import value_tone
from console.views.streams import NOBODY
from console.views.table import Column
from regions.news import RegionNews

TEXT = 200  # cells of a reason
COLUMNS = (
    Column("region", 8, field="region"),
    Column("state", 10, field="state"),
    Column("conns", 7, right=True, rank=2, field="connections"),
    Column("room", 7, right=True, rank=4, field="room"),
    Column("full", 5, right=True, rank=1, field="taken"),
    Column("weight", 6, right=True, field="weight"),
    Column("ramp", 5, right=True, rank=3, field="ramp"),
    Column("seen by", 12, field="by"),
    Column("why", 16, field="reason", grows=True),
    Column("age", 5, right=True, rank=5, field="age"),
)
EDGE_COLUMNS = (
    Column("edge", 8, field="name"),
    Column("region", 7, rank=4, field="region"),
    Column("state", 10, field="state"),
    Column("door", 7, rank=2, field="door"),
    Column("seen by", 10, rank=3, field="by"),
    Column("why", 10, field="reason", grows=True),
)


class OpinionTable(Listing[Opinion]):
    """How the keepers see each region."""

    def __init__(self) -> None:
        super().__init__(
            "Regions",
            COLUMNS,
            OPINION_FIELDS,
            opinion_row,
            lambda each: (each.region.name, each.by),
            name="opinions",
        )

    @property
    def subject(self) -> Subject | None:
        """The region at the cursor."""
        name = "" if self.current is None else self.current.region.name
        return Subject("region", name, name) if name else None

    def show_look(self, look: Look) -> None:
        """Draw every region."""
        found = [each for each in opinions(look.view) if look.wants(each.region.name)]
        self.show_items(found, summary(look.view, found))


class EdgeOpinionTable(Listing[EdgeOpinion]):
    """The edges that are not as they should be."""

    def __init__(self) -> None:
        super().__init__(
            "Edges not as they should be",
            EDGE_COLUMNS,
            EDGE_OPINION_FIELDS,
            edge_opinion_row,
            lambda each: (each.edge.region, each.edge.name, each.by),
            name="edge-opinions",
        )

    @property
    def subject(self) -> Subject | None:
        """The edge at the cursor."""
        edge = None if self.current is None else self.current.edge
        return None if edge is None else Subject("edge", edge.region, edge.name)

    def show_look(self, look: Look) -> None:
        """Draw them."""
        found = [each for each in edge_opinions(look.view) if look.wants(each.edge.region)]
        none = NOBODY if not look.view.steering else "" if found else "✓ none"
        self.show_items(found, none)


def summary(view: FleetView, found: Sequence[Opinion]) -> str:
    """Whose keepers say it, how old that is, and that they disagree."""
    said = keepers(view)
    if not said:
        return NOBODY
    heard = [each for each in said if each.freshness is not Freshness.GONE]
    if not heard:
        return f"no keeper is heard: as {said[0].name}'s said {figures.age(said[0].age_ms)} ago"
    apart = "" if all(each.agreed for each in found) else "≠ keepers disagree · "
    return f"{apart}by the keeper of {', '.join(each.name for each in heard)} · enter: what if"


def opinion_row(opinion: Opinion) -> Sequence[Cell]:
    """The cells of one view of a region."""
    region, tone = opinion.region, value_tone(opinion.freshness)
    gone = opinion.freshness is Freshness.GONE
    taken = region.connections / region.room if region.room else None
    return (
        cell(region.name, Tone.STRONG),
        _state(region.state, gone=gone),
        cell(figures.NONE if gone else figures.count(region.connections), tone),
        cell(figures.count(region.room) if region.room and not gone else figures.NONE, tone),
        cell(figures.NONE if gone else figures.percent(taken), tone),
        cell(f"{region.weight}%", tone if region.weight == 100 else Tone.WARN),
        cell(figures.percent(region.ramp), tone if region.ramp >= 1 else Tone.WARN),
        _by(opinion.by, agreed=opinion.agreed),
        _why(region, tone),
        cell(figures.age(opinion.age_ms), Tone.MUTED if tone is Tone.PLAIN else Tone.WARN),
    )


def edge_opinion_row(opinion: EdgeOpinion) -> Sequence[Cell]:
    """The cells of one view of an edge."""
    edge, tone = opinion.edge, value_tone(opinion.freshness)
    return (
        cell(edge.name, Tone.STRONG),
        cell(edge.region, Tone.MUTED),
        _state(edge.state, gone=opinion.freshness is Freshness.GONE),
        door_cell(edge.door, edge.door_ms, tone),
        _by(opinion.by, agreed=opinion.agreed),
        cell(f"{edge.reason}; door: {edge.door}" if edge.door else edge.reason, tone, TEXT),
    )


def door_cell(failed: str | None, took_ms: float, tone: Tone) -> Cell:
    """Whether somebody went through a door, and how long that took."""
    if failed is None:
        return cell("untried", Tone.MUTED)
    if failed:
        return cell("✗ fails", Tone.BAD)
    return cell(f"✓ {figures.duration(took_ms)}", tone)


def _state(state: str, *, gone: bool) -> Cell:
    sign = steer_sign(state)
    return cell(f"{sign.glyph} {sign.word}", Tone.MUTED, 16) if gone else sign_cell(sign)


def _by(names: tuple[str, ...], *, agreed: bool) -> Cell:
    text = ", ".join(names)
    return cell(text, Tone.MUTED) if agreed else cell(f"≠ {text}", Tone.WARN)


def _why(region: RegionNews, tone: Tone) -> Cell:
    if region.cordoned:
        return cell(f"◇ cordoned: {region.cordoned}; {region.reason}", Tone.WARN, TEXT)
    plain = region.state == "ok"
    return cell(region.reason, tone if plain else Tone.WARN, TEXT)

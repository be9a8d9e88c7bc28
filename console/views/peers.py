"""An edge against its peers: what it says of its making, and how it is set up."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from textual.content import Content

from console import figures
from console.model import EdgeView, Freshness
from console.signs import Tone
from console.views.cell import Cell, cell, line
from console.views.table import Column, RowTable
from regions.inquiries.fleet import FleetSettings
from regions.inquiries.unlike import compare
from regions.steering.health import EdgeKey

COLUMNS = (
    Column("", 16),
    Column("here", 8, grows=True),
    Column("most have", 10, rank=1),
)
MOST = 32  # edges whose settings are asked for


@dataclass(frozen=True, slots=True)
class Trait:
    """What an edge has, and what most of the others have."""

    name: str
    here: str
    peers: str

    @property
    def differs(self) -> bool:
        """Whether this edge is unlike its peers."""
        return bool(self.peers) and self.here != self.peers


class PeerTable(RowTable):
    """What an edge has, and most others: of its settings only those in which it is unlike them."""

    def __init__(self, *, name: str) -> None:
        super().__init__(COLUMNS, name=name)

    def show_edge(
        self, edge: EdgeView, edges: Sequence[EdgeView], found: FleetSettings | None
    ) -> None:
        """Draw it.

        Args:
            edge: it.
            edges: all that are known.
            found: how edges are set up, it among them; None: that is not known (yet).
        """
        traits = said_traits(edge, edges)
        settings = [] if found is None else set_traits(edge, found)
        unlike = [each for each in settings if each.differs]
        count = sum(each.differs for each in traits) + len(unlike)
        self.entitle(line(cell("Against its peers")), _foot(count, len(settings), found))
        shown = [*unlike, *traits]
        self.show(len(shown), lambda at: _row(shown[at]))


def peers_of(edge: EdgeView, edges: Collection[EdgeView]) -> list[EdgeKey]:
    """An edge and those that it is compared with: the others of its region, and of all regions."""
    nth = Counter[str]()
    order: list[tuple[bool, int, EdgeKey]] = []
    for each in _others(edge, edges):
        nth[each.region] += 1
        order.append(
            (each.region != edge.region, nth[each.region], EdgeKey(each.region, each.name))
        )
    return [EdgeKey(edge.region, edge.name), *(key for *_, key in sorted(order)[: MOST - 1])]


def _others(edge: EdgeView, edges: Collection[EdgeView]) -> list[EdgeView]:
    return [each for each in edges if each is not edge and each.freshness is not Freshness.GONE]


def said_traits(edge: EdgeView, edges: Sequence[EdgeView]) -> list[Trait]:
    """What an edge says of its making, against what most others say. Pure."""
    others, frame = _others(edge, edges), edge.frame
    if frame is None:
        return []
    epochs = frame.epochs
    traits = [
        Trait("version", edge.version, _most([each.version for each in others])),
        Trait(
            "can hold",
            figures.count(edge.room) if edge.room else figures.NONE,
            _most([figures.count(each.room) for each in others if each.room]),
        ),
    ]
    for origin in sorted(epochs):
        theirs = [
            str(each.frame.epochs[origin])
            for each in others
            if each.frame is not None and origin in each.frame.epochs
        ]
        traits.append(Trait(f"epoch {origin}", str(epochs[origin]), _most(theirs)))
    traits.append(Trait("watches", "yes" if frame.watching else "no", ""))
    return traits


def set_traits(edge: EdgeView, found: FleetSettings) -> list[Trait]:
    """How an edge is set up, against most others of those that answered; nothing where it did not.

    Pure.
    """
    key = EdgeKey(edge.region, edge.name)
    others = [each for each in found.edges if (each.region, each.edge) != key]
    own = [each for each in found.edges if (each.region, each.edge) == key]
    if not own or not others:
        return []
    usual = {setting.name: setting.usual for setting in compare(others)}
    here = own[0].settings
    return [
        Trait(name, here.get(name) or figures.NONE, usual.get(name) or figures.NONE)
        for name in sorted(usual | here)
    ]


def _foot(unlike: int, settings: int, found: FleetSettings | None) -> Content:
    cells = [cell(f"{unlike} differ" if unlike else "", Tone.WARN)]
    if settings:
        cells.append(cell(f"{', ' if unlike else ''}{settings} settings compared", Tone.MUTED))
    elif found is not None:
        cells.append(cell(f"{', ' if unlike else ''}settings unknown", Tone.MUTED))
    return line(*cells)


def _most(values: list[str]) -> str:
    return Counter(values).most_common(1)[0][0] if values else ""


def _row(trait: Trait) -> Sequence[Cell]:
    tone = Tone.WARN if trait.differs else Tone.PLAIN
    return (
        cell(trait.name, Tone.MUTED),
        cell(f"≠ {trait.here}" if trait.differs else trait.here, tone),
        cell(trait.peers, Tone.MUTED),
    )

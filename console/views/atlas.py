"""The world map of the steering screen: regions by how they are, clients by country."""

from collections.abc import Mapping

from textual.content import Content

from console import figures
from console.look import Look
from console.model import Freshness
from console.model.opinions import nearest
from console.model.outlook import clients_by_country, unplaced
from console.signs import Tone, region_sign, steer_sign
from console.views.cell import cell, line
from console.views.drawn import Drawn
from console.views.worldmap import Mark, draw
from regions.topology import Topology
from relay.geo.countries import COUNTRIES

CLIENTS = "▪"
NAME_LIMIT = 16


class WorldMap(Drawn):
    """Drawn as large as there is room."""

    def __init__(self, topology: Topology | None) -> None:
        super().__init__(name="world-map")
        self._topology = topology
        self._drawn: tuple[object, ...] = ()

    def show_look(self, look: Look, width: int, height: int) -> None:
        """Draw it in so many cells, if it shows anything else than before."""
        marks = marks_of(look, self._topology)
        drawn = (width, height, tuple(marks))
        if drawn == self._drawn:
            return
        self._drawn = drawn
        foot = _foot(clients_by_country(look.view))
        self.entitle(line(cell("Where")), line(cell(foot, Tone.MUTED, 60)))
        rows = draw(width, height, marks)
        self.say(Content("\n").join(line(*row) for row in rows))


def marks_of(look: Look, topology: Topology | None) -> list[Mark]:
    """What stands on the map: the regions, then the countries with most clients."""
    view, keeper = look.view, nearest(look.view)
    places: dict[str, tuple[float, float]] = {}
    if topology is not None:
        places = {region.name: (region.lat, region.lon) for region in topology.regions}
    signs = {region.name: region_sign(region.state) for region in view.regions}
    if keeper is not None:
        places |= {each.name: (each.lat, each.lon) for each in keeper.news.regions}
        if keeper.freshness is not Freshness.GONE:
            signs |= {each.name: steer_sign(each.state) for each in keeper.news.regions}
    marks = [
        Mark(*places[name], sign.glyph, f" {cell(name, limit=NAME_LIMIT).text} ", sign.tone)
        for name, sign in signs.items()
        if name in places
    ]
    return marks + _clients(clients_by_country(view))


def _clients(clients: Mapping[str, int]) -> list[Mark]:
    known = [code for code, number in clients.items() if number > 0 and code in COUNTRIES]
    known.sort(key=lambda code: (-clients[code], code))
    return [
        Mark(*COUNTRIES[code], CLIENTS, figures.rate(clients[code]), Tone.TREND) for code in known
    ]  # fmt: skip


def _foot(clients: Mapping[str, int]) -> str:
    placed = sum(clients.values()) - unplaced(clients)
    if placed:
        return f"{CLIENTS} clients by country"
    return "of no client is the country known" if sum(clients.values()) else ""

"""Where clients are sent, and why: `:explain ADDRESS`, `:whatif REGION`. Nothing is changed."""

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from console import figures
from console.backing import Backing
from console.dialogs.text import TextScreen
from console.errors import ConsoleError
from console.model import FleetView, Freshness
from console.model.opinions import Keeper, nearest
from console.model.outlook import answer, candidates, if_died
from console.signs import Tone
from regions.steering.wording import at_place, explain_lines, share_lines, what_if_lines
from relay.core.round_trips import parse_round_trips
from relay.core.steering import Place, choose, shares
from relay.errors import RelayError
from relay.geo.atlas import Address, Atlas, Origin
from relay.geo.countries import COUNTRIES
from relay.tasks import Tasks

if TYPE_CHECKING:
    from console.app import ConsoleApp

NOWHERE = (
    "where addresses are is not known here: this console has no topology; a country will do"
)  # fmt: skip


class Steering:
    """The handlers.

    Args:
        app: the console.
        backing: says what the fleet is made of, if that is known.
        tasks: in which a database of places is read.
    """

    def __init__(self, app: "ConsoleApp", backing: Backing, tasks: Tasks) -> None:
        self._app = app
        self._topology = backing.topology
        self._tasks = tasks

    @property
    def handlers(self) -> Mapping[str, Callable[[str], None]]:
        """By the names of commands."""
        return {"explain": self._explain, "whatif": self._what_if}

    # --- explain -------------------------------------------------------------------------------

    def _explain(self, text: str) -> None:
        where, *rest = text.split() or [""]
        if where.upper() in COUNTRIES and not rest:
            self.explain_country(where.upper())
            return
        try:
            address = ipaddress.ip_address(where)
        except ValueError as error:
            raise ConsoleError(
                f"explain what? {where!r} is no IP address and no country" if where
                else "explain what? :explain 203.0.113.9, or a country: :explain DE"
            ) from error  # fmt: skip
        if self._topology is None:
            raise ConsoleError(NOWHERE)
        rtt = _round_trips(rest)
        self._keeper()  # nobody waits for a database in vain
        self._tasks.spawn(self._find(address, rtt), "explain")

    async def _find(self, address: Address, rtt: Mapping[str, float]) -> None:
        assert self._topology is not None
        geoip = self._topology.clients.geoip
        try:
            origin = await asyncio.to_thread(_look_up, geoip, address)
            origin = replace(origin, whence=replace(origin.whence, rtt_ms=rtt))
            keeper = self._keeper()
        except RelayError as error:
            self._app.complain(str(error))
            return
        given = shares(candidates(keeper.news), origin.whence)
        order = choose(given, str(origin.network).encode())
        self._show(f"Explain {address}", keeper, explain_lines(origin, given, order))

    def explain_country(self, country: str) -> None:
        """Show where clients of a country are sent.

        Raises:
            ConsoleError: no keeper was ever heard.
        """
        keeper = self._keeper()
        lines = share_lines(answer(candidates(keeper.news), country))
        where = f"somewhere in {country}{at_place(Place(*COUNTRIES[country]))}"
        self._show(f"Explain {country}", keeper, [where, *lines])

    # --- what if -------------------------------------------------------------------------------

    def _what_if(self, name: str) -> None:
        subject = self._app.pane.subject
        if not name and subject is not None and subject.kind in ("region", "edge"):
            name = subject.where
        if not name:
            raise ConsoleError("which region? :whatif REGION")
        self.show_what_if(name)

    def show_what_if(self, region: str) -> None:
        """Show where the clients of a region would go if it died now.

        Raises:
            ConsoleError: there is no such region, or no keeper was ever heard.
        """
        keeper = self._keeper()
        names = [each.name for each in keeper.news.regions]
        if region not in names:
            raise ConsoleError(f"no region {region!r}: there are {', '.join(names)}")
        limits = None if self._topology is None else self._topology.limits
        admitted_per_s = 0.0 if limits is None else limits.connections_per_s
        lines = what_if_lines(if_died(self._view, keeper.news, region, admitted_per_s))
        if limits is None:
            lines.append("how many a second an edge lets in is not known here: no topology")
        self._show(f"What if {region} died", keeper, lines)

    # --- both ----------------------------------------------------------------------------------

    @property
    def _view(self) -> FleetView:
        return self._app.scene.look().view

    def _keeper(self) -> Keeper:
        keeper = nearest(self._view)
        if keeper is None or not keeper.news.regions:
            raise ConsoleError("nobody says how the regions are: see docs/alerts.md for a keeper")
        return keeper

    def _show(self, title: str, keeper: Keeper, lines: Sequence[str]) -> None:
        said = f"as the keeper of {keeper.name} saw it {figures.age(keeper.age_ms)} ago"
        gone = keeper.freshness is Freshness.GONE
        head = (f"no keeper is heard now: {said}", Tone.WARN) if gone else (said, Tone.MUTED)
        self._app.push_screen(
            TextScreen(title, [head, ("", Tone.PLAIN), *((each, Tone.PLAIN) for each in lines)])
        )


def _look_up(geoip: str | None, address: Address) -> Origin:
    atlas = Atlas(None if geoip is None else Path(geoip))
    try:
        return atlas.find(address)
    finally:
        atlas.close()


def _round_trips(words: Sequence[str]) -> dict[str, float]:
    """The round trips of `rtt=us:31,eu:102`.

    Raises:
        ConsoleError: they are none.
    """
    if not words:
        return {}
    if len(words) > 1 or not words[0].startswith("rtt="):
        raise ConsoleError(f"explain ADDRESS [rtt=REGION:MS,…]: what is {words[0]!r}?")
    try:
        return parse_round_trips(words[0].removeprefix("rtt="))
    except ValueError as error:
        raise ConsoleError(str(error)) from error

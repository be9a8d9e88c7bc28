"""`jetrelay steer`: how regions are, and which one clients are sent to."""

import asyncio
import ipaddress
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cli.outlook import look
from cli.state_option import state_option
from cli.text import clean
from regions.columns import aligned
from regions.state import find_world
from regions.steering import wording
from regions.steering.fleet import Outlook
from regions.steering.what_if import WhatIf
from relay.core.round_trips import parse_round_trips
from relay.core.steering import Share, choose, shares
from relay.geo.atlas import Atlas, Origin

_try = click.option(
    "--try/--no-try",
    "tries",
    default=True,
    show_default=True,
    help="Go through every edge's door as a client: connect, identify, publish, receive.",
)
_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


def round_trips(_ctx: click.Context, _param: click.Parameter, text: str) -> dict[str, float]:
    """REGION:MS with commas between."""
    try:
        return parse_round_trips(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group()
def command() -> None:
    """How regions are, and which one clients are sent to.

    A listening post in each region's NATS hears all edges for some seconds, and every edge's door
    is tried. Exit codes: 0 it is as it should be, 1 it is not, 2 no world runs or wrong use.
    """


@command.command()
@state_option
@_try
@_json
def status(state: Path, *, tries: bool, as_json: bool) -> None:
    """Each region and edge: ok, degraded, dark (nobody hears it) or down, and why.

    Exit codes: 0 all regions are ok, 1 one is not, 2 no world runs or wrong use.
    """
    _, outlook = asyncio.run(look(state, tries=tries))
    if as_json:
        _print_json(_status_json(outlook))
    else:
        _print(_status_lines(outlook))
    sys.exit(0 if all(each.verdict.state == "ok" for each in outlook.regions) else 1)


@command.command()
@state_option
@_try
@_json
@click.option(
    "--rtt",
    callback=round_trips,
    default="",
    metavar="REGION:MS,…",
    help="Round trips that the client has measured: they count instead of the distance.",
)
@click.argument("address")
def explain(
    state: Path, address: str, rtt: dict[str, float], *, tries: bool, as_json: bool
) -> None:
    """Which region a client with this ADDRESS is sent to, and why.

    Exit codes: 0 printed, 1 nothing lives to be sent to, 2 no world runs or wrong use.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError as error:
        raise click.UsageError(f"{address!r} is no IP address") from error
    topology, outlook = asyncio.run(look(state, tries=tries))
    atlas = Atlas(None if topology.clients.geoip is None else Path(topology.clients.geoip))
    try:
        origin = atlas.find(parsed)
    finally:
        atlas.close()
    origin = replace(origin, whence=replace(origin.whence, rtt_ms=rtt))
    given = shares(outlook.regions, origin.whence)
    order = choose(given, str(origin.network).encode())
    if as_json:
        _print_json(_explain_json(origin, given, order))
    else:
        _print(wording.explain_lines(origin, given, order))
    sys.exit(0 if any(each.verdict.admits for each in outlook.regions) else 1)


@command.command("what-if")
@state_option
@_json
@click.argument("region")
def what_if(state: Path, region: str, *, as_json: bool) -> None:
    """Where the clients of REGION would go if it died now, how fast, and whether they fit.

    Exit codes: 0 they fit, 1 they do not, 2 no world runs, no such region or wrong use.
    """
    find_world(state).topology().region(region)
    _, outlook = asyncio.run(look(state, tries=False))
    found = outlook.if_died(region)
    if as_json:
        _print_json(_what_if_json(found))
    else:
        _print(wording.what_if_lines(found))
    sys.exit(0 if found.fits else 1)


# --- as text and JSON ---------------------------------------------------------------------------


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(clean(line))


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=1))


def _status_lines(outlook: Outlook) -> list[str]:
    rows = [("region", "edge", "state", "connections", "why")]
    for region in outlook.regions:
        room = f" of {region.room:,}" if region.room else ""
        rows.append(
            (region.name, "", region.verdict.state, f"{outlook.in_region(region.name):,}{room}",
             clean(region.verdict.reason))
        )  # fmt: skip
        for key, verdict in outlook.edges.items():
            if key.region == region.name:
                known = outlook.at_edge(key)
                count = "—" if known is None else f"{known:,}"
                rows.append(("", key.edge, verdict.state, count, clean(verdict.reason)))
    return [*aligned(rows), *_canary_lines(outlook)]


def _canary_lines(outlook: Outlook) -> list[str]:
    """What was published in each region, and how long it took to each other one."""
    flights, names = outlook.flights, [region.name for region in outlook.regions]
    if not flights.said:
        return []
    rows = [("canaries, ms", *(f"to {name}" for name in names))]
    for one in names:
        took = (flights.arrived.get((one, other)) for other in names)
        rows.append(
            (f"from {one}", *("—" if each is None else f"{each.took_ms:.0f}" for each in took))
        )
    return ["", *aligned(rows)]


def _status_json(outlook: Outlook) -> Any:
    return {
        "regions": [
            {
                "name": region.name,
                "state": region.verdict.state,
                "reason": region.verdict.reason,
                "admits": region.verdict.admits,
                "connections": outlook.in_region(region.name),
                "room": region.room,
                "weight": region.weight,
                "edges": [
                    {
                        "name": key.edge,
                        "state": verdict.state,
                        "reason": verdict.reason,
                        "admits": verdict.admits,
                    }
                    for key, verdict in outlook.edges.items()
                    if key.region == region.name
                ],
            }
            for region in outlook.regions
        ],
        "canaries_ms": {
            one: {
                other: round(flight.took_ms, 1)
                for (source, other), flight in outlook.flights.arrived.items()
                if source == one
            }
            for one in outlook.flights.said
        },
    }


def _explain_json(origin: Origin, given: list[Share], order: list[str]) -> Any:
    place = origin.whence.place
    return {
        "network": str(origin.network),
        "country": origin.country or None,
        "place": None if place is None else {"lat": place.lat, "lon": place.lon},
        "how": origin.how,
        "shares": [each._asdict() for each in given],
        "order": order,
    }


def _what_if_json(found: WhatIf) -> Any:
    return {
        "region": found.region,
        "connections": found.connections,
        "fits": found.fits,
        "arrivals": [
            {**each._asdict(), "fits": each.fits, "in_time": each.in_time}
            for each in found.arrivals
        ],
    }

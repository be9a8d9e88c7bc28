"""`jetrelay ctl clients | client | rooms | room | settings | kick | trace`: edges are asked."""

import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import click
import msgspec

from cli.inquire_text import (
    client_lines,
    clients_lines,
    clients_note,
    end_lines,
    frame_line,
    missing_lines,
    peek_lines,
    room_lines,
    rooms_lines,
    settings_lines,
    settings_note,
    skipped_line,
)
from cli.lines import run_until_signal
from cli.operate_text import print_json
from cli.state_option import state_option
from cli.text import clean
from cli.who import by_option, who
from regions.errors import InquiryError
from regions.inquiries.asker import Asker
from regions.inquiries.fleet import FleetPeek, FleetRoom
from regions.inquiries.gathering import Missing
from regions.inquiries.opening import open_asker
from regions.inquiries.unlike import compare
from regions.state import find_world
from regions.steering.health import EdgeKey
from relay.core.inquiry import KICK_CODES, LONGEST_TRACE_S
from relay.core.inquiry_answers import MOST_EVENTS, MOST_ROWS
from relay.core.names import DEFAULT_TENANT

_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
_region = click.option("--region", metavar="NAME", help="Ask through this region's NATS first.")
_payload = click.option(
    "--payload", "payloads", is_flag=True, help="With payloads: takes the login `control`."
)
_tenant = click.option(
    "--tenant", default=DEFAULT_TENANT, show_default=True, metavar="T", help="Whose room."
)


# A handle may begin with `-`: what is no option is an argument.
_NAMING = {"ignore_unknown_options": True, "help_option_names": ["--help"]}


def _asking(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of all of these commands."""
    for option in reversed((state_option, _region, by_option)):
        function = option(function)
    return function


def _listing(sort: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a list."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(
            (
                click.option(
                    "--sort", default=sort, show_default=True, metavar="FIELD",
                    help="Numbers the largest first, texts from A; -FIELD the other way round.",
                ),
                click.option(
                    "--limit", type=click.IntRange(1, MOST_ROWS), default=20, show_default=True,
                    metavar="N", help="How many.",
                ),
                _json,
            )
        ):  # fmt: skip
            function = option(function)
        return function

    return add


# --- commands ----------------------------------------------------------------------------------


@click.command()
@_asking
@_listing("age")
@click.option("--room", default="", metavar="NAME", help="Only those in this room.")
@_tenant
@click.argument("query", nargs=-1)
def clients(query: tuple[str, ...], sort: str, limit: int, room: str, tenant: str,
            **options: Any) -> None:  # fmt: skip
    """The clients that QUERY is true of: `region=ap and rtt>200`, `queue>64K`, `user=ana`.

    Exit code 1: an edge did not answer, and is named.
    """

    async def ask(asker: Asker) -> int:
        found = await asker.clients(" ".join(query), sort, limit, room=room, tenant=tenant)
        if options["as_json"]:
            print_json(msgspec.to_builtins(found))
        else:
            for line in clients_lines(found):
                click.echo(line)
            click.echo(clients_note(found), err=True)
        return _named(found.missing)

    _run(ask, options)


@click.command(context_settings=_NAMING)
@_asking
@_json
@click.argument("session")
def client(session: str, **options: Any) -> None:
    """All about one client. SESSION is its handle, or 8 characters of it at least.

    Exit code 1: it was not found, or an edge did not answer.
    """

    async def ask(asker: Asker) -> int:
        seen = await asker.client(session)
        if options["as_json"]:
            print_json(msgspec.to_builtins(seen))
        else:
            for at in seen.found:
                for line in client_lines(at):
                    click.echo(line)
            if not seen.found:
                click.echo(f"no edge that answered has session {clean(session)}", err=True)
            for line in end_lines(seen.ends):
                click.echo(line)
        return _named(seen.missing) or int(not seen.found)

    _run(ask, options)


@click.command()
@_asking
@_listing("members")
@click.argument("query", nargs=-1)
def rooms(query: tuple[str, ...], sort: str, limit: int, **options: Any) -> None:
    """The rooms that QUERY is true of at some edge: `rate>10`, `room~chat: members>100`.

    Exit code 1: an edge did not answer, and is named.
    """

    async def ask(asker: Asker) -> int:
        found = await asker.rooms(" ".join(query), sort, limit)
        if options["as_json"]:
            print_json(msgspec.to_builtins(found))
        else:
            for line in rooms_lines(found):
                click.echo(line)
            if not found.whole:
                click.echo("edges have more that match: members may be more", err=True)
        return _named(found.missing)

    _run(ask, options)


@click.command()
@_asking
@_json
@_tenant
@click.option("--peek", type=click.IntRange(1, MOST_EVENTS), metavar="N",
              help="And its newest events.")  # fmt: skip
@_payload
@click.argument("name")
def room(name: str, tenant: str, peek: int | None, *, payloads: bool, **options: Any) -> None:
    """All about room NAME, at each edge where it has members.

    Exit code 1: it has members nowhere, or an edge did not answer.
    """
    if payloads and peek is None:
        raise click.UsageError("--payload goes with --peek")

    async def ask(asker: Asker) -> int:
        seen, events = await asker.room(name, tenant), None
        if peek is not None:
            events = await asker.peek(
                name, tenant, peek, payloads=payloads, region=options["region"] or ""
            )
        _say_room(seen, events, name, as_json=options["as_json"])
        return _named(seen.missing) or int(seen.total is None)

    _run(ask, options, control=payloads)


def _say_room(seen: FleetRoom, events: FleetPeek | None, name: str, *, as_json: bool) -> None:
    if as_json:
        both = {"room": msgspec.to_builtins(seen)}
        print_json(both if events is None else both | {"peek": msgspec.to_builtins(events)})
        return
    for line in room_lines(seen):
        click.echo(line)
    if seen.total is None:
        click.echo(f"room {clean(name)} has members at no edge that answered", err=True)
    for line in () if events is None else peek_lines(events):
        click.echo(line)


@click.command()
@_asking
@_json
@click.option("--all", "every", is_flag=True, help="Those that are alike as well.")
@click.argument("edge", nargs=-1)
def settings(edge: tuple[str, ...], *, every: bool, **options: Any) -> None:
    """In what edges are set up differently: limits, regions, keys (by a mark), addresses believed.

    EDGE: only these; else all that are heard. Exit code 1: they differ, or one did not answer.
    """

    async def ask(asker: Asker) -> int:
        found = await asker.settings(edges=_called(asker, edge))
        compared = compare(found.edges)
        if options["as_json"]:
            print_json(msgspec.to_builtins(found))
        else:
            shown = [each for each in compared if every or each.differs]
            for line in settings_lines(shown, len(found.edges)):
                click.echo(line)
            click.echo(settings_note(compared, len(found.edges)), err=True)
        return _named(found.missing) or int(any(each.differs for each in compared))

    _run(ask, options)


def _called(asker: Asker, names: tuple[str, ...]) -> list[EdgeKey] | None:
    """The edges of these names.

    Raises:
        InquiryError: there is none of a name.
    """
    if not names:
        return None
    known = {key.edge: key for key in asker.edges}
    for name in names:
        if name not in known:
            raise InquiryError(f"no edge is heard that is called {name!r}")
    return [known[name] for name in names]


@click.command(context_settings=_NAMING)
@_asking
@_json
@click.option("--why", required=True, metavar="TEXT", help="Why; the edge logs it.")
@click.option(
    "--code", type=click.Choice([str(code) for code in KICK_CODES]), default=str(KICK_CODES[0]),
    show_default=True, help="4000: it resumes; 4021: elsewhere; 4004: it is told to stay away.",
)  # fmt: skip
@click.argument("session")
def kick(session: str, why: str, code: str, **options: Any) -> None:
    """Close the connection of SESSION. The client may come back, and misses nothing."""

    async def ask(asker: Asker) -> int:
        edge, kicked = await asker.kick(session, why, int(code))
        if options["as_json"]:
            print_json(msgspec.to_builtins(kicked) | edge._asdict())
            return 0
        click.echo(
            f"{clean(kicked.session)} of {clean(kicked.user)} at {clean(edge.edge)} "
            f"was closed with {kicked.code}"
        )
        return 0

    _run(ask, options, control=True)


@click.command(context_settings=_NAMING)
@_asking
@_json
@click.option("--for", "for_s", type=click.FloatRange(0, LONGEST_TRACE_S, min_open=True),
              default=30.0, show_default=True, metavar="S", help="Seconds.")  # fmt: skip
@_payload
@click.argument("session")
def trace(session: str, for_s: float, *, payloads: bool, **options: Any) -> None:
    """The frames of one client, both ways, as they pass. Ctrl-C ends it."""

    async def ask(asker: Asker) -> int:
        parts = asker.trace(session, for_s, payloads=payloads)
        async with aclosing(parts):
            async for part in parts:
                for frame in part.frames:
                    if options["as_json"]:
                        print_json(msgspec.to_builtins(frame))
                    else:
                        click.echo(frame_line(frame))
                if part.skipped:
                    click.echo(skipped_line(part.skipped), err=True)
                if part.ended:
                    click.echo(f"ended: {clean(part.ended)}", err=True)
        return 0

    _run(ask, options, control=payloads)


COMMANDS = (clients, client, rooms, room, settings, kick, trace)


# --- asking ------------------------------------------------------------------------------------


def _run(ask: Callable[[Asker], Any], options: dict[str, Any], *, control: bool = False) -> None:
    async def go() -> int:
        async with _asker(options, control=control) as asker:
            code: int = await ask(asker)
            return code

    sys.exit(run_until_signal(go()))


@asynccontextmanager
async def _asker(options: dict[str, Any], *, control: bool) -> AsyncIterator[Asker]:
    world, by, first = find_world(options["state"]), who(options["by"]), options["region"]
    if first is not None:
        world.region(first)
    # What is not reached is said once; the library would say each try.
    logging.getLogger("jetrelay.bus").setLevel(logging.CRITICAL)
    doors = sorted(
        world.doors("control" if control else "console"), key=lambda door: door.region != first
    )
    async with open_asker(doors, by, control=control) as asker:
        yield asker


def _named(missing: list[Missing]) -> int:
    """Name who did not answer. 1 where anybody did not."""
    for line in missing_lines(missing):
        click.echo(f"jetrelay: {line}", err=True)
    return int(bool(missing))

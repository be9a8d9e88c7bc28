"""`jetrelay token`: make a client token for the local world."""

import re
from pathlib import Path

import click

from cli.state_option import state_option
from regions.state import find_world
from relay.core.grants import Act, RoomGrant
from relay.core.names import DEFAULT_TENANT, is_room, is_tenant, is_user

_TTL = re.compile(r"([0-9]{1,6})([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LIFETIME_S = 86_400  # what edges accept by default


def parse_ttl(text: str) -> int:
    """`90s`, `15m`, `1h` or `1d`, in seconds.

    Raises:
        ValueError: none of these.
    """
    match = _TTL.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is no time: 90s, 15m, 1h or 1d")
    return int(match[1]) * _UNIT_S[match[2]]


def grant(pattern: str, can: tuple[str, ...], *, auto: bool) -> RoomGrant:
    """A grant of the rooms that match `pattern`.

    Raises:
        ValueError: it is no room pattern, or `auto` was asked for one with `*`.
    """
    name = pattern.removesuffix("*")
    if pattern != "*" and not is_room(name):
        raise ValueError(f"{pattern!r}: 1 to 128 of A-Z a-z 0-9 _ - : and at most one * at the end")
    if auto and pattern.endswith("*"):
        raise ValueError(f"{pattern!r}: --auto needs rooms without *")
    return RoomGrant(pattern, frozenset(Act(act) for act in can), auto)


@click.command()
@click.option("--user", required=True, help="Who the token is for.")
@click.option(
    "--room", "rooms", multiple=True, required=True, metavar="MATCH",
    help="A room, or a prefix and *; * alone is every room. Repeatable.",
)  # fmt: skip
@click.option("--auto", is_flag=True, help="Subscribe these rooms without being asked for.")
@click.option("--ttl", default="1h", show_default=True, help="Lifetime: 90s, 15m, 1h, 1d.")
@click.option(
    "--can", multiple=True, type=click.Choice([act.value for act in Act]),
    default=[act.value for act in Act],
    help="What is granted; everything without. Repeatable.",
)  # fmt: skip
@click.option(
    "--tenant", default=DEFAULT_TENANT, show_default=True,
    help="Whose the rooms are, where edges ask for tenants.",
)  # fmt: skip
@state_option
def command(
    user: str,
    rooms: tuple[str, ...],
    auto: bool,
    ttl: str,
    can: tuple[str, ...],
    tenant: str,
    state: Path,
) -> None:
    """Make a client token for the local world; stdout is the token alone."""
    try:
        grants = [grant(room, can, auto=auto) for room in rooms]
        ttl_s = parse_ttl(ttl)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not is_user(user):
        raise click.UsageError(f"--user {user!r}: 1 to 128 of A-Z a-z 0-9 _ - :")
    if not is_tenant(tenant):
        raise click.UsageError(f"--tenant {tenant!r}: 1 to 32 of A-Z a-z 0-9 _ -, no - first")
    if ttl_s > LIFETIME_S:
        click.echo("jetrelay: edges refuse tokens of more than 24 h by default", err=True)
    click.echo(find_world(state).issuer(tenant=tenant).token(user, grants, ttl_s))

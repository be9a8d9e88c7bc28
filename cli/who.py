"""Who does something, for what is recorded of it."""

import getpass
import socket

import click

from relay.core.orders import TEXT

by_option = click.option(
    "--by",
    metavar="WHO",
    envvar="JETRELAY_BY",
    help="Who does it; without, USER@HOST. [env: JETRELAY_BY]",
)


def who(given: str | None) -> str:
    """The name that was given, or USER@HOST.

    Raises:
        click.UsageError: nobody can tell, or it is too long.
    """
    try:
        name = given or f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError) as error:  # in a container, say
        raise click.UsageError("say who you are: --by WHO, or JETRELAY_BY=WHO") from error
    if len(name) > TEXT:
        raise click.UsageError(f"--by: {TEXT} characters are the most")
    return name

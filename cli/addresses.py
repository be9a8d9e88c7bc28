"""Addresses that options name."""

from ipaddress import ip_address

import click


def address_of(
    _ctx: click.Context, _param: click.Parameter, text: str | None
) -> tuple[str, int] | None:
    """ADDRESS:PORT, with an address of IPv6 in brackets."""
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    try:
        return str(ip_address(host.strip("[]"))), int(port)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not ADDRESS:PORT") from error

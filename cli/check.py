"""`jetrelay check`: how a running fleet is; or what a ledger shows, judged again."""

import sys
from pathlib import Path

import click
import msgspec

from cli.doors import door_options, find_fleet


@click.command()
@click.argument("directory", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@door_options
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "nagios", "prometheus", "json"]),
    default="text",
    show_default=True,
    help="Of a fleet: for people, a plugin of Nagios, a textfile collector, a script.",
)
@click.pass_context
def command(
    ctx: click.Context,
    directory: Path | None,
    state: Path,
    region: str | None,
    url: str | None,
    creds: Path | None,
    format_: str,
    *,
    as_json: bool,
) -> None:
    """Say how a running fleet is, by its regions and the alerts that fire.

    Listens for 3 s. Exit code 0: ok. 1: warning, not all is as it should be, or no keeper is heard.
    2: critical, a region is dark or cut off, or an alert that pages fires; wrong use. 3: unknown,
    no NATS answers, or no edge is heard.

    With DIR, judge the ledger in DIR or in DIR/ledger again: the report of a drill, say. Exit code
    0: every promise was kept. 1: one was not. 2: the ledger can't be read.
    """
    if directory is not None:
        given = [
            name
            for name in ("state", "region", "url", "creds", "format_")
            if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        ]
        if given:
            raise click.UsageError("with DIR a ledger is judged, which has no other options")
        sys.exit(_check_ledger(directory, as_json=as_json))
    from cli.check_fleet import check_fleet

    fleet = find_fleet(state, region, url, creds)
    said, level = check_fleet(fleet, "json" if as_json else format_)
    click.echo(said)
    sys.exit(int(level))


def _check_ledger(directory: Path, *, as_json: bool) -> int:
    from cli.ledger_text import report
    from regions.ledger.checker import check

    findings = check(directory)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(findings), indent=1).decode())
    else:
        for line in report(findings):
            click.echo(line)
    return 0 if findings.passed else 1

"""What `jetrelay stats` prints: a moment or a series, as text, CSV or JSON."""

import csv
import io
import json
import sys
from typing import Any, Protocol

import click
import msgspec

from cli.moments import iso, shown
from cli.text import clean
from regions.columns import aligned
from regions.stats.now import Figures, Now
from regions.stats.series import FIGURES, TOTAL, Row, Spread

LABELS_SHOWN = 12

# --- one moment --------------------------------------------------------------------------------


def moment_lines(now: Now) -> list[str]:
    """A moment for people."""
    scopes = [*now.regions.items(), (TOTAL, now.total)]
    rows = [["", *FIGURES, "edges"]]
    rows += [[clean(name), *_cells(figures)] for name, figures in scopes]
    lines = [f"{shown(now.at_ms)}, seen from {clean(now.seen_from)}", "", *aligned(rows), ""]
    lines += [
        f"silent     {clean(one.region)} {clean(one.edge)}, last heard {one.age_ms / 1000:.0f} s "
        f"ago with {one.sessions:,} sessions, {one.visits:,} visits: in none of the sums"
        for one in now.silent
    ]
    lines.append(f"users      {_how_counted(now)}")
    for title, labels in (
        ("transports", now.transports),
        ("countries", now.countries),
        ("opened", now.opened),
        ("closed", now.closed),
    ):
        if labels:
            each = [f"{clean(name)} {value:,}" for name, value in labels.items()][:LABELS_SHOWN]
            more = f" and {len(labels) - LABELS_SHOWN} more" if len(labels) > LABELS_SHOWN else ""
            lines.append(f"{title:10} {' · '.join(each)}{more}")
    return lines


def _how_counted(now: Now) -> str:
    if now.users.counted_by is None and now.total.users is not None:
        word = f"standard error {now.users.error:.1%}" if now.users.error else "exact"
        return f"different ones: {word}, by that minute"
    if now.users.counted_by is None:
        return "different ones are not counted: no edge has the duty"
    if now.users.error:
        return f"estimated by {clean(now.users.counted_by)}, standard error {now.users.error:.1%}"
    word = "exact" if now.users.exact else "being counted anew"
    return f"different ones: {word}, counted by {clean(now.users.counted_by)}"


def _cells(figures: Figures) -> list[str]:
    values = [figures.connections, figures.sessions, figures.users, figures.visits, figures.edges]
    return ["—" if value is None else f"{value:,}" for value in values]


def moment_csv(now: Now) -> str:
    """A moment as CSV, a row a region, the total and the silent edges."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["time", "scope", *FIGURES, "edges"])
    for name, figures in (*now.regions.items(), (TOTAL, now.total)):
        values = [figures.connections, figures.sessions, figures.users, figures.visits]
        writer.writerow([iso(now.at_ms), name, *values, figures.edges])
    silent = [(one.connections, one.sessions, one.visits) for one in now.silent]
    connections, held, visits = (sum(column) for column in zip((0, 0, 0), *silent, strict=True))
    writer.writerow([iso(now.at_ms), "silent", connections, held, "", visits, len(silent)])
    return out.getvalue()


# --- the series --------------------------------------------------------------------------------


class Printer(Protocol):
    """Prints a series as its rows come."""

    def row(self, row: Row) -> None:
        """Print a row."""

    def end(self) -> None:
        """Print what is left."""


class SeriesText:
    """A line a time, the columns as wide as the first ones need."""

    def __init__(self) -> None:
        names = [f"{name} max/p95/mean" for name in FIGURES]
        self._widths = [max(len(name), 22) for name in names]
        cells = [name.ljust(width) for name, width in zip(names, self._widths, strict=True)]
        self._head = f"{'time (UTC)':19}  {'scope':8}  {'  '.join(cells)}  opened  closed  edges"
        self._told = False

    def row(self, row: Row) -> None:
        """Print the total; regions are in JSON and CSV."""
        if row.scope != TOTAL:
            return
        if not self._told:
            click.echo(self._head)
            self._told = True
        cells = [
            _spread_cell(getattr(row, name)).ljust(width)
            for name, width in zip(FIGURES, self._widths, strict=True)
        ]
        counts = ["—" if n is None else f"{n:,}" for n in (row.opened, row.closed)]
        when = shown(row.at_s * 1000).removesuffix(" UTC")
        silent, apart = row.silent, ""
        if silent.edges:
            held = f"{silent.sessions:,} sessions, {silent.visits:,} visits"
            apart = f"  silent: {silent.edges} edges, {held}"
        click.echo(
            f"{when}  {row.scope:8}  {'  '.join(cells)}  {counts[0]:6}  {counts[1]:6}  "
            f"{row.edges}{apart}"
        )

    def end(self) -> None:
        """Nothing is left to print."""


def _spread_cell(spread: Spread | None) -> str:
    if spread is None:
        return "—"
    return f"{spread.max:,} / {spread.p95:,} / {spread.mean:,.1f}"


class SeriesCsv:
    """A row a time and scope."""

    def __init__(self) -> None:
        self._out = csv.writer(sys.stdout, lineterminator="\n")
        spreads = [f"{name}_{kind}" for name in FIGURES for kind in ("max", "p95", "mean")]
        silent = ["silent_edges", "silent_sessions", "silent_visits"]
        heads = ["time", "step_s", "scope", *spreads, "opened", "closed", "edges", *silent]
        self._out.writerow(heads)

    def row(self, row: Row) -> None:
        """Print it."""
        values: list[Any] = []
        for name in FIGURES:
            one: Spread | None = getattr(row, name)
            values += ["", "", ""] if one is None else [one.max, one.p95, round(one.mean, 3)]
        counts = ["" if n is None else n for n in (row.opened, row.closed)]
        at = iso(row.at_s * 1000)
        silent = [row.silent.edges, row.silent.sessions, row.silent.visits]
        self._out.writerow([at, row.step_s, row.scope, *values, *counts, row.edges, *silent])

    def end(self) -> None:
        """Nothing is left to print."""


class SeriesJson:
    """One array, an object a row."""

    def __init__(self) -> None:
        self._first = True

    def row(self, row: Row) -> None:
        """Print it."""
        text = json.dumps({"time": iso(row.at_s * 1000), **msgspec.to_builtins(row)})
        click.echo(("[" if self._first else ",") + text)
        self._first = False

    def end(self) -> None:
        """Close the array."""
        click.echo("[]" if self._first else "]")

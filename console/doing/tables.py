"""Filter, sort, copy and export: what is done with the table that is looked at."""

import csv
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.errors import ConsoleError
from console.literal import clean
from console.svg import screen_text, tidy
from console.views.listing import Listing
from relay.core.query import QueryError

if TYPE_CHECKING:
    from console.app import ConsoleApp

NUMBER = re.compile(r"-[0-9][0-9.,]*")
ROW_LIMIT = 1_000  # characters of a row that is copied


class Tables:
    """The handlers.

    Args:
        app: whose tables.
        folder: where files go.
    """

    def __init__(self, app: "ConsoleApp", folder: Path) -> None:
        self._app = app
        self._folder = folder

    @property
    def handlers(self) -> Mapping[str, Callable[[str], None]]:
        """By the names of commands."""
        return {
            "filter": self.filter,
            "sort": self._sort,
            "turn": lambda _: self._listing().sort_other_way(),
            "follow": lambda _: self._follow(),
            "copy": lambda _: self._copy(),
            "export": self._export,
            "maximise": lambda _: self._maximise(),
            "screenshot": self._screenshot,
        }

    def _listing(self) -> Listing[Any]:
        listing = self._app.pane.listing
        if listing is None:
            raise ConsoleError("there is no table here")
        return listing

    def filter(self, text: str) -> None:
        """Filter the table; `!word`: what does not have it.

        Raises:
            ConsoleError: there is no table, or that is no query.
        """
        try:
            self._listing().set_filter(text)
        except QueryError as error:
            raise ConsoleError(str(error)) from error

    def _sort(self, field: str) -> None:
        if not field:
            self._listing().sort_next()
            return
        try:
            self._listing().sort_by(field)
        except QueryError as error:
            raise ConsoleError(str(error)) from error

    def _follow(self) -> None:
        listing = self._listing()
        listing.following = not listing.following

    def _copy(self) -> None:
        listing = self._listing()
        if not 0 <= listing.cursor < listing.count:
            raise ConsoleError("there is no row here")
        row = "\t".join(piece.text for piece in listing.cells(listing.cursor))
        self._app.copy_to_clipboard(clean(row.replace("\t", "  "), ROW_LIMIT))
        self._app.say("copied")

    def _export(self, file: str) -> None:
        listing = self._listing()
        path = self._path(file, f"{listing.title.lower()}-", ".csv")
        out = StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow([column.title for column in listing.columns])
        for at in range(listing.count):
            writer.writerow([_harmless(piece.text) for piece in listing.cells(at)])
        self._app.say(f"{listing.count} rows in {self._keep(path, out.getvalue(), 'text/csv')}")

    def _maximise(self) -> None:
        listing = self._listing()
        screen = self._app.screen
        if screen.maximized is None:
            screen.maximize(listing, container=False)
        else:
            screen.minimize()

    def _screenshot(self, file: str) -> None:
        path = self._path(file, "console-", ".svg")
        drawn = tidy(self._app.export_screenshot(title="jetrelay console", simplify=True))
        said = self._keep(path, drawn, "image/svg+xml")
        if not self._app.is_web:  # a browser opens one file for a key
            text = path.with_suffix(".txt")
            said += f" and {self._keep(text, screen_text(self._app.screen), 'text/plain')}"
        self._app.say(said)

    def _keep(self, path: Path, text: str, mime_type: str) -> str:
        """Write a new file, or hand it to the browser, if there is one; how it is called."""
        if not self._app.is_web:
            _write(path, text)
            return str(path)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.name)
        self._app.deliver_text(StringIO(text), save_filename=name, mime_type=mime_type)
        return name

    def _path(self, given: str, stem: str, suffix: str) -> Path:
        if given:
            try:
                path = Path(given).expanduser()
                return path if path.suffix == suffix else path.with_name(path.name + suffix)
            except (RuntimeError, ValueError) as error:  # no such user, no name
                raise ConsoleError(f"{given} names no file") from error
        at = datetime.fromtimestamp(self._app.scene.look().wall_ms / 1000, UTC)
        safe = re.sub(r"[^a-z0-9-]+", "-", stem)
        return self._folder / f"{safe}{at:%Y%m%dT%H%M%SZ}{suffix}"


def _harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    formula = text[:1] in ("=", "+", "@") or (text[:1] == "-" and not NUMBER.fullmatch(text))
    return f"'{text}" if formula else text


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8", newline="") as out:
            out.write(text)
    except OSError as error:
        raise ConsoleError(f"{path}: {error.strerror}") from error

"""The frame of a report's page, and its tables."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files


def document(title: str, body: Iterable[str]) -> str:
    """A whole page; `body` is HTML already."""
    style = (files("regions.pages") / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A part of the page under a heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    top = f"<thead><tr>{head}</tr></thead>" if heads else ""
    return f'<div class="wide"><table>{top}<tbody>{body}</tbody></table></div>'


def tiles(each: Iterable[tuple[str, str, str]]) -> str:
    """Large figures: what it is, the figure, and a remark."""
    cells = "".join(
        f"<div><span>{escape(name)}</span><b>{escape(figure)}</b><small>{escape(remark)}</small>"
        "</div>"
        for name, figure, remark in each
    )
    return f'<section class="tiles">{cells}</section>'


def mark(good: bool) -> str:
    """A tick or a cross."""
    return '<b class="good">✓</b>' if good else '<b class="bad">✗</b>'

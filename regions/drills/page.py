"""The report of a drill as one self-contained HTML page."""

from pathlib import Path

from regions.drills.verdict import Verdict

FILE = "index.html"


def write_page(directory: Path, verdict: Verdict) -> Path:
    """Write the page; returns where."""
    path = directory / FILE
    path.write_text(f"<!doctype html><title>{verdict.drill}</title>")
    return path

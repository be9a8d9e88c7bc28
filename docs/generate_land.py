"""Writes console/views/land.txt, the land of the Earth in squares of one degree.

The shapes are Natural Earth's (public domain), as the npm package `world-atlas` packs them in
TopoJSON: `npm pack world-atlas@2.0.2`, unpack it, and

.venv/bin/python docs/generate_land.py package/land-50m.json
"""

import json
import sys
from bisect import bisect
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "console" / "views" / "land.txt"
NORTH, SOUTH = 84, -56  # beyond them nobody is
SHARES = (0.17, 0.5, 0.83)  # of a degree: where a square is looked at
HEAD = """\
# The land of the Earth, from 84 degrees north to 56 south: a line a degree, from 180 west to 180
# east. A line says how many degrees are sea, how many land, and so on in turn.
# Made from Natural Earth's 1:50m land by docs/generate_land.py; Natural Earth is in the public
# domain (naturalearthdata.com).
"""

Point = tuple[float, float]  # degrees: longitude, latitude


def rings(topology: Any) -> Iterator[list[Point]]:
    """The outlines of all land and of the waters in it; of those that cross 180 degrees, longitudes
    go on beyond it.
    """
    scale, shift = topology["transform"]["scale"], topology["transform"]["translate"]

    def decode(arc: list[list[int]]) -> list[Point]:
        x = y = 0
        points: list[Point] = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((x * scale[0] + shift[0], y * scale[1] + shift[1]))
        return points

    arcs = [decode(arc) for arc in topology["arcs"]]
    for shape in topology["objects"]["land"]["geometries"]:
        for polygon in shape["arcs"]:
            for ring in polygon:
                parts = [arcs[at] if at >= 0 else arcs[~at][::-1] for at in ring]
                yield list(unwrapped(point for part in parts for point in part))


def unwrapped(points: Iterable[Point]) -> Iterator[Point]:
    """The points, none more than half the Earth from the one before."""
    before = None
    for lon, lat in points:
        if before is not None:
            lon += 360 * round((before - lon) / 360)  # noqa: PLW2901
        before = lon
        yield lon, lat


def crossings(outlines: list[list[Point]], lat: float) -> list[float]:
    """The longitudes at which a parallel enters land or leaves it."""
    found = [
        x1 + (lat - y1) / (y2 - y1) * (x2 - x1)
        for outline in outlines
        for (x1, y1), (x2, y2) in pairwise(outline)
        if (y1 > lat) != (y2 > lat)
    ]
    return sorted(lon + turn for lon in found for turn in (-360, 0, 360))


def row(outlines: list[list[Point]], north: int) -> list[bool]:
    """The squares of one degree below a parallel: land where a third of it is."""
    parts = [crossings(outlines, north - share) for share in SHARES]
    return [
        sum(bisect(part, west + share) % 2 for part in parts for share in SHARES) >= 3
        for west in range(-180, 180)
    ]


def runs(squares: list[bool]) -> str:
    """How many are sea, how many land, and so on."""
    lengths = [len(list(group)) for _, group in groupby(squares)]
    return " ".join(map(str, [0, *lengths] if squares[0] else lengths))


def main() -> None:
    """Write the file."""
    topology = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    outlines = list(rings(topology))
    lines = [runs(row(outlines, north)) for north in range(NORTH, SOUTH, -1)]
    FILE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    sys.stderr.write(f"{FILE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()

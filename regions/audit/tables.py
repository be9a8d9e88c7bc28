"""The figures of an audit, by polars: tables of stretches and of seconds in, figures out."""

from collections.abc import Sequence

import msgspec
import polars as pl

from regions.audit.material import Material, compared
from regions.audit.rebuild import Rule

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "session": pl.String,
    "tenant": pl.String,
    "user": pl.String,
    "region": pl.String,
    "edge": pl.String,
    "edge_epoch": pl.Int64,
    "transport": pl.String,
    "country": pl.String,
    "device": pl.String,
    "how": pl.String,
    "start_ms": pl.Int64,
    "start_known": pl.String,
    "end_ms": pl.Int64,
    "end_known": pl.String,
    "end_error_ms": pl.Int64,
    "code": pl.Int64,
}
SHOWN_LABELS = 300


class Concurrency(msgspec.Struct, frozen=True):
    """Sessions at once, in a time."""

    peak: int
    peak_at_ms: int | None
    mean: float


def sessions_table(material: Material) -> pl.DataFrame:
    """One row a stretch, in the order of time."""
    rows = [
        (
            one.key.hex(), one.tenant, one.user, one.region, one.edge, one.epoch, one.transport,
            one.country, one.device, one.how, one.start_ms, str(one.began), one.end_ms,
            str(one.ended), one.error_ms, one.code,
        )
        for one in material.stretches
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def visits_table(material: Material) -> pl.DataFrame:
    """One row a visit of a plain page, in the order of time."""
    rows = [
        (
            one.key.hex(), one.region, one.edge, one.country,
            material.since_ms if one.start_ms is None else one.start_ms,
            one.start_ms is not None, one.end_ms, one.ended,
        )
        for one in material.visits
    ]  # fmt: skip
    schema = {
        "visit": pl.String, "region": pl.String, "edge": pl.String, "country": pl.String,
        "start_ms": pl.Int64, "start_known": pl.Boolean, "end_ms": pl.Int64, "ended": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def changes_in_time(table: pl.DataFrame, since_ms: int, until_ms: int) -> pl.DataFrame:
    """When the number of sessions changed within a time, and what it was from then on."""
    inside = table.select(
        start=pl.col("start_ms").clip(since_ms, until_ms),
        end=pl.col("end_ms").fill_null(until_ms).clip(since_ms, until_ms),
    )
    steps = pl.concat(
        [
            inside.select(at_ms=pl.col("start"), step=pl.lit(1, pl.Int64)),
            inside.select(at_ms=pl.col("end"), step=pl.lit(-1, pl.Int64)),
        ]
    )
    summed = steps.group_by("at_ms").agg(pl.col("step").sum()).sort("at_ms")
    return summed.select("at_ms", sessions=pl.col("step").cum_sum())


def concurrency(table: pl.DataFrame, since_ms: int, until_ms: int) -> Concurrency:
    """Peak and mean over a time."""
    if table.is_empty():
        return Concurrency(0, None, 0.0)
    changes = changes_in_time(table, since_ms, until_ms)
    peak = int(changes["sessions"].max() or 0)  # type: ignore[arg-type]
    at_ms = int(changes.filter(pl.col("sessions") == peak)["at_ms"][0]) if peak else None
    open_ms = table.select(
        (
            pl.col("end_ms").fill_null(until_ms).clip(since_ms, until_ms)
            - pl.col("start_ms").clip(since_ms, until_ms)
        ).sum()
    ).item()
    return Concurrency(peak, at_ms, round(open_ms / (until_ms - since_ms), 3))


def curve(table: pl.DataFrame, since_ms: int, until_ms: int, points: int) -> list[tuple[int, int]]:
    """The most sessions at once in each of so many equal parts of a time: (begin ms, most)."""
    width_ms = max(1, -(-(until_ms - since_ms) // points))
    if table.is_empty():
        return [(at, 0) for at in range(since_ms, until_ms, width_ms)]
    changes = changes_in_time(table, since_ms, until_ms)
    edges = pl.DataFrame({"at_ms": list(range(since_ms, until_ms, width_ms))})
    begins = edges.join_asof(changes, on="at_ms").with_columns(pl.col("sessions").fill_null(0))
    both = pl.concat([begins, changes.filter(pl.col("at_ms") < until_ms)])
    parts = both.with_columns(part=(pl.col("at_ms") - since_ms) // width_ms)
    most = parts.group_by("part").agg(pl.col("sessions").max()).sort("part")
    return [(since_ms + part * width_ms, most_) for part, most_ in most.iter_rows()]


def distinct_users(table: pl.DataFrame) -> int:
    """Different users; one without a name is not counted."""
    return table.filter(pl.col("user") != "").select("tenant", "user").n_unique()


def lengths_s(table: pl.DataFrame) -> pl.Series:
    """From the first coming of each ended session to its last going, in seconds."""
    sessions = table.group_by("session").agg(
        pl.col("start_ms").min(),
        pl.col("end_ms").max(),
        open=pl.col("end_ms").is_null().any(),
    )
    ended = sessions.filter(~pl.col("open"))
    return ended.select((pl.col("end_ms") - pl.col("start_ms")) / 1000).to_series().sort()


def labels(table: pl.DataFrame, column: str) -> Sequence[str]:
    """The values of a column, those with most rows first."""
    counted = table.group_by(column).len().sort(["len", column], descending=[True, False])
    return counted[column].head(SHOWN_LABELS).to_list()


def counted(table: pl.DataFrame, column: str) -> dict[str, int]:
    """How many rows each value of a column has."""
    rows = table.group_by(column).len().sort(["len", column], descending=[True, False])
    return {str(value): count for value, count in rows.iter_rows()}


# --- against the live series -------------------------------------------------------------------


class Difference(msgspec.Struct, frozen=True):
    """How far the live figures were off."""

    seconds: int  # that were compared
    largest: int
    largest_at_s: int | None
    mean: float


def edge_difference(material: Material) -> tuple[Difference, int]:
    """Each edge's own figure against the log, at the same coming or going.

    Returns:
        The difference, and how many comings and goings the frames count that the log lacks.
    """
    frames = pl.DataFrame(
        material.frames,
        schema={
            "region": pl.String, "edge": pl.String, "epoch": pl.Int64, "second": pl.Int64,
            "sessions": pl.Int64, "changes": pl.Int64,
        },
        orient="row",
    )  # fmt: skip
    rows = [
        (*life.key, changes, count)
        for life in material.lives
        for changes, count in sorted(life.counts.items())
    ]
    counts = pl.DataFrame(
        rows,
        schema={
            "region": pl.String, "edge": pl.String, "epoch": pl.Int64, "changes": pl.Int64,
            "logged": pl.Int64,
        },
        orient="row",
    )  # fmt: skip
    if frames.is_empty() or counts.is_empty():
        return Difference(0, 0, None, 0.0), 0
    by = ["region", "edge", "epoch"]
    joined = frames.sort("changes").join_asof(
        counts.sort("changes").with_columns(logged_changes=pl.col("changes")),
        on="changes",
        by=by,
        check_sortedness=False,
    )
    joined = joined.filter(pl.col("logged").is_not_null())
    same = joined.filter(pl.col("changes") == pl.col("logged_changes"))
    off = same.with_columns(off=(pl.col("sessions") - pl.col("logged")).abs())
    newest = joined.group_by(by).agg(
        (pl.col("changes").max() - pl.col("logged_changes").max()).alias("lacking")
    )
    lacking = int(newest["lacking"].sum()) if not newest.is_empty() else 0
    return _difference(off.select("second", "off")), lacking


def sum_difference(material: Material, near_ms: int) -> tuple[Difference, Difference, int]:
    """The sum over all edges, as it was said live, against the log.

    Args:
        material: with the live series.
        near_ms: what lies so close behind a fault is set apart.

    Returns:
        The difference in all; without what is near a fault; and the sessions at the largest.
    """
    live = pl.DataFrame(material.live, schema={"second": pl.Int64, "live": pl.Int64}, orient="row")
    truth = _truth(material)
    both = live.join(truth, on="second", how="left").with_columns(pl.col("truth").fill_null(0))
    both = both.with_columns(off=(pl.col("live") - pl.col("truth")).abs()).sort("second")
    near = pl.lit(value=False)
    for at_ms in faults_ms(material):
        begin, end = at_ms // 1000 - 1, (at_ms + near_ms) // 1000
        near = near | pl.col("second").is_between(begin, end)
    calm = both.filter(~near)
    most = int(calm["truth"].max() or 0) if not calm.is_empty() else 0  # type: ignore[arg-type]
    columns = ["second", "off"]
    return _difference(both.select(columns)), _difference(calm.select(columns)), most


def faults_ms(material: Material) -> list[int]:
    """When edges died, stood still and went on, and when they began."""
    at = [life.first_ms for life in material.lives]
    at += [life.end_ms for life in material.lives if life.end_ms is not None]
    at += [edge for life in material.lives for pause in life.pauses for edge in pause]
    return sorted(one for one in at if material.since_ms - 60_000 <= one <= material.until_ms)


def _truth(material: Material) -> pl.DataFrame:
    """Sessions in each second by the log: of the edges that lived, at the moment of their frame
    where there is one.
    """
    framed: dict[tuple[str, str, int], dict[int, int]] = {}
    for region, edge, epoch, second, _, changes in material.frames:
        framed.setdefault((region, edge, epoch), {})[second] = changes
    total: dict[int, int] = {}
    first, last = compared(material)
    for life in material.lives:
        frames, at, count = framed.get(life.key, {}), 0, 0
        end_ms = life.end_ms if life.end_ms is not None else material.until_ms
        times = sorted(life.times, key=lambda one: one[0])
        for second in range(max(first, life.first_ms // 1000), min(last, end_ms // 1000 + 1)):
            while at < len(times) and times[at][0] < second * 1000 + 20:
                count, at = times[at][1], at + 1
            if any(begin < second * 1000 < end for begin, end in life.silences):
                continue
            known = life.counts.get(frames[second]) if second in frames else None
            total[second] = total.get(second, 0) + (count if known is None else known)
    return pl.DataFrame(
        sorted(total.items()), schema={"second": pl.Int64, "truth": pl.Int64}, orient="row"
    )


def _difference(off: pl.DataFrame) -> Difference:
    if off.is_empty():
        return Difference(0, 0, None, 0.0)
    largest = int(off["off"].max())  # type: ignore[arg-type]
    at_s = int(off.filter(pl.col("off") == largest)["second"].min()) if largest else None  # type: ignore[arg-type]
    return Difference(len(off), largest, at_s, round(float(off["off"].mean()), 4))  # type: ignore[arg-type]


def repaired(table: pl.DataFrame) -> dict[str, int]:
    """Ends and beginnings that the log lacked, by the rule that put them in."""
    put_in = [Rule.EDGE_DIED, Rule.STOOD_STILL, Rule.MOVED, Rule.LOST_CLOSE]
    ends = counted(table.filter(pl.col("end_known").is_in(list(map(str, put_in)))), "end_known")
    starts = counted(
        table.filter(pl.col("start_known").is_in([str(Rule.LOST_OPEN), str(Rule.BEFORE)])),
        "start_known",
    )
    return ends | starts

"""Metrics of one event. Sums elsewhere are of whole units, so that no order of rows matters."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import Column
from pyspark.sql import functions as F

MILLIS = 1_000


def whole(value: Column, units: int) -> Column:
    """A quantity as a whole number of 1/units, halves up."""
    return F.floor(value * F.lit(float(units)) + F.lit(0.5))


def page_dwell_seconds(gap: timedelta) -> Column:
    """Seconds on the page; see the column's declaration. In: event_type, gap_after_seconds."""
    duration = F.col("metadata.duration")
    # least() skips nulls: a page without a duration must not last for the whole gap.
    reported = F.when(duration.isNotNull(), F.least(duration, F.lit(gap.total_seconds())))
    dwell = F.coalesce(F.col("gap_after_seconds"), reported)
    return F.when(F.col("event_type") == "page_view", dwell)


def interval_spans(intervals: Column) -> Column:
    """[[from, to], …] seconds to structs (start, stop) in ms; malformed and empty ones go."""
    spans = F.transform(
        F.filter(intervals, lambda pair: F.size(pair) == 2),
        lambda pair: F.struct(
            whole(pair[0], MILLIS).alias("start"), whole(pair[1], MILLIS).alias("stop")
        ),
    )
    return F.filter(spans, lambda span: span["stop"] > span["start"])


def union_ms(spans: Column) -> Column:
    """Length of the union of (start, stop) spans in ms."""
    return F.aggregate(
        F.array_sort(spans),
        F.struct(
            F.lit(-(2**62)).cast("bigint").alias("upto"), F.lit(0).cast("bigint").alias("total")
        ),
        lambda so_far, span: F.struct(
            F.greatest(so_far["upto"], span["stop"]).alias("upto"),
            (
                so_far["total"]
                + F.greatest(
                    span["stop"] - F.greatest(so_far["upto"], span["start"]),
                    F.lit(0).cast("bigint"),
                )
            ).alias("total"),
        ),
        lambda so_far: so_far["total"],
    )


def video_watch_pct() -> Column:
    """Share of the video watched; see the column's declaration. In: event_type, metadata."""
    length = whole(F.col("metadata.video_length"), MILLIS)
    watched = F.when(
        F.col("metadata.intervals").isNotNull(),
        union_ms(interval_spans(F.col("metadata.intervals"))),
    ).otherwise(whole(F.col("metadata.watched_seconds"), MILLIS))
    share = F.when(length > 0, F.least(watched / length, F.lit(1.0)))
    return F.when((F.col("event_type") == "video_play") & watched.isNotNull(), share)

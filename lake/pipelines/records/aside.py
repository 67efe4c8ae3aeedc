"""Rows that no table of silver takes: quarantined for good, or held until their parent comes."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from lake.pipelines.records.publish import difference, publish_partitions
from lake.pipelines.records.received import HELD, POINTER, Pass, Received, with_missing
from schemas.tables import TABLES

QUARANTINE = "silver.records_quarantine"
CONFLICTING = "conflicting_version"


def publish_quarantine(work: Pass, received: Received, losers: DataFrame | None = None) -> None:
    """Add the source's rows that cannot be kept, and those that lost (as `conflicting` rows)."""
    if not received.report.quarantined and losers is None:
        return
    source = received.report.source
    rejected = received.rows.where(F.col("reason").isNotNull()).select(
        *POINTER, "reason", F.col("_defect").alias("detail")
    )
    rows = rejected if losers is None else rejected.unionByName(losers)
    declared = work.lake.tables.declared(
        TABLES[QUARANTINE], rows.withColumn("source", F.lit(source))
    )
    tables = work.lake.tables
    stored = tables.declared(TABLES[QUARANTINE], tables.read_days(QUARANTINE, [source]))
    # Of each new row an old one may lose.
    at_most = 2 * received.report.rows + tables.rows_at_most(QUARANTINE, [source])
    _publish(work, QUARANTINE, source, _one_each(stored.unionByName(declared)), stored, at_most)


def conflicting(losers: DataFrame) -> DataFrame:
    """Rows of silver.student_versions that another one of their key outdoes: POINTER, reason,
    detail. The detail is the same for copies of one version."""
    version = F.concat_ws("|", "student_hash", F.unix_micros("updated_at"), "_digest")
    return losers.select(
        *POINTER,
        F.lit(CONFLICTING).alias("reason"),
        F.substring(F.sha2(version, 256), 1, 32).alias("detail"),
    )


def publish_held(work: Pass, source: str, received: Received | None) -> None:
    """Hold the rows whose parent is missing, and let go of those that were taken again.

    Why a row waits follows from what is known now: its student may have come without its course.
    """
    newly = received.report.held if received else 0
    at_most = work.lake.tables.rows_at_most(HELD, [source])
    if not newly and not (at_most and work.looks_at_held):
        return
    table = TABLES[HELD]
    stored = work.lake.tables.declared(table, work.lake.tables.read_days(HELD, [source]))
    columns = ("source", *POINTER, "student_hash", "course_id")
    waiting = stored.select(*columns)
    if received and newly:
        rows = received.rows.where(F.col("missing").isNotNull())
        if "course_id" not in rows.columns:
            rows = rows.withColumn("course_id", F.lit(None).cast("string"))
        waiting = waiting.unionByName(rows.withColumn("source", F.lit(source)).select(*columns))
    judged = with_missing(work, source, waiting.dropDuplicates(list(POINTER)))
    held = judged.where(F.col("missing").isNotNull()).withColumn("reason", F.col("missing"))
    _publish(work, HELD, source, held, stored, newly + at_most)


def _publish(
    work: Pass, name: str, source: str, rows: DataFrame, stored: DataFrame, at_most: int
) -> None:
    """Put rows in place of the stored ones of the source, where they differ."""
    whole = cached(work.lake.tables.declared(TABLES[name], rows), work.caches)
    if not difference(whole, stored).isEmpty():
        publish_partitions(work, name, whole, [source], at_most)


def _one_each(rows: DataFrame) -> DataFrame:
    """One row per pointer, and per version of a student the one that stands first."""
    unique = rows.dropDuplicates(list(POINTER))
    pointer = F.concat_ws("/", *POINTER)
    what = F.when(F.col("reason") == CONFLICTING, F.col("detail")).otherwise(pointer)
    first = Window.partitionBy(what).orderBy(*POINTER)
    return unique.withColumn("place", F.row_number().over(first)).where("place = 1").drop("place")

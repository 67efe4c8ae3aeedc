"""Rows that no table of silver takes: quarantined for good, or held until their parent comes."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from lake.pipelines.publication import publish_rows
from lake.pipelines.records.digest import SEPARATOR, canonical
from lake.pipelines.records.places import CONFLICTING, HELD, POINTER, QUARANTINE
from lake.pipelines.records.publish import difference
from lake.pipelines.records.received import Pass, Received
from lake.pipelines.records.released import QUARANTINED_BEFORE, UNDATED_BEFORE, with_missing
from lake.pipelines.records.versions import Order, outdone
from schemas.tables import TABLES


def publish_quarantine(
    work: Pass, received: Received, ranked: DataFrame, order: Order, news: tuple[bool, bool]
) -> None:
    """Add the source's rows that cannot be kept, and those that contradict the ones in force.

    What a newer version takes out of force contradicts nothing any more, and goes. ranked: rows of
    the table that counts the source's rows; news: their `news_aside`. Before that table changes:
    what an old row in force loses to may be taken again, the old row's place not. A row that is in
    quarantine already has today's reason afterwards.
    """
    tables, source = work.lake.tables, received.report.source
    stored_rows = tables.rows_at_most(QUARANTINE, [source])
    has_losers, has_outdone = news[0], news[1] and stored_rows > 0
    has_reread = received.report.reread > 0 and stored_rows > 0
    if not (received.report.quarantined or has_losers or has_outdone or has_reread):
        return
    rows = received.rows.where(F.col("reason").isNotNull()).select(
        *POINTER, "reason", F.col("_defect").alias("detail")
    )
    if has_losers:
        rows = rows.unionByName(conflicting(ranked.where("contradicts"), order))
    declared = tables.declared(TABLES[QUARANTINE], rows.withColumn("source", F.lit(source)))
    stored = tables.declared(TABLES[QUARANTINE], tables.read_days(QUARANTINE, [source]))
    kept = _still_conflicting(stored, outdone(ranked), order) if has_outdone else stored
    if has_reread and received.again is not None:
        # What contradicts still is among the new rows.
        reread = received.again.where(F.col("was") == UNDATED_BEFORE)
        kept = kept.join(reread.select(*POINTER), list(POINTER), "left_anti")
    # Of each new row an old one may lose.
    at_most = 2 * received.report.rows + stored_rows
    others = kept.join(declared.select(*POINTER), list(POINTER), "left_anti")
    rows = _one_each(others.select(*declared.columns).unionByName(declared))
    _publish(work, QUARANTINE, source, rows, stored, at_most)


def note_passed(work: Pass, received: Received) -> None:
    """Remember which rows of quarantine that are judged again have no hard failure any more.

    Collected: once silver is published the rows are no longer at hand.
    """
    if received.again is None or not received.report.replayed:
        return
    again = received.again.where(F.col("was") == QUARANTINED_BEFORE).select(*POINTER)
    passed = received.rows.where(F.col("reason").isNull()).join(again, list(POINTER), "left_semi")
    by_content = passed.groupBy("_content_hash").agg(F.collect_list("_row").alias("_row"))
    work.passed[received.report.source] = by_content.toArrow()


def release_passed(work: Pass) -> int:
    """Let go of the rows that were judged again and passed; returns how many.

    After all else: a build that was killed before finds them in quarantine, and judges them again.
    A version that another one contradicts stays.
    """
    tables, released = work.lake.tables, 0
    for source, passed in work.passed.items():
        if not passed.num_rows:
            continue
        by_content = work.lake.spark.createDataFrame(passed)
        pointers = by_content.select("_content_hash", F.explode("_row").alias("_row"))
        stored = tables.declared(TABLES[QUARANTINE], tables.read_days(QUARANTINE, [source]))
        marked = stored.join(pointers.withColumn("passed", F.lit(True)), list(POINTER), "left")
        goes = F.col("passed").isNotNull() & (F.col("reason") != CONFLICTING)
        rest = marked.where(~goes).select(*stored.columns)
        released += marked.where(goes).count()
        _publish(work, QUARANTINE, source, rest, stored, tables.rows_at_most(QUARANTINE, [source]))
    return released


def conflicting(losers: DataFrame, order: Order) -> DataFrame:
    """Rows that contradict the one in force of their key and version: POINTER, reason, detail.

    The detail, `version/content`, is the same for copies. All that it is made of is a pseudonym or
    keyed where it could tell a person.
    """
    content = F.sha2(_joined(losers, ("_digest", *order.ties)), 256)
    detail = F.concat(_version_id(losers, order), F.lit("/"), F.substring(content, 1, 16))
    return losers.select(*POINTER, F.lit(CONFLICTING).alias("reason"), detail.alias("detail"))


def _version_id(rows: DataFrame, order: Order) -> Column:
    return F.substring(F.sha2(_joined(rows, (*order.keys, *order.versions)), 256), 1, 32)


def _joined(rows: DataFrame, names: Sequence[str]) -> Column:
    texts = (canonical(F.col(name), rows.schema[name].dataType) for name in names)
    return F.concat_ws(SEPARATOR, *(F.coalesce(text, F.lit("")) for text in texts))


def _still_conflicting(stored: DataFrame, outdone_rows: DataFrame, order: Order) -> DataFrame:
    """Rows of the quarantine without those that contradicted the given ones."""
    gone = outdone_rows.select(_version_id(outdone_rows, order).alias("version_id")).distinct()
    version = F.when(F.col("reason") == CONFLICTING, F.substring_index("detail", "/", 1))
    named = stored.withColumn("version_id", version)
    return named.join(gone, "version_id", "left_anti").drop("version_id")


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
        publish_rows(work.lake, work.gate, name, whole, at_most, [source])


def _one_each(rows: DataFrame) -> DataFrame:
    """One row per pointer, and of copies that conflict the one that stands first."""
    unique = rows.dropDuplicates(list(POINTER))
    pointer = F.concat_ws("/", *POINTER)
    what = F.when(F.col("reason") == CONFLICTING, F.col("detail")).otherwise(pointer)
    first = Window.partitionBy(what).orderBy(*POINTER)
    return unique.withColumn("place", F.row_number().over(first)).where("place = 1").drop("place")

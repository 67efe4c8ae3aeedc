"""Students: their versions, the dimension that follows from them, and the restricted directory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from lake.pipelines.publication import publish_rows
from lake.pipelines.records.aside import publish_quarantine
from lake.pipelines.records.digest import INSTANT
from lake.pipelines.records.history import history_changes, student_history
from lake.pipelines.records.publish import replace_of_students
from lake.pipelines.records.received import Pass, Received
from lake.pipelines.records.touch import Moved
from lake.pipelines.records.versions import Order, changed, counts, news_aside, ranked
from schemas.tables import TABLES

VERSIONS = "silver.student_versions"
STUDENTS = "silver.dim_students"
DIRECTORY = "restricted.student_directory"
VERSION_ORDER = Order(("student_hash", "updated_at"), ties=("_identifiers",), by_pointer=True)
PARTICULARS = ("student_name", "email", "phone", "date_of_birth")


def build_students(work: Pass, received: Received) -> Moved | None:
    """Take rows of registers; returns of whom they say another thing than before."""
    students = cached(received.good.select("student_hash").distinct(), work.caches)
    _publish_versions(work, received, students)
    versions = work.lake.tables.read_little(VERSIONS)
    theirs = versions.join(F.broadcast(students), "student_hash", "left_semi")
    new = cached(student_history(theirs), work.caches)
    stored = work.lake.tables.read_little(STUDENTS)
    old = stored.join(F.broadcast(students), "student_hash", "left_semi")
    moved = _moved(work, cached(history_changes(new, old), work.caches), students)
    replace_of_students(work, STUDENTS, new, students)
    publish_directory(work, received.good, ("student_name",), F.col("updated_at"))
    return moved


def _publish_versions(work: Pass, received: Received, students: DataFrame) -> None:
    tables, names = work.lake.tables, TABLES[VERSIONS].column_names
    stored = tables.read_little(VERSIONS).select(*names)
    old = stored.join(F.broadcast(students), "student_hash", "left_semi").select(*names)
    rows = cached(ranked(received.good.select(*names), old, VERSION_ORDER), work.caches)
    counted, has_losers, has_outdone = rows.agg(F.array(*counts()), *news_aside()).collect()[0]
    received.report.count(counted)
    publish_quarantine(work, received, rows, VERSION_ORDER, (has_losers, has_outdone))
    if not received.report.taken:
        return
    winners = changed(rows).select(*names)
    others = stored.join(winners.select(*VERSION_ORDER.keys), list(VERSION_ORDER.keys), "left_anti")
    at_most = tables.row_count(VERSIONS) + received.report.taken
    whole = cached(others.select(*names).unionByName(winners), work.caches)
    publish_rows(work.lake, work.gate, VERSIONS, whole, at_most)


def _moved(work: Pass, changes: DataFrame, students: DataFrame) -> Moved | None:
    """Of the students whom the lake knew: no fact of others is there yet."""
    if work.repairs:
        return _collected(work, students, None)
    is_known, day = F.col("is_known"), F.unix_date(F.to_date("valid_from"))
    is_first, since, since_any = changes.agg(
        F.bool_or(is_known & F.col("is_first")), F.min(F.when(is_known, day)), F.min(day)
    ).collect()[0]
    work.touch.register_since = _date(since_any)
    if since is None:
        return None
    theirs = changes.where("is_known").select("student_hash").distinct()
    work.touch.moved = _collected(work, theirs, None if is_first else _date(since))
    return work.touch.moved


def _date(day: int | None) -> date | None:
    return None if day is None else date(1970, 1, 1) + timedelta(days=day)


def _collected(work: Pass, students: DataFrame, since: date | None) -> Moved | None:
    """Collected: the students follow from a table that is about to be written."""
    names = students.toArrow()
    # A frame cannot be made of Arrow data without any batch.
    return Moved(work.lake.spark.createDataFrame(names), since) if names.num_rows else None


def publish_directory(work: Pass, good: DataFrame, fields: Sequence[str], told_at: Column) -> None:
    """Add what the rows tell of students: per field the newest that is not null."""
    # In the order of versions.py: particulars are those of the row in force, where it has any.
    at = F.coalesce(F.date_format(told_at.cast("timestamp"), INSTANT), F.lit(""))
    version = F.concat_ws(" ", at, "_digest", "_identifiers")
    told = good.select("student_hash", *fields, version.alias("version"))
    students = told.select("student_hash").distinct()
    stored = work.lake.tables.read_little(DIRECTORY)
    theirs = stored.join(F.broadcast(students), "student_hash", "left_semi")
    types = {column.name: column.type for column in TABLES[DIRECTORY].columns}
    new = told.select(
        "student_hash",
        *(
            (_told(name, "version") if name in fields else _nothing(types[name])).alias(name)
            for name in PARTICULARS
        ),
    )
    old = theirs.select(
        "student_hash", *(_told(name, f"_{name}_version").alias(name) for name in PARTICULARS)
    )
    newest = [F.max(name).alias(name) for name in PARTICULARS]
    merged = new.unionByName(old).groupBy("student_hash").agg(*newest)
    rows = merged.select(
        "student_hash",
        *(F.col(name)["value"].alias(name) for name in PARTICULARS),
        *(F.col(name)["version"].alias(f"_{name}_version") for name in PARTICULARS),
    )
    replace_of_students(work, DIRECTORY, cached(rows, work.caches), students)


def _told(name: str, version: str) -> Column:
    """struct<version, value> of a column: the greater is newer; null where nothing is told."""
    both = F.struct(F.col(version).alias("version"), F.col(name).alias("value"))
    return F.when(F.col(name).isNotNull(), both)


def _nothing(kind: str) -> Column:
    return F.lit(None).cast(f"struct<version: string, value: {kind}>")

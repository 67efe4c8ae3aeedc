"""Rows behind the gate into tables of records: whole partitions, or a small table whole."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from schemas.tables import TABLES

if TYPE_CHECKING:
    from lake.pipelines.records.received import Pass


def publish_partitions(
    work: Pass, name: str, rows: DataFrame, values: Collection[date | str], at_most: int
) -> None:
    """Put rows, `at_most` so many, in place of the partitions with the given values."""
    listed = sorted(values, key=str)
    days = [value for value in listed if isinstance(value, date)]
    work.lake.check_lease()
    tables, build_id = work.lake.tables, work.gate.build_id
    work.gate.publish(
        TABLES[name],
        rows,
        days,
        lambda checked: tables.replace_dates(name, checked, listed, build_id, at_most),
    )


def publish_whole(work: Pass, name: str, rows: DataFrame, at_most: int) -> None:
    """Put rows, `at_most` so many, in place of all rows of the table."""
    work.lake.check_lease()
    tables, build_id = work.lake.tables, work.gate.build_id
    work.gate.publish(
        TABLES[name],
        rows,
        [],
        lambda checked: tables.replace_all(name, checked, build_id, at_most),
    )


def replace_of_students(work: Pass, name: str, rows: DataFrame, students: DataFrame) -> bool:
    """Put rows in place of those of the students, where they differ; whether they did.

    rows: cached, all rows that the students shall have.
    """
    table = TABLES[name]
    stored = work.lake.tables.declared(table, work.lake.tables.read_little(name))
    theirs = stored.join(F.broadcast(students), "student_hash", "left_semi")
    declared = work.lake.tables.declared(table, rows)
    if difference(declared, theirs.select(*table.column_names)).isEmpty():
        return False
    others = stored.join(F.broadcast(students), "student_hash", "left_anti")
    at_most = work.lake.tables.row_count(name) + rows.count()
    whole = cached(others.select(*table.column_names).unionByName(declared), work.caches)
    publish_whole(work, name, whole, at_most)
    return True


def difference(new: DataFrame, old: DataFrame) -> DataFrame:
    """Rows that only one of the frames has, with `only_new` above or below zero."""
    both = new.withColumn("only_new", F.lit(1)).unionByName(old.withColumn("only_new", F.lit(-1)))
    summed = both.groupBy(*new.columns).agg(F.sum("only_new").alias("only_new"))
    return summed.where("only_new != 0")

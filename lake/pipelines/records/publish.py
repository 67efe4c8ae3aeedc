"""Rows behind the gate into tables of records: whole partitions, or a small table whole."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from lake.pipelines.publication import publish_rows
from schemas.tables import TABLES

if TYPE_CHECKING:
    from lake.pipelines.records.received import Pass
    from lake.table_reading import Students


@dataclass(frozen=True)
class Published:
    """What was put in place: so many rows of a table, in partitions with these days (if any)."""

    name: str
    rows: int
    days: tuple[date, ...] = ()

    def __str__(self) -> str:
        unit = "months" if TABLES[self.name].partition_by == "month" else "days"
        where = f" on {len(self.days):,} {unit}" if self.days else ""
        return f"{self.name}: {self.rows:,} rows{where}"


def replace_changed(
    work: Pass, name: str, rows: DataFrame, days: Collection[date], students: Students | None
) -> Published | None:
    """Put rows in place of the partitions of `days`, of those alone whose rows differ.

    rows: all that the students, or with None everybody, shall have there; other students' rows
    stay.
    """
    table, tables = TABLES[name], work.lake.tables
    declared = cached(tables.declared(table, rows), work.caches)
    partition = F.col(str(table.partition_by))
    differing = declared
    if tables.rows_at_most(name, days):
        stored = tables.declared(table, tables.read_days(name, days, students))
        differing = difference(declared, stored)
    listed = sorted(row[0] for row in differing.select(partition).distinct().collect())
    if not listed:
        return None
    changed = declared.where(partition.isin(listed))
    count = changed.count()
    publish_rows(work.lake, work.gate, name, changed, count, listed, of=students, made=rows)
    return Published(name, count, tuple(listed))


def replace_of_students(
    work: Pass, name: str, rows: DataFrame, students: DataFrame | None
) -> Published | None:
    """Put rows in place of those of the students (None: of all), where they differ.

    rows: cached, all rows that the students shall have.
    """
    table = TABLES[name]
    stored = work.lake.tables.declared(table, work.lake.tables.read_little(name))
    declared = work.lake.tables.declared(table, rows)
    theirs = stored
    if students is not None:
        theirs = stored.join(F.broadcast(students), "student_hash", "left_semi")
    if difference(declared, theirs.select(*table.column_names)).isEmpty():
        return None
    count = rows.count()
    whole, at_most = declared, count
    if students is not None:
        others = stored.join(F.broadcast(students), "student_hash", "left_anti")
        whole = others.select(*table.column_names).unionByName(declared)
        at_most += work.lake.tables.row_count(name)
    publish_rows(work.lake, work.gate, name, cached(whole, work.caches), at_most)
    return Published(name, count)


def difference(new: DataFrame, old: DataFrame) -> DataFrame:
    """Rows that only one of the frames has, with `only_new` above or below zero."""
    both = new.withColumn("only_new", F.lit(1)).unionByName(old.withColumn("only_new", F.lit(-1)))
    summed = both.groupBy(*new.columns).agg(F.sum("only_new").alias("only_new"))
    return summed.where("only_new != 0")

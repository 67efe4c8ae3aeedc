"""Facts and courses: the newest record of each key, in the partitions that it changes."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.delta_reading import PartitionValue
from lake.pipelines.event_rows import cached
from lake.pipelines.publication import publish_rows
from lake.pipelines.records.aside import publish_quarantine
from lake.pipelines.records.history import with_register
from lake.pipelines.records.received import Pass
from lake.pipelines.records.versions import (
    changed,
    counts,
    displaced,
    news_aside,
    ranked,
)

if TYPE_CHECKING:
    from lake.pipelines.records.received import Received
    from lake.pipelines.records.targets import Target
    from lake.pipelines.records.touch import Moved

STUDENTS = "silver.dim_students"


def build_target(
    work: Pass, target: Target, received: Received | None, moved: Moved | None
) -> set[date]:
    """Take the rows, and give the class anew to those of students who moved.

    Returns the days that changed, of a table that has days. Notes in work.touch what gold follows
    from.
    """
    rows = _ranked(work, target, received) if received else None
    touched: set[PartitionValue] = set()
    taken = 0
    if received and rows is not None:
        taken, places, news = _counted(target, rows, received)
        touched |= places
        if target.is_counted:
            publish_quarantine(work, received, rows, target.order, news)
        if taken and target.class_day:
            work.touch.add(displaced(rows), target.class_day)
    if moved and target.class_day:
        touched |= _stale_days(work, target.name, target.class_day, moved)
    if taken or touched:
        _publish(work, target, rows, touched, taken)
    if target.table.partition_by == "month":
        return set()
    days = {value for value in touched if isinstance(value, date)}
    if target.class_day:
        work.touch.days |= days
    return days


def _ranked(work: Pass, target: Target, received: Received) -> DataFrame:
    rereads = received.report.reread > 0
    new = cached(target.rows(received.good), work.caches)
    keys = list(target.table.keys)
    old = _old_rows(work, target, new).select(*target.columns)
    old = old.join(new.select(*keys).distinct(), keys, "left_semi").select(*target.columns)
    return cached(ranked(new, old, target.order, rereads=rereads), work.caches)


def _old_rows(work: Pass, target: Target, new: DataFrame) -> DataFrame:
    """Rows of the table among which are those of the new rows' keys."""
    tables, partition = work.lake.tables, target.table.partition_by
    if partition is None or not tables.exists(target.name):
        return tables.read_little(target.name)
    if target.is_of_key:
        return tables.read_days(target.name, _values(new, partition))
    keys = list(target.table.keys)
    if len(keys) > 1:
        # Which partitions they are in: of all rows the keys alone are read.
        places = tables.read_columns(target.name, [*keys, partition])
        return tables.read_days(
            target.name, _values(places.join(new.select(*keys), keys, "left_semi"), partition)
        )
    (key,) = keys
    first, last = new.agg(F.min(key), F.max(key)).collect()[0]
    if first is None:
        return tables.read_little(target.name).limit(0)
    return tables.read_between(target.name, key, first, last)


def _values(rows: DataFrame, column: str) -> list[PartitionValue]:
    return [row[0] for row in rows.select(column).distinct().collect()]


def _counted(
    target: Target, rows: DataFrame, received: Received
) -> tuple[int, set[PartitionValue], tuple[bool, bool]]:
    """How many rows are taken, the partitions that they lie in and come from, and `news_aside`."""
    partition = target.table.partition_by
    is_taken = (F.col("rank") == 1) & ~F.col("is_old")
    # As structs: a set of plain values has no null.
    place = F.struct(F.col(partition) if partition else F.lit(None).cast("string"))
    counted, now, before, has_losers, has_outdone = rows.agg(
        F.array(*counts()),
        F.collect_set(F.when(is_taken, place)),
        F.collect_set(F.when(is_taken, F.col("old_partition"))),
        *news_aside(),
    ).collect()[0]
    if target.is_counted:
        received.report.count(counted)
    places = {value for (value,) in (*now, *before)} if partition else set()
    return counted[0], places, (has_losers, has_outdone)


def _stale_days(work: Pass, name: str, day: str, moved: Moved) -> set[PartitionValue]:
    """Days on which the table says another class of the students than silver.dim_students."""
    tables = work.lake.tables
    days = [at for at in tables.days(name) if moved.since is None or at >= moved.since]
    if not days:
        return set()
    facts = tables.read_days(name, days).select("student_hash", day, "class_id")
    theirs = facts.join(F.broadcast(moved.students), "student_hash", "left_semi")
    told = theirs.withColumnRenamed("class_id", "told_class_id")
    now = with_register(told, tables.read_little(STUDENTS), day)
    stale = now.where(~F.col("class_id").eqNullSafe(F.col("told_class_id")))
    stale = cached(stale.select("student_hash", day), work.caches)
    work.touch.add(stale, day)
    return {row[0] for row in stale.select(day).distinct().collect()}


def _publish(
    work: Pass,
    target: Target,
    rows: DataFrame | None,
    touched: set[PartitionValue],
    taken: int,
) -> None:
    tables, table = work.lake.tables, target.table
    if table.partition_by is None:
        stored = tables.read_little(target.name)
        at_most = tables.row_count(target.name) + taken
    else:
        stored = tables.read_days(target.name, touched)
        at_most = tables.rows_at_most(target.name, touched) + taken
    whole = stored.select(*target.columns)
    if rows is not None and taken:
        # Rows of the old partitions go, too: their keys are among those of the winners.
        winners = changed(rows).select(*target.columns)
        keys = list(table.keys)
        others = whole.join(winners.select(*keys), keys, "left_anti").select(*target.columns)
        whole = others.unionByName(winners)
    if target.class_day:
        whole = with_register(whole, tables.read_little(STUDENTS), target.class_day)
    whole = whole.select(*table.column_names)
    partitions = touched if table.partition_by else None
    publish_rows(work.lake, work.gate, target.name, whole, at_most, partitions)

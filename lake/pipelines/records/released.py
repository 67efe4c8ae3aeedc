"""Rows that builds have received before and that are read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from lake.pipelines.records.contents import records_journal
from lake.pipelines.records.places import CONFLICTING, HELD, PARENTS, POINTER, QUARANTINE
from lake.transforms.records.mappings import cleaning
from schemas.records import AMBIGUOUS_DATE, SOURCES

if TYPE_CHECKING:
    from lake.pipelines.records.contents import Content
    from lake.pipelines.records.received import Pass

# Where a row was before it is read again.
HELD_BEFORE, QUARANTINED_BEFORE, UNDATED_BEFORE = "held", "quarantined", "undated"


@dataclass(frozen=True)
class Released:
    """Rows that were received before and are read again: which, how many, in which files.

    held: those whose parents are known now; replayed: of quarantine; reread: taken without a date.
    """

    pointers: DataFrame | None = None
    held: int = 0
    replayed: int = 0
    reread: int = 0
    hashes: frozenset[str] = frozenset()


def with_missing(work: Pass, source: str, rows: DataFrame) -> DataFrame:
    """Adds missing: unknown_student or unknown_course, null where the lake has both.

    In: student_hash and, where rows of the source name a course, course_id.
    """
    tables = work.lake.tables
    students = tables.read_little("silver.dim_students").where("is_current")
    known = students.select("student_hash", F.lit(True).alias("has_student"))
    joined = rows.join(F.broadcast(known), "student_hash", "left")
    missing = F.when(F.col("has_student").isNull(), "unknown_student")
    if "course_id" in SOURCES[source].field_names:
        courses = tables.read_little("silver.dim_courses")
        named = courses.select("course_id", F.lit(True).alias("has_course"))
        joined = joined.join(F.broadcast(named), "course_id", "left")
        missing = missing.when(F.col("has_course").isNull(), "unknown_course")
    return joined.withColumn("missing", missing).drop("has_student", "has_course")


def released_rows(work: Pass, source: str, contents: Sequence[Content]) -> Released:
    tables = work.lake.tables
    aside: list[DataFrame] = []
    if source not in PARENTS and work.looks_at_held:
        known = with_missing(work, source, tables.read_days(HELD, [source]))
        free = known.where(F.col("missing").isNull())
        aside.append(free.select(*POINTER, F.lit(HELD_BEFORE).alias("was")))
    if reasons := work.again.get(source):
        stored = tables.read_days(QUARANTINE, [source])
        chosen = stored.where(F.col("reason").isin(sorted(reasons)))
        aside.append(chosen.select(*POINTER, F.lit(QUARANTINED_BEFORE).alias("was")))
        dates = [name for name in SOURCES[source].dates if f"{name}:{AMBIGUOUS_DATE}" in reasons]
        if dates and work.rereads:
            doubtful = _doubtful(work, source, dates, contents)
            aside.append(doubtful.withColumn("was", F.lit(UNDATED_BEFORE)))
    if not aside:
        return Released()
    pointers = cached(reduce(DataFrame.unionByName, aside), work.caches)
    places = (HELD_BEFORE, QUARANTINED_BEFORE, UNDATED_BEFORE)
    held, replayed, reread, hashes = pointers.agg(
        *(F.count_if(F.col("was") == place) for place in places), F.collect_set("_content_hash")
    ).collect()[0]
    if not hashes:
        return Released()
    return Released(pointers, held, replayed, reread, frozenset(hashes))


def _doubtful(
    work: Pass, source: str, dates: Sequence[str], contents: Sequence[Content]
) -> DataFrame:
    """POINTER of rows that builds took and whose dates an order of dates alone can tell.

    Without those of the contents, which are read anyway, those that are held, and those that are
    in quarantine for their own sake.
    """
    tables, declared = work.lake.tables, SOURCES[source]
    rules = cleaning(source, replace(work.school, date_order=None)).rules
    flags = (rules[name].rule(F.col(name))["flag"] for name in dates)
    is_doubtful = reduce(or_, (flag.eqNullSafe(F.lit(AMBIGUOUS_DATE)) for flag in flags))
    quarantined = tables.read_days(QUARANTINE, [source]).where(F.col("reason") != CONFLICTING)
    elsewhere = tables.read_days(HELD, [source]).select(*POINTER)
    elsewhere = elsewhere.unionByName(quarantined.select(*POINTER))
    taken = records_journal(work.lake.store).applied_paths() - {item.path for item in contents}
    hashes = {path.partition("/")[2] for path in taken if path.startswith(f"{source}/")}
    rows = tables.read_in(declared.table, "_content_hash", hashes).select(*dates, *POINTER)
    found = rows.where(is_doubtful).join(F.broadcast(elsewhere), list(POINTER), "left_anti")
    return found.select(*POINTER)

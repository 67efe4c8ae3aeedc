"""Rows of files as silver takes them: clean, pseudonymous, with why some cannot be taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from lake.pipelines.records.digest import digest, identifiers
from lake.transforms.pseudonymise import pseudonym_keys, pseudonymise_events
from lake.transforms.records.cleaning import first_hard_failure, with_clean
from lake.transforms.records.mappings import cleaning
from schemas.records import SOURCES

if TYPE_CHECKING:
    import pyarrow as pa

    from lake.gates import Gate
    from lake.pipelines.opened import Lake
    from lake.pipelines.records.again import Again
    from lake.pipelines.records.contents import Content
    from lake.pipelines.records.touch import Touch
    from lake.transforms.records.conventions import Conventions

POINTER = ("_content_hash", "_row")
PARENTS = ("students", "course_catalog")
HELD = "silver.records_held"
QUARANTINE = "silver.records_quarantine"
CONFLICTING = "conflicting_version"


@dataclass
class SourceReport:
    """What became of a source's rows: `rows` is the sum of the next five.

    rows: of the build's files, and those that were held (`released`) or in quarantine (`replayed`)
    and are read again. taken: now in force. superseded: others are newer. duplicates: say what
    another row says. quarantined: cannot be kept, or contradict the row in force of their version.
    reasons: of the quarantined ones, each with its number.
    """

    source: str
    rows: int = 0
    taken: int = 0
    superseded: int = 0
    duplicates: int = 0
    quarantined: int = 0
    held: int = 0
    released: int = 0
    replayed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    days: set[date] = field(default_factory=set)

    def count(self, counted: Sequence[int]) -> None:
        """Note the `counts` of ranked rows."""
        self.taken, self.superseded, conflicting, self.duplicates = counted
        self.quarantined += conflicting
        if conflicting:
            self.reasons[CONFLICTING] += conflicting


@dataclass
class Pass:
    """One build at work."""

    lake: Lake
    gate: Gate
    school: Conventions
    # Whether a build was killed: what it may have left half done is derived anew.
    repairs: bool
    has_new_parents: bool
    touch: Touch
    # Cached frames of the source or table that is at work.
    caches: ExitStack
    # What of quarantine is judged again; and per source which of these rows pass now, as
    # _content_hash and a list of _row.
    again: Again = field(default_factory=dict)
    passed: dict[str, pa.Table] = field(default_factory=dict)

    @property
    def looks_at_held(self) -> bool:
        """Whether rows that are held may have got their parent."""
        return self.has_new_parents or self.repairs


@dataclass
class Received:
    """Rows of one source, cached. good: those that silver takes. again: POINTER of those that were
    set aside before, None where there are none."""

    rows: DataFrame
    good: DataFrame
    report: SourceReport
    again: DataFrame | None = None


@dataclass(frozen=True)
class Released:
    """Rows that were set aside and are read again: which, how many, in which files.

    held: those whose parents are known now; replayed: of quarantine.
    """

    pointers: DataFrame | None = None
    held: int = 0
    replayed: int = 0
    hashes: frozenset[str] = frozenset()


def receive(work: Pass, source: str, contents: Sequence[Content]) -> Received | None:
    """Rows of the contents, and of what was set aside and need not be; None where there are none.

    Columns: those of clean_rows, POINTER, _defect, and missing (which parent is not known).
    """
    released = _released(work, source)
    total = sum(content.row_count for content in contents)
    if not total and released.pointers is None:
        return None
    rows = cached(_judged(work, source, contents, released), work.caches)
    counted = rows.agg(F.count(F.lit(1)), F.count("reason"), F.count("missing")).collect()[0]
    report = SourceReport(
        source, counted[0], quarantined=counted[1], held=counted[2],
        released=released.held, replayed=released.replayed,
    )  # fmt: skip
    if report.quarantined:
        named = rows.where(F.col("reason").isNotNull()).groupBy("reason").count()
        report.reasons.update(dict(named.collect()))
    good = rows.where(F.col("reason").isNull() & F.col("missing").isNull())
    return Received(rows, good, report, released.pointers)


def _judged(work: Pass, source: str, contents: Sequence[Content], released: Released) -> DataFrame:
    stored = _stored(work, source, contents, released)
    rows = clean_rows(work.lake, work.school, source, stored)
    if source in PARENTS:
        return rows.withColumn("missing", F.lit(None).cast("string"))
    missing = F.when(F.col("reason").isNull(), F.col("missing"))
    return with_missing(work, source, rows).withColumn("missing", missing)


def clean_rows(lake: Lake, school: Conventions, source: str, stored: DataFrame) -> DataFrame:
    """Rows of bronze as silver takes them: typed, with student_hash in place of student_id.

    Adds _digest and reason: why the row cannot be kept, null for one that can. Of sources with
    names, contacts or texts _identifiers, too: what the digest leaves out of them, keyed.
    """
    rules = cleaning(source, school)
    cleaned = with_clean(stored, rules)
    types = {column.name: column.dataType for column in cleaned.schema.fields}
    rows = cleaned.withColumns(
        {"_digest": digest(source, rules, types), "reason": first_hard_failure(rules)}
    )
    if "student_id" not in rows.columns:
        return rows
    told = identifiers(source, rules, types)
    more = {} if told is None else {"_identifiers": told}
    keys = pseudonym_keys(lake.spark, lake.key, lake.settings.tenant)
    return pseudonymise_events(rows, keys, more)


def _stored(work: Pass, source: str, contents: Sequence[Content], released: Released) -> DataFrame:
    """Rows of bronze, as text: those of the contents, and the released ones of other contents."""
    declared = SOURCES[source]
    hashes = {content.content_hash for content in contents}
    stored = work.lake.tables.read_in(
        declared.table, "_content_hash", hashes | released.hashes
    ).select(*declared.field_names, "_defect", *POINTER)
    if released.pointers is None:
        return stored
    is_of_contents = F.col("_content_hash").isin(sorted(hashes))
    again = stored.where(~is_of_contents).join(
        F.broadcast(released.pointers), list(POINTER), "left_semi"
    )
    return stored.where(is_of_contents).unionByName(again)


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


def _released(work: Pass, source: str) -> Released:
    tables = work.lake.tables
    aside: list[DataFrame] = []
    if source not in PARENTS and work.looks_at_held:
        known = with_missing(work, source, tables.read_days(HELD, [source]))
        free = known.where(F.col("missing").isNull())
        aside.append(free.select(*POINTER, F.lit(True).alias("is_held")))
    if reasons := work.again.get(source):
        stored = tables.read_days(QUARANTINE, [source])
        chosen = stored.where(F.col("reason").isin(sorted(reasons)))
        aside.append(chosen.select(*POINTER, F.lit(False).alias("is_held")))
    if not aside:
        return Released()
    pointers = cached(reduce(DataFrame.unionByName, aside), work.caches)
    is_held = F.col("is_held")
    held, replayed, hashes = pointers.agg(
        F.count_if(is_held), F.count_if(~is_held), F.collect_set("_content_hash")
    ).collect()[0]
    return Released(pointers, held, replayed, frozenset(hashes)) if hashes else Released()

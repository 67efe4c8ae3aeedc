"""Rows of files as silver takes them: clean, pseudonymous, with why some cannot be taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from lake.pipelines.records.digest import digest, identifiers
from lake.pipelines.records.places import CONFLICTING, PARENTS, POINTER
from lake.pipelines.records.released import Released, released_rows, with_missing
from lake.transforms.pseudonymise import pseudonym_keys, pseudonymise_events
from lake.transforms.records.cleaning import first_hard_failure, with_clean
from lake.transforms.records.mappings import cleaning
from schemas.records import AMBIGUOUS_DATE, SOURCES

if TYPE_CHECKING:
    import pyarrow as pa

    from lake.gates import Gate
    from lake.pipelines.opened import Lake
    from lake.pipelines.records.again import Again
    from lake.pipelines.records.contents import Content
    from lake.pipelines.records.touch import Touch
    from lake.transforms.records.conventions import Conventions


@dataclass
class SourceReport:
    """What became of a source's rows: `rows` is the sum of the next five.

    rows: of the build's files, and those that were held (`released`), in quarantine (`replayed`) or
    taken with a date that the order of dates tells only now (`reread`), and are read again. taken:
    now in force. superseded: others are newer. duplicates: say what another row says. quarantined:
    cannot be kept, or contradict the row in force of their version. undated: of those that can be
    kept, rows with a date whose day and month cannot be told. reasons: of the quarantined ones,
    each with its number.
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
    reread: int = 0
    undated: int = 0
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
    # Whether rows that were taken without a date are read again, too, where `again` names that.
    rereads: bool = False
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
    received before, and where they were; None where there are none."""

    rows: DataFrame
    good: DataFrame
    report: SourceReport
    again: DataFrame | None = None


def receive(work: Pass, source: str, contents: Sequence[Content]) -> Received | None:
    """Rows of the contents, and of earlier ones what is read again; None where there are none.

    Columns: those of clean_rows, POINTER, _defect, and missing (which parent is not known).
    """
    released = released_rows(work, source, contents)
    total = sum(content.row_count for content in contents)
    if not total and released.pointers is None:
        return None
    rows = cached(_judged(work, source, contents, released), work.caches)
    is_undated = F.col("reason").isNull() & F.exists("quality_flags", _is_of_undated)
    counted = rows.agg(
        F.count(F.lit(1)), F.count("reason"), F.count("missing"), F.count_if(is_undated)
    ).collect()[0]
    report = SourceReport(
        source, counted[0], quarantined=counted[1], held=counted[2],
        undated=counted[3],
        released=released.held, replayed=released.replayed, reread=released.reread,
    )  # fmt: skip
    if report.quarantined:
        named = rows.where(F.col("reason").isNotNull()).groupBy("reason").count()
        report.reasons.update(dict(named.collect()))
    good = rows.where(F.col("reason").isNull() & F.col("missing").isNull())
    return Received(rows, good, report, released.pointers)


def _is_of_undated(flag: Column) -> Column:
    return F.endswith(flag, F.lit(f":{AMBIGUOUS_DATE}"))


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

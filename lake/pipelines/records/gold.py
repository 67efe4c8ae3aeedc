"""Gold of records: what follows from facts and register, in the days and students touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from lake.pipelines.records.history import with_register
from lake.pipelines.records.publish import Published, replace_changed, replace_of_students
from lake.table_reading import Students
from lake.transforms.records.daily import (
    class_days,
    rolling_classes,
    student_days,
    with_total_students,
)
from lake.transforms.records.monthly import grade_trends, student_months, student_summaries
from lake.transforms.records.risk import HORIZON_DAYS, RiskRules, student_risks
from schemas.tables.records_gold import RECORDS_GOLD

if TYPE_CHECKING:
    from lake.pipelines.records.received import Pass
    from lake.progress import Progress
    from lake.tables import LakeTables

ATTENDANCE, ASSESSMENTS = "silver.fact_attendance", "silver.fact_assessments"
STUDENTS = "silver.dim_students"
CLASSES, ROLLING = "gold.class_daily_performance", "gold.class_rolling_performance"
MONTHS, SUMMARY = "gold.student_month_performance", "gold.student_performance_summary"
TRENDS, RISKS = "gold.grade_level_trends", "gold.student_risk_monitor"
ROLLING_DAYS = 30


def is_derived(tables: LakeTables) -> bool:
    """Whether all tables of gold are there."""
    return all(tables.exists(table.name) for table in RECORDS_GOLD)


def fact_days(tables: LakeTables) -> set[date]:
    """Days with attendance or assessments."""
    return {*tables.days(ATTENDANCE), *tables.days(ASSESSMENTS)}


def publish_gold(
    work: Pass, rules: RiskRules, progress: Progress, *, judges_all: bool = False
) -> list[Published]:
    """Publish what the build's change of silver changes; returns what was published.

    judges_all: risk is derived anew as a whole. Partitions whose rows stay as they are are not
    written.
    """
    gold = _Gold(work, [], progress)
    if work.touch.is_whole:
        _derive_all(gold, rules)
    else:
        _derive_touched(gold, None if judges_all else rules)
        if judges_all:
            days = fact_days(gold.tables)
            _publish_all_risks(gold, rules, _known(gold.tables, days), days)
    for table in RECORDS_GOLD:
        # "No rows" must not look like "no table".
        work.lake.tables.ensure(table.name)
    return gold.published


@dataclass(frozen=True)
class _Gold:
    """Publishes tables one after the other, and remembers what it published."""

    work: Pass
    published: list[Published]
    progress: Progress

    @property
    def tables(self) -> LakeTables:
        return self.work.lake.tables

    def replace(
        self,
        name: str,
        rows: DataFrame,
        values: Iterable[date],
        students: Students | None = None,
    ) -> set[date]:
        """As replace_changed; returns the partitions that changed."""
        listed = set(values)
        if not listed:
            return set()
        with ExitStack() as self.work.caches:
            return self._noted(replace_changed(self.work, name, rows, listed, students))

    def replace_of(self, name: str, rows: DataFrame, students: DataFrame | None) -> None:
        """As replace_of_students."""
        with ExitStack() as self.work.caches:
            declared = cached(rows, self.work.caches)
            self._noted(replace_of_students(self.work, name, declared, students))

    def _noted(self, published: Published | None) -> set[date]:
        if published is None:
            return set()
        self.published.append(published)
        self.progress(str(published))
        return set(published.days)


def _derive_all(gold: _Gold, rules: RiskRules) -> None:
    tables = gold.tables
    days = fact_days(tables)
    with ExitStack() as caches:
        known = cached(_known(tables, days), caches)
        _publish_classes(gold, known, days | set(tables.days(CLASSES)))
        _publish_rolling(gold, {*tables.days(CLASSES), *tables.days(ROLLING)})
        months = {_month(day) for day in days} | set(tables.days(MONTHS))
        _publish_months(gold, known, months)
        _publish_summary(gold)
        _publish_trends(gold, months | set(tables.days(TRENDS)))
        _publish_all_risks(gold, rules, known, days)


def _publish_all_risks(gold: _Gold, rules: RiskRules, known: DataFrame, days: set[date]) -> None:
    """known: student_days of all students on all days with facts."""
    gold.replace(RISKS, student_risks(known, rules), days | set(gold.tables.days(RISKS)))


def _derive_touched(gold: _Gold, rules: RiskRules | None) -> None:
    """rules: None where risk is left out."""
    touch, tables = gold.work.touch, gold.tables
    changed = _publish_classes(gold, _known(tables, touch.days), touch.days, touch.register_since)
    known_days = {*tables.days(CLASSES), *tables.days(ROLLING)}
    _publish_rolling(gold, known_days & _moved_by(changed, range(ROLLING_DAYS)))
    days, months = fact_days(tables), set[date]()
    if touch.moved:
        since = touch.moved.since or date.min
        told = {_month(day) for day in days if day >= since}
        months |= _publish_students(gold, days, told, Students.collected(touch.moved.students))
    if touch.facts:
        changes = touch.students()
        judged = gold.work.lake.spark.createDataFrame(changes)
        hashes = changes["student_hash"].combine_chunks()
        students = Students(judged.select("student_hash"), hashes)
        told = {_month(day) for day in touch.days}
        months |= _publish_students(gold, days, told, students)
        if rules is not None:
            _publish_risks(gold, rules, judged, students, pc.min(changes["since"]).as_py(), days)
    if months:
        _publish_trends(gold, months)


def _publish_students(
    gold: _Gold, days: set[date], months: set[date], students: Students
) -> set[date]:
    """The students' months and, where any changed, their summaries; returns those that changed."""
    known = _known(gold.tables, {day for day in days if _month(day) in months}, students)
    changed = _publish_months(gold, known, months, students)
    if changed:
        _publish_summary(gold, students)
    return changed


def _known(tables: LakeTables, days: Iterable[date], of: Students | None = None) -> DataFrame:
    """student_days of the days, of the students or of all."""
    listed = set(days)
    return student_days(
        tables.read_days(ATTENDANCE, listed, of), tables.read_days(ASSESSMENTS, listed, of)
    )


def _publish_classes(
    gold: _Gold, known: DataFrame, days: set[date], register_since: date | None = None
) -> set[date]:
    """known: student_days of all students on the days. Returns the days that changed.

    From register_since on the number of students alone may be another one.
    """
    tables = gold.tables
    students = tables.read_little(STUDENTS)
    rows = class_days(known, students)
    if register_since is not None:
        others = {day for day in tables.days(CLASSES) if day >= register_since} - days
        stored = tables.read_days(CLASSES, others).drop("total_students")
        rows = rows.unionByName(with_total_students(stored, students))
        days = days | others
    return gold.replace(CLASSES, rows, days)


def _publish_rolling(gold: _Gold, days: set[date]) -> None:
    told = set(gold.tables.days(CLASSES)) & _moved_by(days, range(1 - ROLLING_DAYS, 1))
    rows = rolling_classes(gold.tables.read_days(CLASSES, told))
    gold.replace(ROLLING, rows.where(F.col("date").isin(sorted(days))), days)


def _moved_by(days: Iterable[date], steps: Sequence[int]) -> set[date]:
    """The days, moved by each of the steps."""
    return {day + timedelta(days=step) for day in days for step in steps}


def _publish_months(
    gold: _Gold, known: DataFrame, months: set[date], students: Students | None = None
) -> set[date]:
    register = gold.tables.read_little(STUDENTS)
    graded = with_register(known, register, "date", ("grade_level",))
    return gold.replace(MONTHS, student_months(graded), months, students)


def _publish_summary(gold: _Gold, students: Students | None = None) -> None:
    months = gold.tables.read_days(MONTHS, gold.tables.days(MONTHS), students)
    of = None if students is None else students.rows
    gold.replace_of(SUMMARY, student_summaries(months), of)


def _publish_trends(gold: _Gold, months: set[date]) -> None:
    """Of the months and of those that follow, whose changes are against them."""
    wanted = months | {_next(month) for month in months}
    told = wanted | {_month(month - timedelta(days=1)) for month in wanted}
    rows = grade_trends(gold.tables.read_days(MONTHS, told))
    gold.replace(TRENDS, rows.where(F.col("month").isin(sorted(wanted))), wanted)


def _publish_risks(
    gold: _Gold,
    rules: RiskRules,
    judged: DataFrame,
    students: Students,
    since: date,
    days: set[date],
) -> None:
    """judged: student_hash and since, from when on each is judged anew; since: the first of them.

    Runs that began before are known from the table itself.
    """
    tables = gold.tables
    first = since - timedelta(days=HORIZON_DAYS)
    known = _known(tables, {day for day in days if day >= first}, students)
    stored_days = [day for day in tables.days(RISKS) if day >= first]
    stored = tables.read_days(RISKS, stored_days, students)
    own = judged.withColumnRenamed("since", "judged_since")
    before = stored.join(F.broadcast(own), "student_hash").where("as_of_date < judged_since")
    rows = student_risks(known, rules, _with_carried(judged, before))
    kept = before.where(F.col("as_of_date") >= F.lit(since)).select(*rows.columns)
    again = {day for day in {*days, *stored_days} if day >= since}
    gold.replace(RISKS, rows.unionByName(kept), again, students)


def _with_carried(judged: DataFrame, before: DataFrame) -> DataFrame:
    """Adds carried_day and carried (see student_risks), from the stored rows before."""
    days = before.groupBy("student_hash", "as_of_date").agg(
        F.map_from_entries(F.collect_list(F.struct("rule", "since"))).alias("runs")
    )
    newest = days.groupBy("student_hash").agg(
        F.max("as_of_date").alias("carried_day"), F.max_by("runs", "as_of_date").alias("carried")
    )
    return judged.join(newest, "student_hash", "left")


def _month(day: date) -> date:
    return day.replace(day=1)


def _next(month: date) -> date:
    return _month(month + timedelta(days=31))

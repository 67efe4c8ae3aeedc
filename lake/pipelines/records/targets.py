"""Which tables take the records of which source, and which record of a key is in force there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.pipelines.records.versions import Order
from schemas.tables import TABLES

if TYPE_CHECKING:
    from schemas.table import Table

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Target:
    """A table that keeps the record in force of each key of one source.

    versions, ties: see Order. derived: column → expression over the cleaned ones. class_day: the
    day whose class the rows say, where they say one. is_counted: whether what becomes of the
    source's rows is told, and set aside, by this table; one of each source. is_of_key: whether rows
    of one key lie in one partition.
    """

    source: str
    name: str
    versions: tuple[str, ...]
    ties: tuple[str, ...] = ("student_hash",)
    derived: Mapping[str, Callable[[], Column]] = field(default_factory=dict)
    class_day: str | None = None
    is_counted: bool = True
    is_of_key: bool = False

    @property
    def table(self) -> Table:
        return TABLES[self.name]

    @property
    def columns(self) -> list[str]:
        """All that follows from the record alone."""
        return [
            name for name in self.table.column_names if not self.class_day or name != "class_id"
        ]

    def rows(self, good: DataFrame) -> DataFrame:
        """Of clean rows those that the table can take, with its columns.

        A version that has no place in time has no key here: it is in the fact alone.
        """
        derived = good.withColumns({name: make() for name, make in self.derived.items()})
        has_key = reduce(and_, (F.col(name).isNotNull() for name in self.table.keys))
        return derived.where(has_key).select(*self.columns)

    @property
    def order(self) -> Order:
        return Order(self.table.keys, self.versions, self.ties, partition=self.table.partition_by)


def _hours_to_close() -> Column:
    opened, closed = F.unix_micros("opened_at"), F.unix_micros("closed_at")
    hours = (closed - opened) / F.lit(1e6 * SECONDS_PER_HOUR)
    return F.when(closed >= opened, hours)


def _opened_date() -> Column:
    return F.to_date("opened_at")


def _month_of(version: str) -> Callable[[], Column]:
    return lambda: F.trunc(version, "MM")


def _versions_of(target: Target, name: str) -> Target:
    """The table that keeps all versions of the target's records, for the pictures of past days.

    Its key tells them apart, so that none replaces another of its record: in which order they come
    makes no difference, and each lies in the partition that it names itself.
    """
    return replace(target, name=name, versions=(), is_counted=False, is_of_key=True)


COURSES = Target("course_catalog", "silver.dim_courses", ("updated_at",), ties=())
ENROLLMENTS = Target(
    "students_enrollment",
    "silver.fact_enrollments",
    ("enrollment_date",),
    ties=("student_hash", "_identifiers"),
    derived={"month": _month_of("enrollment_date")},
)
ENROLLMENT_VERSIONS = _versions_of(ENROLLMENTS, "silver.enrollment_versions")
ATTENDANCE = Target(
    "attendance", "silver.fact_attendance", ("created_at",), class_day="attendance_date"
)
ASSESSMENTS = Target(
    "assessments", "silver.fact_assessments", ("created_at",), class_day="assessment_date"
)
PROGRESS = Target(
    "student_progress",
    "silver.fact_student_progress",
    ("last_activity_at",),
    derived={
        "month": _month_of("last_activity_at"),
        "time_spent_seconds": lambda: F.col("time_spent_minutes") * 60,
    },
)
PROGRESS_VERSIONS = _versions_of(PROGRESS, "silver.progress_versions")
TICKETS = Target(
    "support_tickets",
    "silver.fact_support_tickets",
    ("opened_at", "closed_at"),
    ties=("student_hash", "_identifiers"),
    derived={
        "opened_date": _opened_date,
        "is_open": lambda: F.col("closed_at").isNull(),
        "hours_to_close": _hours_to_close,
    },
)
TICKET_TEXTS = Target(
    "support_tickets",
    "restricted.ticket_texts",
    ("opened_at", "closed_at"),
    ties=TICKETS.ties,
    derived={"opened_date": _opened_date},
    is_counted=False,
)
# The one of a source that is counted is the last.
TARGETS = (
    COURSES, ENROLLMENT_VERSIONS, ENROLLMENTS, ATTENDANCE, ASSESSMENTS, PROGRESS_VERSIONS, PROGRESS,
    TICKET_TEXTS, TICKETS,
)  # fmt: skip

"""The build of gold.student_360, day by day, behind the gate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.gates import Gate
from lake.pipelines.event_rows import cached
from lake.pipelines.journal import new_build_id
from lake.pipelines.opened import only_builder
from lake.pipelines.picture_days import ACTIVITY, STUDENTS, Work, pending_pictures
from lake.pipelines.publication import publish_rows
from lake.progress import Progress, silent
from lake.transforms.picture import LONG_DAYS, Sources, student_pictures
from schemas.tables.student_360 import BEHAVIOUR_DAYS, STUDENT_360

if TYPE_CHECKING:
    from lake.pipelines.opened import Lake

# Facts are spread over the days that are derived at once: so many days, about so many pictures.
DAYS_AT_ONCE = 10
ROWS_AT_ONCE = 100_000


@dataclass
class PictureReport:
    """What a build did. rows: students of each day that it derived."""

    build_id: str
    rows: dict[date, int] = field(default_factory=dict)
    seconds: float = 0.0


def build_pictures(
    lake: Lake, asked: Sequence[date] | None = None, progress: Progress = silent
) -> PictureReport | None:
    """Derive the pictures that `pending_pictures` names; None where there are none.

    It reads facts and behaviour of the days that a picture looks back on, and the whole of
    register, enrolments, progress and tickets. Days that are published stay so where a later one
    fails. Raises GateFailed where the gate stops the table, and LeaseHeld where another process
    makes pictures for longer than the settings let it wait.
    """
    started = time.monotonic()
    with only_builder(lake, "picture", progress):
        work = pending_pictures(lake.settings, asked)
        if not work.fingerprints:
            return None
        report = PictureReport(new_build_id())
        with Gate(lake.store, report.build_id) as gate:
            for dates in _chunks(lake, work.dates):
                counts = _publish(lake, gate, work, dates)
                for day in dates:
                    report.rows[day] = counts.get(day, 0)
                    progress(f"{day}: {report.rows[day]:,} students")
    report.seconds = time.monotonic() - started
    return report


def _chunks(lake: Lake, dates: Sequence[date]) -> Iterator[Sequence[date]]:
    active_a_day = lake.tables.rows_at_most(ACTIVITY, dates) // len(dates)
    students = max(1, lake.tables.row_count(STUDENTS), active_a_day)
    size = max(1, min(DAYS_AT_ONCE, ROWS_AT_ONCE // students))
    for start in range(0, len(dates), size):
        yield dates[start : start + size]


def _publish(lake: Lake, gate: Gate, work: Work, dates: Sequence[date]) -> dict[date, int]:
    """Put the pictures of the days in place of those that the table has; students per day."""
    with ExitStack() as caches:
        pictures = student_pictures(_sources(lake, dates), dates, work.behaviour_since)
        rows = cached(_with_lineage(pictures, work, dates), caches)
        counted = rows.groupBy("as_of_date").agg(F.count(F.lit(1))).collect()
        counts: dict[date, int] = {row[0]: row[1] for row in counted}
        count = sum(counts.values())
        publish_rows(lake, gate, STUDENT_360.name, rows, count, dates, made=pictures)
    return counts


def _with_lineage(pictures: DataFrame, work: Work, dates: Sequence[date]) -> DataFrame:
    of_days = [F.lit(value) for day in dates for value in (day, work.fingerprints[day])]
    return pictures.withColumns(
        {
            "_derived_at": F.lit(datetime.now(UTC)),
            "_inputs": F.create_map(*of_days)[F.col("as_of_date")],
        }
    )


def _sources(lake: Lake, dates: Sequence[date]) -> Sources:
    tables = lake.tables
    facts = _looked_back_on(dates, LONG_DAYS)
    return Sources(
        students=tables.read_little(STUDENTS),
        activity=tables.read_days(ACTIVITY, _looked_back_on(dates, BEHAVIOUR_DAYS)),
        attendance=tables.read_days("silver.fact_attendance", facts),
        assessments=tables.read_days("silver.fact_assessments", facts),
        enrollments=tables.read_little("silver.enrollment_versions"),
        progress=tables.read_little("silver.progress_versions"),
        tickets=tables.read_little("silver.fact_support_tickets"),
        risks=tables.read_days("gold.student_risk_monitor", facts),
    )


def _looked_back_on(dates: Sequence[date], days: int) -> list[date]:
    """Every day of the `days` that end with one of the dates."""
    return sorted({day - timedelta(days=n) for day in dates for n in range(days)})

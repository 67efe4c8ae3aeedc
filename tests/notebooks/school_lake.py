"""A lake with the tables of a made-up school and of behaviour, as builds would leave them.

Its rows come from the school's truth and from the oracles that the tests hold builds against: no
Spark, a few seconds. Tests of builds show that builds give the same.
"""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from pathlib import Path

from lake.school import School, write_school
from tests.oracle.picture import ACTIVITY, STUDENTS, student_360
from tests.oracle.records import Limits, Records, gold_of_records
from tests.pipelines.picture_world import Row, write_world
from tests.pipelines.records_world import SEED, TRUE_TABLES, true_rows

ATTENDANCE, ASSESSMENTS = "silver.fact_attendance", "silver.fact_assessments"
PROGRESS, TICKETS = "silver.fact_student_progress", "silver.fact_support_tickets"


def write_school_lake(root: Path, folder: Path) -> None:
    """Write silver and gold of a school of 60 students and its pictures of the last day.

    folder: where the school's files go, which nobody reads.
    """
    tables = _silver(write_school(folder, students=60, days=40, seed=SEED))
    records = Records(tables[ATTENDANCE], tables[ASSESSMENTS], tables[STUDENTS])
    tables |= {name: list(rows) for name, rows in gold_of_records(records, Limits()).items()}
    tables[ACTIVITY] = _behaviour(tables)
    days = (row["attendance_date"] for row in tables[ATTENDANCE])
    last = max(day for day in days if day is not None)
    lineage = {"_derived_at": datetime.now(UTC), "_inputs": "made up"}
    pictures = [picture | lineage for picture in student_360(tables, last)]
    write_world(root, tables | {"gold.student_360": pictures})


def _silver(school: School) -> dict[str, list[Row]]:
    tables = {
        name: [row | {"quality_flags": []} for row in true_rows(school, name)]
        for name in TRUE_TABLES
    }
    for name in (PROGRESS, "silver.progress_versions"):
        for state in tables[name]:
            state["month"] = _month(state["last_activity_at"])
    for name in ("silver.fact_enrollments", "silver.enrollment_versions"):
        for enrolment in tables[name]:
            enrolment["month"] = _month(enrolment["enrollment_date"])
    for ticket in tables[TICKETS]:
        is_open = ticket["closed_at"] is None
        opened = ticket["opened_at"]
        ticket |= {"opened_date": opened and opened.date(), "is_open": is_open}
    return tables


def _month(moment: date | None) -> date | None:
    return None if moment is None else date(moment.year, moment.month, 1)


def _behaviour(tables: dict[str, list[Row]]) -> list[Row]:
    """Some minutes on some of the days that a student was at school."""
    rng = random.Random(SEED)
    rows = []
    for fact in tables[ATTENDANCE]:
        if fact["attendance_date"] and fact["is_present"] and rng.random() < 0.6:
            attempts = rng.randrange(6)
            rows.append(
                {
                    "date": fact["attendance_date"], "student_hash": fact["student_hash"],
                    "total_sessions": rng.randint(1, 3), "carried_over_seconds": 0.0,
                    "total_time_spent_seconds": float(rng.randint(60, 5400)), "events_count": 5,
                    "quizzes_attempted": attempts, "quizzes_correct": rng.randint(0, attempts),
                }
            )  # fmt: skip
    return rows

"""Gold of school records, recomputed from rows of silver one question at a time.

In: rows of silver.fact_attendance, silver.fact_assessments and silver.dim_students. Out: rows of
the tables of gold, whole and unsorted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from tests.oracle.rows import Row, grouped

UNITS = 10**8  # of one per cent
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Limits:
    """When the rules of risk fire; as lake.transforms.records.risk.RiskRules."""

    attendance_below: float = 0.8
    attendance_days: int = 5
    absences_in_a_row: int = 3
    score_below: float = 50.0
    assessments: int = 3
    score_drop: float = 15.0


@dataclass(frozen=True)
class Records:
    """The silver rows."""

    attendance: Sequence[Row]
    assessments: Sequence[Row]
    students: Sequence[Row]

    def dated(self) -> Records:
        return Records(
            [row for row in self.attendance if row["attendance_date"] is not None],
            [row for row in self.assessments if row["assessment_date"] is not None],
            self.students,
        )

    def pairs(self) -> set[tuple[date, str]]:
        """(day, student) with any fact."""
        return {
            *((row["attendance_date"], row["student_hash"]) for row in self.attendance),
            *((row["assessment_date"], row["student_hash"]) for row in self.assessments),
        }


def gold_of_records(records: Records, limits: Limits) -> dict[str, list[Row]]:
    """Every table of gold by its name: facts without a day are in none."""
    records = records.dated()
    classes = class_daily(records)
    months = student_months(records)
    return {
        "gold.class_daily_performance": classes,
        "gold.class_rolling_performance": class_rolling(records, classes),
        "gold.student_month_performance": months,
        "gold.student_performance_summary": student_summary(records),
        "gold.grade_level_trends": grade_trends(records),
        "gold.student_risk_monitor": risk_monitor(records, limits),
    }


def units(row: Row) -> int:
    return math.floor(row["score_pct"] * 100 * UNITS + 0.5)


def average(rows: Sequence[Row]) -> float | None:
    return sum(units(row) for row in rows) / (len(rows) * UNITS) if rows else None


def ratio(part: int, count: int) -> float | None:
    return part / count if count else None


def presence(rows: Iterable[Row]) -> dict[tuple[date, str], bool]:
    """(day, student) → whether any record says that the student was there."""
    found: dict[tuple[date, str], bool] = {}
    for row in rows:
        key = row["attendance_date"], row["student_hash"]
        found[key] = found.get(key, False) or row["is_present"]
    return found


def end_of(day: date) -> datetime:
    return datetime.combine(day + DAY, time(), UTC)


def in_force(students: Iterable[Row], day: date) -> list[Row]:
    """Rows of the register in force at the end of the day."""
    end = end_of(day)
    return [
        row
        for row in students
        if row["valid_from"] < end and (row["valid_to"] is None or row["valid_to"] >= end)
    ]


def grade_then(students: Iterable[Row], student: str, day: date) -> int:
    history = sorted(
        (row for row in students if row["student_hash"] == student),
        key=lambda row: row["valid_from"],
    )
    begun = [row for row in history if row["valid_from"] < end_of(day)]
    return (begun[-1] if begun else history[0])["grade_level"]


def class_daily(records: Records) -> list[Row]:
    attendance = grouped(records.attendance, lambda r: (r["attendance_date"], r["class_id"]))
    assessments = grouped(records.assessments, lambda r: (r["assessment_date"], r["class_id"]))
    rows = []
    for day, room in {*attendance, *assessments}:
        there = presence(attendance.get((day, room), []))
        marked = assessments.get((day, room), [])
        rows.append(
            {
                "date": day,
                "class_id": room,
                "total_students": sum(
                    row["class_id"] == room and row["enrollment_status"] == "active"
                    for row in in_force(records.students, day)
                ),
                "students_with_attendance": len(there),
                "present_count": sum(there.values()),
                "absent_count": len(there) - sum(there.values()),
                "attendance_rate": ratio(sum(there.values()), len(there)),
                "students_with_assessment": len({row["student_hash"] for row in marked}),
                "assessment_count": len(marked),
                "score_sum": sum(units(row) for row in marked),
                "avg_score": average(marked),
            }
        )
    return rows


def class_rolling(records: Records, classes: Sequence[Row]) -> list[Row]:
    def rate(of: Row, length: int) -> float | None:
        since = of["date"] - (length - 1) * DAY
        there = presence(
            row
            for row in records.attendance
            if row["class_id"] == of["class_id"] and since <= row["attendance_date"] <= of["date"]
        )
        return ratio(sum(there.values()), len(there))

    return [
        {
            "date": of["date"],
            "class_id": of["class_id"],
            "rolling_7d_attendance_rate": rate(of, 7),
            "rolling_30d_attendance_rate": rate(of, 30),
            "rolling_30d_avg_score": average(
                [
                    row
                    for row in records.assessments
                    if row["class_id"] == of["class_id"]
                    and of["date"] - 29 * DAY <= row["assessment_date"] <= of["date"]
                ]
            ),
        }
        for of in classes
    ]


def _extremes(rows: Sequence[Row]) -> tuple[float | None, float | None]:
    scores = [units(row) for row in rows]
    return (min(scores) / UNITS, max(scores) / UNITS) if scores else (None, None)


def student_months(records: Records) -> list[Row]:
    def key(day: date, row: Row) -> tuple[date, str, str, int]:
        student = row["student_hash"]
        grade = grade_then(records.students, student, day)
        return day.replace(day=1), student, row["class_id"], grade

    attendance = grouped(records.attendance, lambda r: key(r["attendance_date"], r))
    assessments = grouped(records.assessments, lambda r: key(r["assessment_date"], r))
    rows = []
    for month, student, room, grade in {*attendance, *assessments}:
        there = presence(attendance.get((month, student, room, grade), []))
        marked = assessments.get((month, student, room, grade), [])
        smallest, greatest = _extremes(marked)
        rows.append(
            {
                "month": month,
                "student_hash": student,
                "class_id": room,
                "grade_level": grade,
                "attendance_days": len(there),
                "present_days": sum(there.values()),
                "assessments": len(marked),
                "score_sum": sum(units(row) for row in marked),
                "min_score": smallest,
                "max_score": greatest,
            }
        )
    return rows


def student_summary(records: Records) -> list[Row]:
    def key(row: Row) -> tuple[str, str]:
        return row["student_hash"], row["class_id"]

    attendance = grouped(records.attendance, key)
    assessments = grouped(records.assessments, key)
    rows = []
    for student, room in {*attendance, *assessments}:
        there = presence(attendance.get((student, room), []))
        marked = assessments.get((student, room), [])
        smallest, greatest = _extremes(marked)
        rows.append(
            {
                "student_hash": student,
                "class_id": room,
                "total_attendance_days": len(there),
                "present_days": sum(there.values()),
                "attendance_rate": ratio(sum(there.values()), len(there)),
                "total_assessments": len(marked),
                "avg_score": average(marked),
                "min_score": smallest,
                "max_score": greatest,
            }
        )
    return rows


def grade_trends(records: Records) -> list[Row]:
    def key(day: date, row: Row) -> tuple[date, int]:
        grade = grade_then(records.students, row["student_hash"], day)
        return day.replace(day=1), grade

    attendance = grouped(records.attendance, lambda r: key(r["attendance_date"], r))
    assessments = grouped(records.assessments, lambda r: key(r["assessment_date"], r))
    rows: dict[tuple[date, int], Row] = {}
    for month, grade in {*attendance, *assessments}:
        present = attendance.get((month, grade), [])
        marked = assessments.get((month, grade), [])
        there = presence(present)
        rows[month, grade] = {
            "month": month,
            "grade_level": grade,
            "students": len({row["student_hash"] for row in (*present, *marked)}),
            "attendance_rate": ratio(sum(there.values()), len(there)),
            "avg_score": average(marked),
            "assessment_count": len(marked),
        }
    for (month, grade), row in rows.items():
        before = rows.get(((month - DAY).replace(day=1), grade), {})
        for name in ("attendance_rate", "avg_score"):
            now, then = row[name], before.get(name)
            row[f"{name}_change"] = None if now is None or then is None else now - then
    return list(rows.values())


# value and observations of a rule that fires, else None.
Fires = tuple[float, int] | None


def risk_monitor(records: Records, limits: Limits) -> list[Row]:
    thresholds = {
        "low_attendance": limits.attendance_below,
        "absent_in_a_row": float(limits.absences_in_a_row),
        "low_scores": limits.score_below,
        "falling_scores": -limits.score_drop,
    }
    judges: dict[str, Callable[[_Student, date, Limits], Fires]] = {
        "low_attendance": _low_attendance,
        "absent_in_a_row": _absent_in_a_row,
        "low_scores": _low_scores,
        "falling_scores": _falling_scores,
    }
    rows = []
    for name in {student for _, student in records.pairs()}:
        student = _Student(
            [row for row in records.attendance if row["student_hash"] == name],
            [row for row in records.assessments if row["student_hash"] == name],
        )
        days = sorted(day for day, whose in records.pairs() if whose == name)
        for rule, judge in judges.items():
            run: tuple[date, date] | None = None
            for day in days:
                told = judge(student, day, limits)
                if told is None:
                    run = None
                    continue
                goes_on = run is not None and (day - run[1]).days <= 90
                run = (run[0] if run and goes_on else day), day
                rows.append(
                    {
                        "as_of_date": day,
                        "student_hash": name,
                        "rule": rule,
                        "class_id": student.class_on(day),
                        "since": run[0],
                        "value": told[0],
                        "threshold": thresholds[rule],
                        "observations": told[1],
                    }
                )
    return rows


@dataclass(frozen=True)
class _Student:
    attendance: Sequence[Row]
    assessments: Sequence[Row]

    def class_on(self, day: date) -> str:
        (room,) = {
            *(row["class_id"] for row in self.attendance if row["attendance_date"] == day),
            *(row["class_id"] for row in self.assessments if row["assessment_date"] == day),
        }
        return str(room)

    def days(self, day: date, length: int) -> list[bool]:
        """Presence on the days with attendance of the window, in time."""
        there = presence(self.attendance)
        window = sorted(at for at, _ in there if day - (length - 1) * DAY <= at <= day)
        return [max(there[key] for key in there if key[0] == at) for at in window]

    def scores(self, day: date) -> list[int]:
        rows = [row for row in self.assessments if day - 89 * DAY <= row["assessment_date"] <= day]
        rows.sort(key=lambda row: (row["assessment_date"], row["assessment_id"]))
        return [units(row) for row in rows]


def _low_attendance(student: _Student, day: date, limits: Limits) -> Fires:
    there = student.days(day, 30)
    if len(there) < limits.attendance_days:
        return None
    share = sum(there) / len(there)
    return (share, len(there)) if share < limits.attendance_below else None


def _absent_in_a_row(student: _Student, day: date, limits: Limits) -> Fires:
    there = student.days(day, 90)
    count = 0
    while count < len(there) and not there[-1 - count]:
        count += 1
    return (float(count), count) if count >= limits.absences_in_a_row else None


def _low_scores(student: _Student, day: date, limits: Limits) -> Fires:
    scores = student.scores(day)
    if len(scores) < limits.assessments:
        return None
    mean = sum(scores) / (len(scores) * UNITS)
    return (mean, len(scores)) if mean < limits.score_below else None


def _falling_scores(student: _Student, day: date, limits: Limits) -> Fires:
    scores = student.scores(day)
    older, newest = scores[:-3], scores[-3:]
    if len(older) < 3:
        return None
    # mean(newest) - mean(older), in whole numbers up to the one division
    change = (sum(newest) * len(older) - sum(older) * 3) / (3 * len(older) * UNITS)
    return (change, len(scores)) if change <= -limits.score_drop else None

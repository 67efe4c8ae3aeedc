"""gold.student_360 from the rows of the tables below it, one student and one day at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.oracle.reading import whole
from tests.oracle.rows import MICRO, Row, grouped, seconds

Tables = Mapping[str, Sequence[Row]]
ACTIVITY = "gold.student_daily_activity"
STUDENTS = "silver.dim_students"
RISKS = "gold.student_risk_monitor"
TABLES = (
    ACTIVITY, STUDENTS, "silver.fact_attendance", "silver.fact_assessments",
    "silver.enrollment_versions", "silver.progress_versions", "silver.fact_support_tickets", RISKS,
)  # fmt: skip
RECORD_COUNTS = (
    "attendance_days_30d", "assessments_90d", "courses_enrolled", "lessons_touched",
    "tickets_opened_90d", "tickets_open",
)  # fmt: skip
FEATURES = (
    "rolling_7d_time_spent", "rolling_7d_sessions", "avg_quiz_accuracy_30d", "last_login_days_ago",
    "engagement_trend",
)  # fmt: skip


def student_360(tables: Tables, as_of: date) -> list[Row]:
    """The rows of a day, without lineage."""
    by_student = {
        name: grouped(tables.get(name, ()), lambda row: row["student_hash"]) for name in TABLES
    }
    has_behaviour = any(row["date"] <= as_of for row in tables.get(ACTIVITY, ()))
    everybody = {student for rows in by_student.values() for student in rows}
    pictures = []
    for student in sorted(everybody):
        own = {name: rows.get(student, []) for name, rows in by_student.items()}
        register = _in_force(own[STUDENTS], as_of)
        features = _features(own[ACTIVITY], as_of)
        if register is None and features is None:
            continue
        picture: Row = {"student_hash": student, "as_of_date": as_of}
        for name in ("class_id", "grade_level", "enrollment_status"):
            picture[name] = register[name] if register else None
        picture |= _behaviour(own[ACTIVITY], as_of) if has_behaviour else dict.fromkeys(
            ("sessions_30d", "time_spent_30d_seconds")
        )  # fmt: skip
        picture |= features or dict.fromkeys(FEATURES)
        picture |= _records(own, as_of)
        if register is None:
            picture |= {name: picture[name] or None for name in RECORD_COUNTS}
        pictures.append(picture)
    return pictures


def _in_force(versions: Iterable[Row], as_of: date) -> Row | None:
    end = datetime.combine(as_of, time(), UTC) + timedelta(days=1)
    return next(
        (
            row
            for row in versions
            if row["valid_from"] < end and (row["valid_to"] is None or row["valid_to"] >= end)
        ),
        None,
    )


def _window(rows: Iterable[Row], day: str, as_of: date, days: int) -> list[Row]:
    since = as_of - timedelta(days=days)
    return [row for row in rows if row[day] is not None and since < row[day] <= as_of]


def _known_us(rows: Sequence[Row], as_of: date, days: int) -> int:
    total = sum(
        whole(row["total_time_spent_seconds"], MICRO) or 0
        for row in _window(rows, "date", as_of, days)
    )
    carried = (whole(row["carried_over_seconds"], MICRO) for row in rows if row["date"] == as_of)
    return total - sum(us or 0 for us in carried)


def _behaviour(rows: Sequence[Row], as_of: date) -> Row:
    return {
        "sessions_30d": sum(row["total_sessions"] for row in _window(rows, "date", as_of, 30)),
        "time_spent_30d_seconds": seconds(_known_us(rows, as_of, 30)),
    }


def _features(rows: Sequence[Row], as_of: date) -> Row | None:
    active = [row["date"] for row in _window(rows, "date", as_of, 31)]
    if not active:
        return None
    this = _known_us(rows, as_of, 7)
    previous = _known_us(rows, as_of - timedelta(days=7), 7)
    month = _window(rows, "date", as_of, 30)
    attempts = sum(row["quizzes_attempted"] for row in month)
    correct = sum(row["quizzes_correct"] for row in month)
    return {
        "rolling_7d_time_spent": seconds(this),
        "rolling_7d_sessions": sum(r["total_sessions"] for r in _window(rows, "date", as_of, 7)),
        "avg_quiz_accuracy_30d": correct / attempts if attempts else None,
        "last_login_days_ago": (as_of - max(active)).days,
        "engagement_trend": (this - previous) / (this + previous) if this + previous else 0.0,
    }


def _records(own: Mapping[str, Sequence[Row]], as_of: date) -> Row:
    attendance, assessments = own["silver.fact_attendance"], own["silver.fact_assessments"]
    tickets = own["silver.fact_support_tickets"]
    return {
        **_attendance(attendance, as_of),
        **_scores(assessments, as_of),
        "courses_enrolled": len(
            {
                row["course_id"]
                for row in own["silver.enrollment_versions"]
                if row["enrollment_date"] <= as_of
            }
        ),
        **_lessons(own["silver.progress_versions"], as_of),
        "tickets_opened_90d": len(_window(tickets, "opened_date", as_of, 90)),
        "tickets_open": sum(_is_open(ticket, as_of) for ticket in tickets),
        **_risk(attendance, assessments, own[RISKS], as_of),
    }


def _attendance(rows: Sequence[Row], as_of: date) -> Row:
    present: dict[date, bool] = {}
    for row in _window(rows, "attendance_date", as_of, 90):
        day = row["attendance_date"]
        present[day] = present.get(day, False) or row["is_present"]
    recent = [was for day, was in present.items() if day > as_of - timedelta(days=30)]
    return {
        "attendance_days_30d": len(recent),
        "attendance_rate_30d": sum(recent) / len(recent) if recent else None,
        "last_absence_date": max((day for day, was in present.items() if not was), default=None),
    }


def _percent(scores: Sequence[float]) -> float:
    """Mean of shares as per cent; each is rounded to ten decimals first."""
    return sum(map(_rounded, scores)) / len(scores) / 10**8


def _rounded(share: float) -> int:
    scaled = Decimal(share) * 10**10
    return int(scaled.to_integral_value(rounding=ROUND_HALF_UP))


def _scores(rows: Sequence[Row], as_of: date) -> Row:
    of_window = sorted(
        _window(rows, "assessment_date", as_of, 90),
        key=lambda row: (row["assessment_date"], row["assessment_id"]),
    )
    scores = [row["score_pct"] for row in of_window]
    return {
        "assessments_90d": len(scores),
        "avg_score_90d": _percent(scores) if scores else None,
        "min_score_90d": _rounded(min(scores)) / 10**8 if scores else None,
        "score_change_90d": _percent(scores[-3:]) - _percent(scores[:-3])
        if len(scores) >= 6
        else None,
    }


def _lessons(rows: Sequence[Row], as_of: date) -> Row:
    known = [row for row in rows if row["last_activity_at"].date() <= as_of]
    known.sort(key=lambda row: row["last_activity_at"])
    newest = {(row["course_id"], row["lesson_id"]): row["completion_pct"] for row in known}
    shares = list(newest.values())
    return {
        "lessons_touched": len(shares),
        "avg_completion_pct": _percent(shares) / 100 if shares else None,
    }


def _is_open(ticket: Row, as_of: date) -> bool:
    opened, closed = ticket["opened_at"], ticket["closed_at"]
    if opened is None:
        return False
    return opened.date() <= as_of and (closed is None or closed.date() > as_of)


def _risk(
    attendance: Sequence[Row], assessments: Sequence[Row], risks: Sequence[Row], as_of: date
) -> Row:
    facts = _window(attendance, "attendance_date", as_of, 90)
    tests = _window(assessments, "assessment_date", as_of, 90)
    days: list[Any] = [row["attendance_date"] for row in facts]
    days += [row["assessment_date"] for row in tests]
    if not days:
        return {"risk_rules": None, "risk_since": None}
    fired = [row for row in risks if row["as_of_date"] == max(days)]
    return {
        "risk_rules": sorted(row["rule"] for row in fired),
        "risk_since": min((row["since"] for row in fired), default=None),
    }

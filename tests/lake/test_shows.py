"""The ready answers: right numbers, sensible order, values of the caller never in the SQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas
import pytest

from lake.errors import LakeError
from lake.settings import Settings
from lake.shows import (
    show_class_daily_performance,
    show_class_statistics,
    show_grade_level_trends,
    show_student_360,
    show_student_performance_summary,
    show_students_at_risk,
)
from tests.lake.test_query import write_rows

MakeSettings = Callable[..., Settings]
Row = dict[str, Any]
FIRST = date(2025, 9, 1)
ANA, BEN, CLEO = (letter * 64 for letter in "abc")
PERCENT = 100_000_000
HOSTILE = "9A' OR '1'='1"


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def a_class_day(
    number: int, name: str, present: int | None, of: int = 4, scores: tuple[int, ...] = ()
) -> Row:
    """A row of gold.class_daily_performance; present None: a day without attendance."""
    return {
        "date": day(number),
        "class_id": name,
        "total_students": of,
        "students_with_attendance": 0 if present is None else of,
        "present_count": present or 0,
        "absent_count": 0 if present is None else of - present,
        "attendance_rate": None if present is None else present / of,
        "assessment_count": len(scores),
        "score_sum": sum(scores) * PERCENT,
        "avg_score": sum(scores) / len(scores) if scores else None,
    }


def a_student(student: str, name: str, status: str = "active", *, is_current: bool = True) -> Row:
    return {
        "student_hash": student, "class_id": name, "grade_level": 9, "enrollment_status": status,
        "valid_from": datetime(2025, 8, 1 if is_current else 2, tzinfo=UTC),
        "is_current": is_current, "quality_flags": [],
    }  # fmt: skip


def frame_rows(frame: pandas.DataFrame) -> list[Row]:
    return [
        {name: None if pandas.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


@pytest.fixture
def lake(settings: MakeSettings) -> Settings:
    made = settings()
    write_rows(
        made,
        "gold.class_daily_performance",
        [
            a_class_day(0, "9A", 4, scores=(50,)),
            a_class_day(1, "9A", 1, of=2, scores=(80, 90, 100)),
            a_class_day(2, "9A", 2),
            a_class_day(3, "9A", None, scores=(70,)),
            a_class_day(4, "9A", 4),
            a_class_day(1, "9B", 0),
        ],
    )
    write_rows(
        made,
        "silver.dim_students",
        [
            a_student(ANA, "9A"),
            a_student(BEN, "9A", "withdrawn"),
            a_student(CLEO, "9C"),
            a_student(CLEO, "9A", is_current=False),
        ],
    )
    return made


def test_show_class_statistics__weighs_every_record_alike(lake: Settings) -> None:
    rows = {row["class_id"]: row for row in frame_rows(show_class_statistics(lake))}
    assert rows["9A"] == {
        "class_id": "9A",
        "active_students": 1,
        "days": 5,
        "attendance_rate": 11 / 14,
        "assessments": 5,
        "avg_score": 78.0,
        # Of two days that are as good or as bad the newer one.
        "best_day": pandas.Timestamp(day(4)),
        "best_attendance_rate": 1.0,
        "worst_day": pandas.Timestamp(day(2)),
        "worst_attendance_rate": 0.5,
    }


def test_show_class_statistics__has_classes_without_days_and_without_students(
    lake: Settings,
) -> None:
    rows = {row["class_id"]: row for row in frame_rows(show_class_statistics(lake))}
    assert list(rows) == ["9A", "9B", "9C"]
    assert (rows["9B"]["active_students"], rows["9B"]["attendance_rate"]) == (0, 0.0)
    assert (rows["9B"]["assessments"], rows["9B"]["avg_score"]) == (0, None)
    assert (rows["9C"]["active_students"], rows["9C"]["days"], rows["9C"]["best_day"]) == (
        1, 0, None,
    )  # fmt: skip


def test_show_class_daily_performance__gives_the_newest_days_first(lake: Settings) -> None:
    rows = show_class_daily_performance(settings=lake)
    assert [(at.date(), name) for at, name in zip(rows["date"], rows["class_id"], strict=True)] == [
        (day(4), "9A"), (day(3), "9A"), (day(2), "9A"), (day(1), "9A"), (day(1), "9B"),
        (day(0), "9A"),
    ]  # fmt: skip
    assert len(show_class_daily_performance(2, lake)) == 2
    assert len(show_class_daily_performance(None, lake)) == 6


def test_show_student_performance_summary__takes_a_class_as_a_value(lake: Settings) -> None:
    scores: dict[tuple[str, str], float | None] = {
        ("9A", ANA): 55.0, ("9A", BEN): 75.0, ("9B", ANA): None, ("9B", CLEO): 99.0,
        (HOSTILE, CLEO): 1.0,
    }  # fmt: skip
    write_rows(
        lake,
        "gold.student_performance_summary",
        [
            {"student_hash": student, "class_id": name, "avg_score": score}
            for (name, student), score in scores.items()
        ],
    )
    rows = show_student_performance_summary(settings=lake)
    assert list(zip(rows["class_id"], rows["student_hash"], strict=True)) == [
        ("9A", BEN), ("9A", ANA), (HOSTILE, CLEO), ("9B", CLEO), ("9B", ANA),
    ]  # fmt: skip
    assert list(show_student_performance_summary("9A", lake)["student_hash"]) == [BEN, ANA]
    assert list(show_student_performance_summary(HOSTILE, lake)["student_hash"]) == [CLEO]
    assert len(show_student_performance_summary("9Z", lake)) == 0


def test_show_students_at_risk__looks_at_the_newest_judged_day_only(lake: Settings) -> None:
    def fact(number: int, student: str, kind: str) -> Row:
        return {
            f"{kind}_date": day(number), "student_hash": student, f"{kind}_id": f"{number}",
            "created_at": datetime(2025, 9, 1, tzinfo=UTC), "quality_flags": [],
        }  # fmt: skip

    def fired(number: int, student: str, rule: str) -> Row:
        return {
            "as_of_date": day(number), "student_hash": student, "rule": rule, "class_id": "9A",
            "since": day(0), "value": 0.5, "threshold": 0.8, "observations": 5,
        }  # fmt: skip

    write_rows(lake, "silver.fact_attendance", [fact(1, ANA, "attendance")])
    write_rows(
        lake,
        "silver.fact_assessments",
        [fact(4, BEN, "assessment"), fact(2, CLEO, "assessment")],
    )
    write_rows(
        lake,
        "gold.student_risk_monitor",
        [
            fired(1, ANA, "low_scores"), fired(1, ANA, "absent_in_a_row"),
            # Three days later nothing fired any more.
            fired(1, BEN, "low_scores"),
            fired(1, CLEO, "low_scores"), fired(2, CLEO, "falling_scores"),
        ],
    )  # fmt: skip
    rows = show_students_at_risk(settings=lake)
    assert list(zip(rows["student_hash"], rows["rule"], strict=True)) == [
        (CLEO, "falling_scores"), (ANA, "absent_in_a_row"), (ANA, "low_scores"),
    ]  # fmt: skip
    assert len(show_students_at_risk(1, lake)) == 1


def test_show_grade_level_trends__gives_the_newest_month_first(lake: Settings) -> None:
    write_rows(
        lake,
        "gold.grade_level_trends",
        [
            {"month": date(2025, month, 1), "grade_level": grade, "students": 3}
            for month in (8, 9)
            for grade in (10, 9)
        ],
    )
    rows = show_grade_level_trends(lake)
    months = [at.month for at in rows["month"]]
    assert list(zip(months, rows["grade_level"], strict=True)) == [
        (9, 9), (9, 10), (8, 9), (8, 10),
    ]  # fmt: skip


def test_show_student_360__gives_a_day_or_a_student(lake: Settings) -> None:
    pictures = [(ANA, 0), (ANA, 3), (BEN, 0), (BEN, 3), (CLEO, 0)]
    write_rows(
        lake,
        "gold.student_360",
        [
            {"student_hash": student, "as_of_date": day(number), "class_id": "9A",
             "_derived_at": datetime(2025, 9, 9, tzinfo=UTC)}
            for student, number in pictures
        ],
    )  # fmt: skip

    def shown(**given: Any) -> list[tuple[str, date]]:
        rows = show_student_360(settings=lake, **given)
        assert not [name for name in rows.columns if name.startswith("_")]
        return [
            (student, at.date())
            for student, at in zip(rows["student_hash"], rows["as_of_date"], strict=True)
        ]

    assert shown() == [(ANA, day(3)), (BEN, day(3))]
    assert shown(as_of=day(0)) == [(ANA, day(0)), (BEN, day(0)), (CLEO, day(0))]
    assert shown(student_hash=ANA) == [(ANA, day(3)), (ANA, day(0))]
    assert shown(student_hash=ANA, as_of=day(0)) == [(ANA, day(0))]
    assert shown(as_of=day(1)) == []
    assert shown(student_hash=HOSTILE) == []


@pytest.mark.parametrize(
    ("show", "message"),
    [
        (show_grade_level_trends, r"gold\.grade_level_trends is not written"),
        (show_student_360, r"gold\.student_360 is not written yet.*lmslake picture build"),
        (show_students_at_risk, r"silver\.fact_\w+ is not written"),
    ],
)
def test_show__names_the_command_that_writes_a_missing_table(
    lake: Settings, show: Callable[..., pandas.DataFrame], message: str
) -> None:
    with pytest.raises(LakeError, match=message):
        show(settings=lake)


def test_show__reads_the_lake_of_the_environment(
    lake: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMSLAKE_ROOT", lake.root)
    assert len(show_class_daily_performance()) == 6

"""What the records' benchmark feeds and asks: its peer, its days, its judge."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from benchmarks.records import COMPARED
from benchmarks.records_day import PROGRESS, SUMMARY, Written, judged
from benchmarks.records_files import PROGRESS_EVERY, TEST_EVERY, school_days, write_days
from benchmarks.records_peer import main
from lake.school.bulk import write_assessments, write_attendance, write_register
from tests.pipelines.picture_world import FACT, write_world

STUDENTS = 1_200


def test_peer__has_every_row_once(tmp_path: Path) -> None:
    files, out = tmp_path / "files", tmp_path / "out"
    write_register(files, STUDENTS)
    attendance = write_attendance(files, 3 * STUDENTS, STUDENTS, files=2)
    assessments = write_assessments(files, 2 * STUDENTS, STUDENTS)
    main(files, out)

    def found(name: str) -> object:
        file = out / f"{name.split('.')[1]}.parquet"
        return duckdb.execute(f"SELECT {COMPARED[name]} FROM '{file}'").fetchone()

    classes = STUDENTS // 30
    assert found("silver.fact_attendance") == (attendance.rows, attendance.total)
    assert found("silver.fact_assessments") == (assessments.rows, assessments.total / 100)
    assert found("gold.class_daily_performance") == (
        3 * classes,
        attendance.total + 3 * STUDENTS,
    )
    summary = found("gold.student_performance_summary")
    assert summary == (STUDENTS, attendance.total + assessments.rows)


def test_write_days__gives_a_day_the_same_rows_in_any_history(tmp_path: Path) -> None:
    days = school_days(30)
    assert {day.weekday() for day in days} == set(range(5))
    whole = write_days(tmp_path / "whole", days, 40)
    alone = write_days(tmp_path / "alone", days[-1:], 40)
    for every, one in zip(whole[1:], alone[1:], strict=True):
        rows = {line.rstrip(",") for line in one.read_text().splitlines() if str(days[-1]) in line}
        assert len(rows) in (40, 40 // TEST_EVERY, 40 // PROGRESS_EVERY)
        told = [line.rstrip(",") for line in every.read_text().splitlines()]
        assert rows <= set(told)
        assert len(told) == len(set(told))


def test_judged__finds_rows_of_neither_the_day_nor_its_month_nor_its_students(
    tmp_path: Path,
) -> None:
    day, month, other = date(2025, 9, 15), date(2025, 9, 1), date(2025, 7, 1)
    told = [{"student_hash": c * 64} | FACT for c in "ab"]
    attendance = [row | {"attendance_date": day, "is_present": True} for row in told]
    summaries = [row | {"class_id": "9A"} for row in told]
    write_world(tmp_path, {SUMMARY: summaries})
    known = {SUMMARY: {"no such file"}}
    states = [
        row | {"month": at, "last_activity_at": datetime(2025, 9, 15, tzinfo=UTC)}
        for row in told
        for at in (month, other)
    ]
    write_world(tmp_path, {"silver.fact_attendance": attendance, PROGRESS: states})
    touched = {SUMMARY: {"a" * 64, "b" * 64}, PROGRESS: {"a" * 64}}
    assert judged(tmp_path, known, day, touched) == {
        "silver.fact_attendance": Written(2, 0),
        PROGRESS: Written(4, 1),
        SUMMARY: Written(2, 0),
    }
    # On the 8th of August lessons leave the month before: its rows are theirs.
    in_august = judged(tmp_path, known, date(2025, 8, 8), touched)
    assert in_august[PROGRESS] == Written(4, 1)
    assert judged(tmp_path, known, other, touched)["silver.fact_attendance"] == Written(2, 2)

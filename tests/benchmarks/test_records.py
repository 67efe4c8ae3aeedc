"""The peer of the records' benchmark, on files whose sums are known."""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.records import COMPARED, one_day
from benchmarks.records_peer import main
from lake.school.bulk import write_assessments, write_attendance, write_register

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


def test_one_day__repeats_no_record(tmp_path: Path) -> None:
    before = write_attendance(tmp_path / "before", 2 * STUDENTS, STUDENTS)
    after = one_day(tmp_path / "after", STUDENTS)

    def keys(path: Path) -> set[str]:
        return {line.split(",")[0] for line in path.read_text().splitlines()[1:]}

    assert len(keys(after.files[0])) == STUDENTS
    assert not keys(before.files[0]) & keys(after.files[0])

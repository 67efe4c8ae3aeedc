"""Large clean files: as many rows as asked for, and the sums that are told."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from lake.school.bulk import Bulk, write_assessments, write_attendance, write_register


def rows_of(bulk: Bulk) -> list[list[dict[str, str]]]:
    parsed = []
    for path in bulk.files:
        with path.open(encoding="utf-8", newline="") as file:
            parsed.append(list(csv.DictReader(file)))
    return parsed


def test_write_attendance__divides_its_rows_among_files(tmp_path: Path) -> None:
    bulk = write_attendance(tmp_path, rows=1_000, students=70, files=3)
    files = rows_of(bulk)
    rows = [row for file in files for row in file]
    assert [len(file) for file in files] == [333, 333, 334]
    assert len({row["attendance_id"] for row in rows}) == bulk.rows == 1_000
    assert len({(row["student_id"], row["attendance_date"]) for row in rows}) == 1_000
    assert sum(row["status"] == "PRESENT" for row in rows) == bulk.total
    assert {row["status"] for row in rows} == {"PRESENT", "ABSENT"}


def test_write_attendance__is_the_same_however_it_is_divided(tmp_path: Path) -> None:
    one = write_attendance(tmp_path / "one", rows=500, students=30)
    many = write_attendance(tmp_path / "many", rows=500, students=30, files=7)
    assert [row for file in rows_of(many) for row in file] == rows_of(one)[0]
    assert one.total == many.total


def test_write_assessments__writes_arrays(tmp_path: Path) -> None:
    bulk = write_assessments(tmp_path, rows=301, students=40, files=2)
    items = [item for path in bulk.files for item in json.loads(path.read_text(encoding="utf-8"))]
    assert len({item["assessment_id"] for item in items}) == bulk.rows == 301
    assert sum(item["score"] for item in items) == bulk.total
    assert all(0 <= item["score"] <= item["max_score"] for item in items)


def test_write_register__knows_the_students_of_the_other_files(tmp_path: Path) -> None:
    bulk = write_register(tmp_path, students=70)
    (students,) = rows_of(bulk)
    (attendance,) = rows_of(write_attendance(tmp_path, rows=200, students=70))
    assert {row["student_id"] for row in attendance} == {row["student_id"] for row in students}
    assert len({row["class_id"] for row in students}) == bulk.total == 3

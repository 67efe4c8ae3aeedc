"""Later files of school records change what they say, and nothing else."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lake import limits
from lake.pipelines.records.build import build_records
from lake.storage_local import LocalStore
from tests.landing.zones import School as Zone
from tests.pipelines.conftest import OpenLake
from tests.pipelines.records_world import Row, files_of, hash_of, rows_of

if TYPE_CHECKING:
    from lake.pipelines.records.build import RecordsReport

ATTENDANCE = "silver.fact_attendance"
ENROLLMENTS = "silver.fact_enrollments"
STUDENTS = "student_id,student_name,class_id,grade_level,enrollment_status,updated_at\n"
PRESENCES = "attendance_id,student_id,attendance_date,status,created_at\n"
COURSES = "course_id,title\nC'1,Algebra\nC2,Biology\n"
TAKEN = "student_id,course_id,enrollment_date\n"
DAYS = [date(2025, 9, day) for day in range(1, 9)]


def classes(root: Path) -> dict[date, set[str]]:
    """Day → classes of the student STU001 on it."""
    found: dict[date, set[str]] = {}
    for row in rows_of(LocalStore(root), ATTENDANCE):
        if row["student_hash"] == hash_of("STU001"):
            found.setdefault(row["attendance_date"], set()).add(row["class_id"])
    return found


def presence(root: Path, identity: str) -> Row:
    (row,) = [r for r in rows_of(LocalStore(root), ATTENDANCE) if r["attendance_id"] == identity]
    return row


@pytest.mark.parametrize("way", ["delta-rs", "spark"])
def test_build_records__touches_what_a_file_changes_alone(
    opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A record moves to another day, a student to another class; others stay where they are."""
    if way == "spark":
        monkeypatch.setattr(limits, "COLLECTED_ROWS", 0)
        monkeypatch.setattr(limits, "FEW_ROWS", 0)
    lake = opened(tmp_path)
    zone = Zone(tmp_path)

    def built(**files: str) -> RecordsReport:
        for name, text in files.items():
            zone.put(f"{name}/file.csv", text)
        assert all(outcome.kind == "landed" for outcome in zone.land())
        report = build_records(lake)
        assert report is not None
        return report

    pupils = [f"{n},Ana Lima,9A,9,active,2025-08-01T00:00:00Z\n" for n in (1, 2)]
    daily = [
        f"A{day.day}{n},{n},{day},P,{day}T12:00:00Z\n" for day in DAYS[:6] for n in (1, 2)
    ]  # fmt: skip
    built(
        students=STUDENTS + "".join(pupils),
        attendance=PRESENCES + "".join(daily),
        course_catalog=COURSES,
        students_enrollment=TAKEN + "1,C'1,2025-08-01\n2,C2,2025-08-01\n",
    )
    before = files_of(tmp_path, ATTENDANCE), files_of(tmp_path, ENROLLMENTS)
    assert classes(tmp_path) == {day: {"9A"} for day in DAYS[:6]}

    report = built(
        attendance=f"{PRESENCES}A11,1,{DAYS[6]},absent,2025-09-30\nB1,3,{DAYS[7]},P,2025-09-30\n",
        students=f"{STUDENTS}1,Ana Lima,9B,9,active,2025-09-05T23:59:59Z\n",
        students_enrollment=f"{TAKEN}2,C'1,2025-09-02\n",
    )
    assert report.days == {DAYS[0], DAYS[4], DAYS[5], DAYS[6]}
    after = files_of(tmp_path, ATTENDANCE), files_of(tmp_path, ENROLLMENTS)
    untouched = [str(day) for day in DAYS[1:4]]
    assert [after[0][day] for day in untouched] == [before[0][day] for day in untouched]
    assert after[1]["2025-08-01"] == before[1]["2025-08-01"]
    assert len(rows_of(LocalStore(tmp_path), ENROLLMENTS)) == 3
    nine_b = {day: {"9B"} for day in DAYS[4:7]}
    assert classes(tmp_path) == {**{day: {"9A"} for day in DAYS[1:4]}, **nine_b}
    assert not presence(tmp_path, "A11")["is_present"]
    (held,) = rows_of(LocalStore(tmp_path), "silver.records_held")
    assert held["reason"] == "unknown_student"

    # An entry that comes late: true for two days only. And the student that was not known.
    report = built(
        students=f"{STUDENTS}1,Ana Lima,9C,9,active,2025-09-03T08:00:00Z\n"
        "3,Leila Novak,9A,9,active,2025-09-20T00:00:00Z\n"
    )
    assert report.days == {DAYS[2], DAYS[3], DAYS[7]}
    assert classes(tmp_path)[DAYS[2]] == classes(tmp_path)[DAYS[3]] == {"9C"}
    assert presence(tmp_path, "B1")["class_id"] == "9A"
    assert rows_of(LocalStore(tmp_path), "silver.records_held") == []
    assert build_records(lake) is None

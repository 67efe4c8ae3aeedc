"""Progress and enrolments: a file costs the months that it touches, and no picture forgets."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lake import limits
from lake.errors import LakeError
from lake.pipelines.picture import build_pictures
from lake.pipelines.records.build import build_records
from lake.storage_local import LocalStore
from schemas.derivations import arrow_schema
from schemas.tables import TABLES
from tests.landing.zones import School as Zone
from tests.oracle.picture import student_360
from tests.pipelines.conftest import OpenLake
from tests.pipelines.picture_world import pictures_of, read_world
from tests.pipelines.records_world import Row, files_of, hash_of, rows_of

PROGRESS, PROGRESS_VERSIONS = "silver.fact_student_progress", "silver.progress_versions"
ENROLLMENTS, ENROLLMENT_VERSIONS = "silver.fact_enrollments", "silver.enrollment_versions"
STUDENTS = (
    "student_id,student_name,class_id,grade_level,enrollment_status,updated_at\n"
    "1,Ana Lima,9A,9,active,2025-08-01T00:00:00Z\n"
)
COURSES = "course_id,title\nC1,Algebra\nC2,Biology\n"
HEADER = "student_id,course_id,lesson_id,completion_pct,last_activity_at\n"
DONE = {
    date(2025, 9, 3): ("C1,L1,20%,2025-09-03T10:00:00Z", "C1,L2,50%,2025-09-03T11:00:00Z"),
    date(2025, 10, 2): ("C1,L1,60%,2025-10-02T10:00:00Z", "C2,L1,10%,2025-10-02T11:00:00Z"),
    date(2025, 11, 4): ("C2,L1,100%,2025-11-04T23:59:59Z",),
}


ENROLLED = "student_id,course_id,enrollment_date,location\n"
# August; again in November; and an older file that comes last.
TAKEN = (
    "1,C1,2025-08-20,Leeds\n2,C2,2025-08-21,Leeds\n",
    "1,C1,2025-11-04,Porto Alegre\n",
    "1,C1,2025-10-02,Springfield\n1,C2,2025-10-03,Springfield\n",
)


def lessons(root: Path, name: str = PROGRESS) -> dict[tuple[str, str], list[float]]:
    """Course and lesson → completed shares, the oldest first."""
    found: dict[tuple[str, str], list[float]] = {}
    rows: list[Row] = sorted(rows_of(LocalStore(root), name), key=lambda r: r["last_activity_at"])
    for row in rows:
        found.setdefault((row["course_id"], row["lesson_id"]), []).append(row["completion_pct"])
    return found


def test_build_records__keeps_what_a_lesson_was(
    opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As of a table with many rows: Spark reads where the old rows of the keys are.
    monkeypatch.setattr(limits, "FEW_ROWS", 0)
    lake, zone = opened(tmp_path), Zone(tmp_path)
    first, second, third = DONE
    zone.put("students.csv", STUDENTS)
    zone.put("course_catalog.csv", COURSES)
    # The second comes last: that it is older than the third makes no difference.
    for number, at in enumerate((first, third, second)):
        zone.put(f"progress {number}.csv", HEADER + "".join(f"1,{row}\n" for row in DONE[at]))
        zone.land()
        before = files_of(tmp_path, PROGRESS) if number else {}
        assert build_records(lake) is not None
    after = files_of(tmp_path, PROGRESS)
    # L1 of C1 left September for October; what is of November nobody touched.
    assert set(after) == {"2025-09-01", "2025-10-01", "2025-11-01"}
    assert after["2025-11-01"] == before["2025-11-01"]
    assert lessons(tmp_path) == {("C1", "L1"): [0.6], ("C1", "L2"): [0.5], ("C2", "L1"): [1.0]}
    assert lessons(tmp_path, PROGRESS_VERSIONS) == {
        ("C1", "L1"): [0.2, 0.6], ("C1", "L2"): [0.5], ("C2", "L1"): [0.1, 1.0],
    }  # fmt: skip

    days = [date(2025, 9, 10), date(2025, 10, 2), date(2025, 11, 4)]
    assert build_pictures(lake, days) is not None
    pictures = pictures_of(tmp_path)
    assert [(row["lessons_touched"], row["avg_completion_pct"]) for row in pictures] == [
        (2, pytest.approx(0.35)), (3, pytest.approx(0.4)), (3, pytest.approx(0.7)),
    ]  # fmt: skip
    world = read_world(tmp_path)
    assert pictures == [row for day in days for row in student_360(world, day)]


def enrolled(root: Path, name: str) -> list[tuple[str, str, str]]:
    """Student, course and day of the rows."""
    names = {hash_of("STU001"): "1", hash_of("STU002"): "2"}
    return sorted(
        (names[row["student_hash"]], row["course_id"], str(row["enrollment_date"]))
        for row in rows_of(LocalStore(root), name)
    )


def test_build_records__keeps_when_a_student_enrolled(
    opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As of tables with many rows: Spark reads and writes them.
    monkeypatch.setattr(limits, "FEW_ROWS", 0)
    monkeypatch.setattr(limits, "COLLECTED_ROWS", 0)
    lake, zone = opened(tmp_path), Zone(tmp_path)

    def built(number: int) -> list[dict[str, set[str]]]:
        zone.put(f"enrolment {number}.csv", ENROLLED + TAKEN[number])
        zone.land()
        assert build_records(lake) is not None
        return [files_of(tmp_path, name) for name in (ENROLLMENTS, ENROLLMENT_VERSIONS)]

    zone.put("students.csv", STUDENTS + STUDENTS.splitlines()[1].replace("1,Ana", "2,Ben"))
    zone.put("course_catalog.csv", COURSES)
    first = built(0)
    assert [set(files) for files in first] == [{"2025-08-01"}] * 2
    days = [date(2025, 8, 25), date(2025, 10, 2), date(2025, 10, 3), date(2025, 11, 4)]
    assert build_pictures(lake, days) is not None

    # C1 leaves August for November; that it was taken in August the versions still say.
    second = built(1)
    assert [set(files) for files in second] == [{"2025-08-01", "2025-11-01"}] * 2
    assert second[1]["2025-08-01"] == first[1]["2025-08-01"]
    assert enrolled(tmp_path, ENROLLMENTS) == [("1", "C1", "2025-11-04"), ("2", "C2", "2025-08-21")]
    # Who has a course has it, however often: no picture says another thing.
    assert build_pictures(lake) is None

    third = built(2)
    for before, after in zip(second, third, strict=True):
        assert {month: after[month] for month in before} == before
        assert set(after) - set(before) == {"2025-10-01"}
    assert enrolled(tmp_path, ENROLLMENTS) == [
        ("1", "C1", "2025-11-04"), ("1", "C2", "2025-10-03"), ("2", "C2", "2025-08-21"),
    ]  # fmt: skip
    assert enrolled(tmp_path, ENROLLMENT_VERSIONS) == [
        ("1", "C1", "2025-08-20"), ("1", "C1", "2025-10-02"), ("1", "C1", "2025-11-04"),
        ("1", "C2", "2025-10-03"), ("2", "C2", "2025-08-21"),
    ]  # fmt: skip
    again = build_pictures(lake)
    assert again is not None
    assert list(again.rows) == days[2:]
    pictures = pictures_of(tmp_path)
    ana = [row for row in pictures if row["student_hash"] == hash_of("STU001")]
    assert {row["as_of_date"]: row["courses_enrolled"] for row in ana} == dict(
        zip(days, (1, 1, 2, 2), strict=True)
    )
    world = read_world(tmp_path)
    of_days = [row for day in days for row in student_360(world, day)]
    assert pictures == sorted(of_days, key=lambda row: (row["student_hash"], row["as_of_date"]))


@pytest.mark.parametrize("name", [PROGRESS, ENROLLMENTS])
def test_build_records__refuses_tables_that_are_divided_otherwise(
    opened: OpenLake, tmp_path: Path, name: str
) -> None:
    lake, zone = opened(tmp_path), Zone(tmp_path)
    zone.put("students.csv", STUDENTS)
    zone.land()
    table = TABLES[name]
    DeltaTable.create(
        LocalStore(tmp_path).delta_uri(table.path), arrow_schema(table), partition_by="course_id"
    )
    with pytest.raises(LakeError, match=r"divided by course_id.*\n.*Tables of an older version"):
        build_records(lake)
    assert rows_of(LocalStore(tmp_path), "silver.dim_students") == []

"""The audit of school records: a lake that is whole passes, and every loss is found and named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable, write_deltalake
from pydantic import SecretStr

from jobs.audit import print_records
from lake.audit_records import RecordsAudit, RecordsLine, audit_records
from lake.pipelines.journal import Touched
from lake.pipelines.opened import open_lake
from lake.pipelines.records.build import build_records
from lake.pipelines.records.contents import landed_contents, records_journal
from lake.pipelines.records.places import CONFLICTING
from lake.school import School, write_school
from lake.settings import Settings
from lake.storage_local import LocalStore
from schemas.tables import TABLES
from tests.landing.zones import School as Zone
from tests.pipelines.lakes import KEY
from tests.pipelines.records_world import land, rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LATER = """attendance_id,student_id,attendance_date,status,created_at
LATER-1,STU001,2025-09-03,PRESENT,2025-09-03T10:00:00Z
LATER-2,STU002,2025-09-03,ABSENT,2025-09-03T10:00:00Z
"""


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    return write_school(tmp_path_factory.mktemp("school"), students=30, days=19)


@pytest.fixture(scope="module")
def built(school: School, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with all of the school in silver."""
    root = tmp_path_factory.mktemp("built")
    land(root, school, [delivery for delivery in school.deliveries if not delivery.fails])
    with open_lake(settings_of(root), "tests", spark=spark) as lake:
        build_records(lake)
    return root


@pytest.fixture
def damaged(built: Path, tmp_path: Path) -> Path:
    """A copy of the lake, to be damaged."""
    return Path(shutil.copytree(built, tmp_path / "damaged"))


def settings_of(root: Path) -> Settings:
    return Settings(root=str(root), pseudonym_key=SecretStr(KEY))


def table_of(root: Path, name: str) -> DeltaTable:
    return DeltaTable(LocalStore(root).delta_uri(TABLES[name].path))


def remove(root: Path, name: str, where: str) -> None:
    removed = table_of(root, name).delete(where)
    assert removed["num_deleted_rows"] == 1


def pointer(row: dict[str, object]) -> str:
    return f"_content_hash = '{row['_content_hash']}' AND _row = {row['_row']}"


def faults_of(outcome: RecordsAudit) -> dict[str, list[str]]:
    """Source to its faults, of those that have any."""
    assert not outcome.is_proven
    assert {line.source for line in outcome.lines if not line.is_proven} == {
        line.source for line in outcome.lines if line.faults
    }
    return {line.source: line.faults for line in outcome.lines if line.faults}


def line_of(outcome: RecordsAudit, source: str) -> RecordsLine:
    return next(line for line in outcome.lines if line.source == source)


def test_audit_records__proves_a_whole_lake(
    school: School, built: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = audit_records(settings_of(built), spark)
    print_records(outcome)
    assert outcome.is_proven, capsys.readouterr()
    assert {line.source for line in outcome.lines} == set(school.truth.counts)
    for line in outcome.lines:
        true = school.truth.counts[line.source]
        assert (line.rows, line.in_bronze, line.missing, line.pending) == (
            true.rows, true.rows, 0, 0
        )  # fmt: skip
        assert (line.compared, line.gone) == (line.files, 0)
        assert (line.in_force, line.outdone, line.quarantined, line.held) == (
            true.distinct, true.duplicates + true.superseded, true.quarantined, true.held
        )  # fmt: skip
    assert "DIFFERS" not in capsys.readouterr().out


def test_audit_records__of_a_lake_without_files_says_nothing(tmp_path: Path) -> None:
    outcome = audit_records(settings_of(tmp_path))
    assert outcome.is_proven
    assert outcome.lines == []


def test_audit_records__finds_a_list_that_is_gone(tmp_path: Path) -> None:
    zone = Zone(tmp_path)
    zone.put("attendance_later.csv", LATER)
    zone.put("attendance_latest.csv", f"{LATER}LATER-3,STU001,2025-09-04,PRESENT,2025-09-04\n")
    zone.land()
    shutil.rmtree(tmp_path / TABLES["bronze.landed_files"].path)
    (fault,) = audit_records(settings_of(tmp_path)).faults
    assert "bronze.landed_files is gone" in fault


def test_audit_records__calls_pending_what_no_build_took(
    damaged: Path, spark: SparkSession
) -> None:
    zone = Zone(damaged)
    zone.put("attendance_later.csv", LATER)
    zone.land()
    outcome = audit_records(settings_of(damaged), spark)
    assert outcome.is_proven
    assert {line.source: line.pending for line in outcome.lines if line.pending} == {
        "attendance": 2
    }


def test_audit_records__finds_what_bronze_lost_and_what_came_twice(
    damaged: Path, spark: SparkSession
) -> None:
    store = LocalStore(damaged)
    fact = rows_of(store, "silver.fact_attendance")[0]
    remove(damaged, "bronze.attendance", pointer(fact))
    content = next(c for c in landed_contents(store) if c.source == "assessments" and c.row_count)
    table = table_of(damaged, "bronze.assessments")
    rows = table.to_pyarrow_table(filters=[("_content_hash", "=", content.content_hash)])
    write_deltalake(table, rows, mode="append")
    faults = faults_of(audit_records(settings_of(damaged), spark))
    assert set(faults) == {"attendance", "assessments"}
    counted, read, stray = faults["attendance"]
    assert ": the file has " in counted
    assert read.startswith("processed/")
    assert f": row {fact['_row']} (line " in read
    assert read.endswith(" is not in bronze.attendance")
    assert "1 rows of silver.fact_attendance come from no row of bronze.attendance" in stray
    twice, read = faults["assessments"]
    count = content.row_count
    assert (
        f"the file has {count} rows, bronze.assessments {2 * count} of it, {count} different"
        in twice
    )
    assert read.endswith(": row 1 is 2 times in bronze.assessments")


def test_audit_records__finds_every_row_that_silver_lost(
    damaged: Path, spark: SparkSession
) -> None:
    lost: dict[str, list[dict[str, object]]] = {}
    for source, name, place in (
        ("students", "silver.student_versions", 0),
        ("course_catalog", "silver.dim_courses", 0),
        ("attendance", "silver.fact_attendance", 0),
        ("students_enrollment", "silver.fact_enrollments", 0),
        ("students_enrollment", "silver.enrollment_versions", 1),
        ("student_progress", "silver.fact_student_progress", 0),
        ("student_progress", "silver.progress_versions", 1),
        ("support_tickets", "silver.fact_support_tickets", 0),
        ("support_tickets", "restricted.ticket_texts", 1),
    ):
        row = rows_of(LocalStore(damaged), name)[place]
        remove(damaged, name, pointer(row))
        lost.setdefault(source, []).append({**row, "name": name})
    outcome = audit_records(settings_of(damaged), spark)
    faults = faults_of(outcome)
    assert set(faults) == set(lost)
    for source, rows in lost.items():
        assert line_of(outcome, source).missing == 1, source
        for row in rows:
            assert any(
                fault.startswith(f"row {row['_row']} of ") and f" {row['name']}" in fault
                for fault in faults[source]
            ), row


def test_audit_records__finds_rows_that_were_set_aside_and_lost(
    damaged: Path, spark: SparkSession
) -> None:
    quarantined = rows_of(LocalStore(damaged), "silver.records_quarantine")
    hard = next(row for row in quarantined if row["source"] == "assessments")
    conflicts = [
        next(r for r in quarantined if (r["source"], r["reason"]) == (source, CONFLICTING))
        for source in ("students", "course_catalog")
    ]
    held = next(
        row
        for row in rows_of(LocalStore(damaged), "silver.records_held")
        if row["source"] != "assessments"
    )
    remove(damaged, "silver.records_quarantine", pointer(hard))
    for conflict in conflicts:
        remove(damaged, "silver.records_quarantine", pointer(conflict))
    remove(damaged, "silver.records_held", pointer(held))
    faults = faults_of(audit_records(settings_of(damaged), spark))
    assert set(faults) == {"assessments", "students", "course_catalog", held["source"]}
    assert any(f"silver.records_quarantine: {hard['reason']}" in f for f in faults["assessments"])
    for conflict in conflicts:
        told = faults[conflict["source"]]
        assert any(f"silver.records_quarantine: {CONFLICTING}" in fault for fault in told)
    assert any("nor in silver.records_held" in fault for fault in faults[held["source"]])


def test_audit_records__finds_what_is_in_force_and_should_not_be(
    damaged: Path, spark: SparkSession
) -> None:
    """A row that is there twice; and of a course an older row than the newest."""
    table = table_of(damaged, "silver.fact_enrollments")
    write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")
    put_older_course_in_force(damaged)
    faults = faults_of(audit_records(settings_of(damaged), spark))
    assert set(faults) == {"students_enrollment", "course_catalog"}
    places, keys = faults["students_enrollment"]
    assert "rows of bronze.students_enrollment are in more than one place: in force, in" in places
    assert "1 keys (student_hash, course_id) are in silver.fact_enrollments more than" in keys
    assert any("not in silver.dim_courses" in fault for fault in faults["course_catalog"])


def put_older_course_in_force(root: Path) -> None:
    store = LocalStore(root)
    known = rows_of(store, "silver.dim_courses")
    courses = {row["course_id"]: row for row in known if row["updated_at"]}
    places = {(row["_content_hash"], row["_row"]) for row in known}
    older = next(
        row
        for row in rows_of(store, "bronze.course_catalog")
        if row["course_id"] in courses and (row["_content_hash"], row["_row"]) not in places
    )
    table_of(root, "silver.dim_courses").update(
        updates={
            "_content_hash": f"'{older['_content_hash']}'",
            "_row": str(older["_row"]),
            "updated_at": "TIMESTAMP '2000-01-01T00:00:00Z'",
        },
        predicate=pointer(courses[older["course_id"]]),
    )


def test_audit_records__says_where_a_build_was_ended(damaged: Path, spark: SparkSession) -> None:
    records_journal(LocalStore(damaged)).record("b-1", "publishing", Touched(), ["students/x"])
    outcome = audit_records(settings_of(damaged), spark)
    (fault,) = outcome.faults
    assert "build b-1 did not come to its end" in fault
    assert not outcome.is_proven

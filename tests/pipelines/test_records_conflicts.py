"""Records of one version that contradict each other: told, whichever of them is in force."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from lake.audit_records import audit_records
from lake.pipelines.records.build import build_records
from lake.pipelines.records.places import CONFLICTING
from lake.settings import Settings
from lake.storage_local import LocalStore
from tests.landing.zones import School as Zone
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import KEY
from tests.pipelines.records_world import rows_of, tables_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake.pipelines.records.build import RecordsReport

QUARANTINE, DIRECTORY = "silver.records_quarantine", "restricted.student_directory"
TEXTS = "restricted.ticket_texts"
STUDENTS = "student_id,student_name,class_id,grade_level,enrollment_status,updated_at\n"
COURSES = "course_id,title,updated_at\n"
TAKEN = "student_id,course_id,enrollment_date,email,phone\n"
TICKETS = "ticket_id,student_id,subject,body,opened_at\n"
FIRST = {
    "students": f"{STUDENTS}1,Ana Lima,9A,9,active,2025-08-01T00:00:00Z\n",
    "course_catalog": f"{COURSES}C1,Algebra I,\nC2,Biology,\n",
    "students_enrollment": f"{TAKEN}1,C1,2025-09-01,ana@old.example,\n",
    "support_tickets": f"{TICKETS}T1,1,Help,It stops,2025-09-02T08:00:00Z\n",
}
# The same versions say other things: the first two in what the digest leaves out alone.
CORRECTED = {
    "students": f"{STUDENTS}1,Ana Lima Sousa,9A,9,active,2025-08-01T00:00:00Z\n",
    "course_catalog": f"{COURSES}C1,Algebra 1,\nC2,Biology,\n",
    "students_enrollment": f"{TAKEN}1,C1,2025-09-01,ana@new.example,+14155550123\n",
    "support_tickets": f"{TICKETS}T1,1,Help,It goes,2025-09-02T08:00:00Z\n",
}
NEWER = {
    "course_catalog": f"{COURSES}C1,Algebra One,2025-09-03T00:00:00Z\n",
    "students_enrollment": f"{TAKEN}1,C1,2025-09-04,,\n",
}
FILES = {"first": FIRST, "corrected": CORRECTED, "newer": NEWER}


def built(opened: OpenLake, root: Path, *names: str) -> RecordsReport:
    zone = Zone(root)
    for name in names:
        for source, text in FILES[name].items():
            zone.put(f"{source}/{name}.csv", text)
    assert all(outcome.kind == "landed" for outcome in zone.land())
    report = build_records(opened(root))
    assert report is not None
    return report


def conflicts(root: Path) -> set[str]:
    """Sources with a conflicting row; each has one, with the texts of neither in it."""
    rows = rows_of(LocalStore(root), QUARANTINE)
    assert {row["reason"] for row in rows} <= {CONFLICTING}
    sources = [row["source"] for row in rows]
    assert len(set(sources)) == len(sources)
    assert "example" not in str(rows)
    return set(sources)


def test_build_records__sets_aside_what_contradicts_a_row_in_force(
    opened: OpenLake, tmp_path: Path, spark: SparkSession
) -> None:
    store = LocalStore(tmp_path)
    assert sum(told.quarantined for told in built(opened, tmp_path, "first").sources) == 0
    report = built(opened, tmp_path, "corrected")
    assert conflicts(tmp_path) == set(CORRECTED)
    for told in report.sources:
        # A row that won took the place of another, which lost; both ways one is set aside.
        assert told.rows == told.taken + told.duplicates + told.quarantined, told
        assert told.superseded == 0
    (person,) = rows_of(store, DIRECTORY)
    (loser,) = [r for r in rows_of(store, QUARANTINE) if r["source"] == "students_enrollment"]
    (enrolment,) = rows_of(store, "silver.fact_enrollments")
    places = {r["_content_hash"]: r["email"] for r in rows_of(store, "bronze.students_enrollment")}
    assert person["email"] == places[enrolment["_content_hash"]] != places[loser["_content_hash"]]
    # The one that nobody contradicts is the newest.
    assert person["phone"] == "+14155550123"
    (text,) = rows_of(store, TEXTS)
    (ticket,) = rows_of(store, "silver.fact_support_tickets")
    assert text["_content_hash"] == ticket["_content_hash"]
    settings = Settings(root=str(tmp_path), pseudonym_key=SecretStr(KEY))
    outcome = audit_records(settings, spark)
    assert outcome.is_proven
    assert {line.source for line in outcome.lines if line.quarantined == 1} == set(CORRECTED)

    built(opened, tmp_path, "newer")
    enrolments = rows_of(store, "silver.enrollment_versions")
    # Of the older version the one that was in force.
    assert [row["_identifiers"] for row in enrolments][:1] == [enrolment["_identifiers"]]
    assert [row["enrollment_date"].day for row in enrolments] == [1, 4]
    assert conflicts(tmp_path) == {"students", "support_tickets"}
    assert audit_records(settings, spark).is_proven

    other = tmp_path / "other"
    other.mkdir()
    built(opened, other, "corrected", "newer")
    built(opened, other, "first")
    assert tables_of(other) == tables_of(tmp_path)

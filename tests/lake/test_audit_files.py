"""The audit of landed files: each is noted, and bronze holds its rows; what differs is named."""

from __future__ import annotations

import dataclasses
import gzip
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from deltalake import DeltaTable, write_deltalake

from jobs.cli import cli
from lake.audit_records import RecordsAudit, RecordsLine, audit_records
from lake.landing import delimited
from lake.landing.bronze import Bronze
from lake.landing.landing import Landing, land_given, land_zone_file
from lake.landing.reading import Limits
from lake.landing.topic_rows import TopicBuffer, TopicPart
from lake.landing.topics import TopicBronze
from lake.landing.watching import LEASE
from lake.landing.zone import LocalZone, open_zone
from lake.settings import Settings
from lake.storage import open_store
from schemas.records import SOURCES
from schemas.tables import TABLES
from tests.landing.files import ASSESSMENT, GOOD, HEADER
from tests.landing.test_landing import KILLED, POINTS, PROJECT
from tests.landing.zones import School, landed, place_of
from tests.services import Minio

TODAY = f"processed/{datetime.now(UTC).date()}"
LANDED = "bronze.landed_files"
OTHER = f"{HEADER}\n3,s-3,2025-09-02,LATE,2025-09-02\n4,s-4,2025-09-02\n5,s-5,2025-09-02,LATE,x\n"


@pytest.fixture
def school(lake_root: Path, monkeypatch: pytest.MonkeyPatch) -> School:
    """A zone with two files of attendance and one of assessments, landed."""
    monkeypatch.setattr(delimited, "BATCH_ROWS", 2)
    school = School(lake_root)
    school.put("attendance_1.csv", GOOD)
    school.put("attendance_2.csv", OTHER)
    school.put("assessments.json", f"[{ASSESSMENT}]")
    school.land()
    return school


def audited(school: School) -> RecordsAudit:
    return audit_records(Settings(root=str(school.store.root)))


def only_fault(school: School) -> str:
    outcome = audited(school)
    assert not outcome.is_proven
    (fault,) = (*outcome.faults, *(fault for line in outcome.lines for fault in line.faults))
    return fault


def line_of(outcome: RecordsAudit, source: str = "attendance") -> RecordsLine:
    return next(line for line in outcome.lines if line.source == source)


def counts_of(outcome: RecordsAudit, source: str = "attendance") -> tuple[int, int, int]:
    line = line_of(outcome, source)
    return line.files, line.compared, line.gone


def table_of(school: School, name: str) -> DeltaTable:
    return DeltaTable(school.store.delta_uri(TABLES[name].path))


def processed(school: School, name: str) -> Path:
    (path,) = school.folder.glob(f"processed/*/{name}")
    return path


def assert_proven(outcome: RecordsAudit) -> None:
    faults = (*outcome.faults, *(fault for line in outcome.lines for fault in line.faults))
    assert outcome.is_proven, faults
    assert outcome.notes == []


def test_audit_files__proves_what_was_landed(school: School) -> None:
    school.put("again.csv", GOOD)
    school.put("attendance/again.csv", GOOD)
    school.put("Attendance/e.csv.gz", gzip.compress(f"{HEADER};Raum\n".replace(",", ";").encode()))
    school.put(
        "attendance/l.csv", f"{HEADER},Stra\xdfe\n1,s,d,P,c,\xe9\n2,s,d,P\n".encode("cp1252")
    )
    school.put("assessments/r.jsonl", f"{ASSESSMENT}\n[1, 2]\n{ASSESSMENT}")
    school.put("students.csv", "x\n")
    kinds = sorted(outcome.kind for outcome in school.land())
    assert kinds == ["failed", "failed", "known", "landed", "landed", "landed"]
    school.put("attendance_waits.csv", f"{HEADER}\n9,s,d,P,c\n")
    outcome = audited(school)
    assert_proven(outcome)
    assert counts_of(outcome) == (4, 4, 0)
    assert counts_of(outcome, "assessments") == (2, 2, 0)


@pytest.mark.parametrize(
    ("body", "difference"),
    [
        (GOOD.replace("ABSENT", "PRESENT"), "row 2 (line 3) has another status than in"),
        (GOOD.replace("s-1", "s-7").replace("s-2", "s-8"), "row 1 (line 2) has another student_id"),
        (f"{GOOD}3,s,d,P,c\n", "row 3 (line 4) is not in bronze.attendance"),
        (GOOD[: GOOD.index("2,s-2")], "bronze.attendance has 1 rows of it beyond row 1"),
        (GOOD[:-18], "row 2 (line 3) has another status, created_at, _defect than in"),
        (GOOD.replace("2,s-2", '"2,s-2'), "it cannot be read: line 3"),
        (GOOD.replace("\n", "\r\n"), "its bytes are others, its rows the same"),
    ],
    ids=["a cell", "cells", "longer", "a row cut off", "cut off in a row", "damaged", "line ends"],
)
def test_audit_files__finds_a_file_that_was_changed(
    school: School, body: str, difference: str
) -> None:
    processed(school, "attendance_1.csv").write_text(body, newline="")
    fault = only_fault(school)
    begin = f"{TODAY}/attendance_1.csv: it is not what was landed under that name: "
    assert fault.startswith(f"{begin}{difference}"), fault
    assert counts_of(audited(school)) == (2, 1, 1)


def test_audit_files__finds_a_file_that_was_never_landed(school: School) -> None:
    for number in range(12):
        (school.folder / TODAY / f"{number:02d}.csv").write_text(f"{GOOD}{number}")
    outcome = audited(school)
    assert len(outcome.faults) == 11
    assert outcome.faults[0].startswith(f"{TODAY}/00.csv: its content is not in {LANDED}. Move it")
    assert outcome.faults[10] == f"and 2 more files whose content is not in {LANDED}"


def test_audit_files__finds_files_of_a_lake_that_never_landed_any(lake_root: Path) -> None:
    school = School(lake_root)
    school.put("processed/2025-09-01/attendance.csv", GOOD)
    assert "attendance.csv: its content is not in" in only_fault(school)


def test_audit_files__finds_a_note_that_is_gone(school: School) -> None:
    table_of(school, LANDED).delete("file_name = 'attendance_2.csv'")
    fault = only_fault(school)
    assert fault == (
        f"{TODAY}/attendance_2.csv: 3 rows of it are in bronze.attendance, and {LANDED} does not "
        "know the file: it lost its note of the file"
    )


def test_audit_files__finds_a_note_of_another_number_of_rows(school: School) -> None:
    table_of(school, LANDED).update({"row_count": "7"}, predicate="source = 'assessments'")
    counted, read = line_of(audited(school), "assessments").faults
    assert counted.startswith("assessments.json: the file has 7 rows, bronze.assessments 1 of it")
    assert read == f"{TODAY}/assessments.json: has 1 rows, {LANDED} says 7"


def test_audit_files__finds_a_cell_that_bronze_has_otherwise(school: School) -> None:
    table_of(school, "bronze.attendance").update(
        {"status": "'PRESENT'", "_extra": '\'{"x":"1"}\''}, predicate="attendance_id = '5'"
    )
    assert only_fault(school) == (
        f"{TODAY}/attendance_2.csv: row 3 (line 4) has another status, _extra than in "
        "bronze.attendance"
    )
    table_of(school, "bronze.assessments").update({"score": "NULL"})
    (fault,) = line_of(audited(school), "assessments").faults
    assert fault == f"{TODAY}/assessments.json: row 1 has another score than in bronze.assessments"


def test_audit_files__names_the_row_that_bronze_lost_or_has_twice(school: School) -> None:
    table = table_of(school, "bronze.attendance")
    once = table.to_pyarrow_table(filters=[("attendance_id", "=", "2")])
    write_deltalake(table, once, mode="append")
    table_of(school, "bronze.attendance").delete("attendance_id = '4'")
    faults = line_of(audited(school)).faults
    assert faults[2:] == [
        f"{TODAY}/attendance_1.csv: row 2 (line 3) is 2 times in bronze.attendance",
        f"{TODAY}/attendance_2.csv: row 2 (line 3) is not in bronze.attendance",
    ]


def test_audit_files__a_file_that_was_removed_is_told_and_no_fault(
    school: School, tmp_path: Path
) -> None:
    processed(school, "attendance_2.csv").unlink()
    given = tmp_path / "attendance_given.csv"
    given.write_text(f"{GOOD}3,s,d,P,c\n")
    with school.store.lease(LEASE) as lease:
        landing = Landing(Bronze(school.store), lease, Limits())
        (outcome,) = land_given(landing, [given], None)
    assert outcome.kind == "landed"
    proven = audited(school)
    assert_proven(proven)
    assert counts_of(proven) == (3, 1, 2)


def test_audit_files__finds_a_failed_file_without_a_reason(school: School) -> None:
    school.put("attendance_3.csv", "x\n")
    assert [outcome.kind for outcome in school.land()] == ["failed"]
    assert_proven(audited(school))
    (school.folder / "failed/attendance_3.csv.reason.json").unlink()
    assert only_fault(school).startswith("failed/attendance_3.csv: no .reason.json lies beside it")


@pytest.mark.parametrize("point", ["before the note", "before the move"])
def test_audit_files__a_killed_landing_is_told_and_no_fault(school: School, point: str) -> None:
    school.put("attendance_3.csv", f"{GOOD}3,s\n")
    command = [sys.executable, "-c", KILLED, str(school.store.root), POINTS[point]]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -9
    outcome = audited(school)
    assert outcome.is_proven
    (note,) = outcome.notes
    assert note.startswith("attendance_3.csv: ")
    assert "ended" in note
    is_noted = point == "before the move"
    assert counts_of(outcome) == (2 + is_noted, 2 + is_noted, 0)
    school.land()
    assert_proven(audited(school))


def test_audit_files__rows_whose_file_is_nowhere_are_a_fault(school: School) -> None:
    school.put("attendance_3.csv", f"{GOOD}3,s\n")
    command = [sys.executable, "-c", KILLED, str(school.store.root), POINTS["before the note"]]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -9
    (school.folder / "attendance_3.csv").unlink()
    assert only_fault(school).endswith("its landing was ended; land it again")


def test_audit_files__the_first_landing_was_killed(lake_root: Path) -> None:
    school = School(lake_root)
    school.put("attendance.csv", GOOD)
    command = [sys.executable, "-c", KILLED, str(lake_root), POINTS["before the note"]]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -9
    outcome = audited(school)
    assert outcome.is_proven
    assert "its landing was ended. `lmslake land` goes on" in outcome.notes[0]


class BusyZone(LocalZone):
    """A zone in which `happens` takes place whenever folders are listed."""

    def __init__(self, folder: Path, happens: Callable[[], object]) -> None:
        super().__init__(folder)
        self._happens = happens

    def folders(self, folder: str) -> list[str]:
        self._happens()
        return super().folders(folder)


def test_audit_files__files_that_land_meanwhile_are_no_fault(school: School) -> None:
    names = iter(range(100))

    def land_another() -> None:
        school.put(f"attendance/{next(names)}.csv", f"{GOOD}{next(names)},s,d,P,c\n")
        school.land()

    zone = BusyZone(school.folder, land_another)
    outcome = audit_records(Settings(root=str(school.store.root)), zone=zone)
    assert next(names) > 4
    assert_proven(outcome)
    assert counts_of(outcome) == (2, 2, 0)


def test_audit_files__waits_for_the_note_of_a_landing_at_work(school: School) -> None:
    school.put("attendance_3.csv", f"{GOOD}3,s\n")
    command = [sys.executable, "-c", KILLED, str(school.store.root), POINTS["before the note"]]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -9
    zone = school.place.zone
    (file,) = zone.look().files
    held = school.store.lease(LEASE)
    lease = held.__enter__()

    def end_landing(said: str) -> None:
        if said.startswith("waiting: Another process holds the lock 'land'"):
            land_zone_file(Landing(Bronze(school.store), lease, Limits()), zone, file)
            held.__exit__(None, None, None)

    outcome = audit_records(Settings(root=str(school.store.root)), tell=end_landing)
    assert_proven(outcome)
    assert school.files("*.csv") == []


def test_audit_files__a_name_that_a_column_got_later_is_no_fault(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrolled = "student_id,course_id,enrollment_date,Geschlecht,Raum"
    school.put("enrollment.csv", f"{enrolled}\ns-1,c-1,2025-09-01,w,4a\ns-2,c-1,2025-09-01,,\n")
    object_of_it = '{"student_id": 1, "course_id": 2, "enrollment_date": 3, "geschlecht": 4}'
    school.put("enrollment.json", object_of_it)
    assert [outcome.kind for outcome in school.land()] == ["landed", "landed"]
    declared = SOURCES["students_enrollment"]
    fields = tuple(
        dataclasses.replace(field, aliases=(*field.aliases, "geschlecht"))
        if field.name == "gender"
        else field
        for field in declared.fields
    )
    monkeypatch.setitem(SOURCES, declared.name, dataclasses.replace(declared, fields=fields))
    assert_proven(audited(school))
    table_of(school, declared.table).update({"gender": "'m'"}, predicate="student_id = 's-2'")
    assert "enrollment.csv: row 2 (line 3) has another gender, _extra than in" in only_fault(school)


def test_audit_files__messages_have_no_file(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = TopicPart("c1", "school.attendance", 0, "attendance")

    def add(offset: int) -> None:
        buffer = TopicBuffer(part, offset - 1 if offset else None, 10_000)
        buffer.take(offset, None, b'{"attendance_id": 1}')
        TopicBronze(school.store).add([buffer], lambda: None)

    add(0)
    proven = audited(school)
    assert_proven(proven)
    assert counts_of(proven) == (3, 2, 0)
    with monkeypatch.context() as patched:
        patched.setattr(TopicBronze, "_note", lambda *_: None)
        add(1)
    killed = audited(school)
    assert killed.is_proven
    (note,) = killed.notes
    assert note.startswith("kafka:school.attendance/0/1-1: 1 rows of it are in bronze.attendance")
    TopicBronze(school.store).note_missing([part], lambda: None)
    add(2)
    assert_proven(audited(school))
    table_of(school, LANDED).delete("file_name = 'kafka:school.attendance/0/1-1'")
    assert only_fault(school).startswith("kafka:school.attendance/0/1-1: 1 rows of it")


def test_audit__names_the_zone(school: School, tmp_path: Path) -> None:
    zone = tmp_path / "incoming"

    def run(*arguments: str, **environment: str) -> Result:
        given = {"LMSLAKE_ROOT": str(school.store.root), **environment}
        return CliRunner().invoke(cli, ["audit", *arguments], env=given)

    assert "There is no landing zone" in str(run("--zone", str(zone)).exception)
    assert run("--zone", "http://x").exit_code == 2
    assert run("--zone", str(zone), "--only", "events").exit_code == 2
    elsewhere = run("--only", "records", LMSLAKE_LANDING=str(zone))
    assert elsewhere.exit_code == 0
    assert f"There is no landing zone {zone}: no file was read again." in elsewhere.stdout
    school.folder.rename(zone)
    assert run("--only", "records", "--zone", str(zone)).exit_code == 0
    (file,) = zone.glob("processed/*/attendance_1.csv")
    file.write_text(GOOD.replace("ABSENT", "PRESENT"))
    changed = run("--only", "records", LMSLAKE_LANDING=str(zone))
    assert changed.exit_code == 1
    assert "attendance_1.csv: it is not what was landed under that name: row 2" in changed.stderr
    assert [line.split()[:4] for line in changed.stdout.splitlines()[1:]] == [
        ["assessments", "1", "1", "0"],
        ["attendance", "2", "1", "1"],
    ]


@pytest.mark.services
def test_audit_files__zone_on_s3(minio: Minio) -> None:
    made = minio.settings()
    store = open_store(made)
    zone = open_zone(made.landing_zone, made, is_made=True)
    store.put("landing/attendance/a.csv", GOOD.encode())
    store.put("landing/attendance/b.csv", OTHER.encode())
    store.put("landing/assessments.json", f"[{ASSESSMENT}".encode())
    assert [outcome.kind for outcome in landed(place_of(store, zone))] == [
        "landed", "failed", "landed"
    ]  # fmt: skip
    outcome = audit_records(made)
    assert_proven(outcome)
    assert counts_of(outcome) == (2, 2, 0)
    store.put(f"landing/{TODAY}/a.csv", GOOD.replace("ABSENT", "PRESENT").encode())
    store.delete(f"landing/{TODAY}/b.csv")
    store.delete("landing/failed/assessments.json.reason.json")
    found = audit_records(made)
    assert counts_of(found) == (2, 0, 2)
    (changed,) = line_of(found).faults
    assert "a.csv: it is not what was landed under that name: row 2 (line 3) has an" in changed
    (silent,) = found.faults
    assert silent.startswith("failed/assessments.json: no .reason.json lies beside it")

"""Files of the landing zone: whole and once in bronze, or refused with the tables as they were."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.errors import LakeError
from lake.landing import delimited
from lake.landing.bronze import Bronze
from lake.landing.faults import BronzeChangedError
from lake.landing.landing import Landing
from lake.landing.naming import source_of
from lake.landing.reading import Limits
from lake.landing.zone import FileChanged, LocalZone, open_zone
from lake.landing.zone_s3 import S3Zone
from lake.storage import open_store
from lake.storage_s3 import S3Store
from schemas.records import SOURCES
from schemas.tables import TABLES
from tests.landing.files import ASSESSMENT, GOOD, HEADER, bronze_rows, read, table_rows
from tests.landing.test_reading import Written, written_files
from tests.landing.zones import School, landed, place_of
from tests.services import Minio

PROJECT = Path(__file__).parents[2]
LANDED_FILES = "bronze.landed_files"


@pytest.fixture
def school(lake_root: Path) -> School:
    return School(lake_root)


@settings(max_examples=12)
@given(st.lists(written_files(), min_size=1, max_size=3), st.randoms())
def test_land__rows_of_the_files_are_the_rows_of_bronze(
    files: list[Written], chance: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        patched.setattr(delimited, "BATCH_ROWS", 2)
        school = School(Path(name))
        copies = [*enumerate(files), *enumerate(chance.sample(files, len(files)), len(files))]
        for number, file in copies:
            school.put(f"attendance/{number}.txt", file.body)
        outcomes = school.land()
        contents = {file.body: file for file in files}
        expected = [row for file in contents.values() for row in file.rows]
        assert sorted(map(repr, bronze_rows(school.store))) == sorted(map(repr, expected))
        noted = table_rows(school.store, LANDED_FILES)
        assert sorted(row["row_count"] for row in noted) == sorted(
            len(file.rows) for file in contents.values()
        )
        assert [outcome.kind for outcome in outcomes].count("landed") == len(contents)
        assert len(school.files()) == len(school.files("processed/*/*")) == len(copies)


def test_land__notes_each_content_and_puts_the_files_away(school: School) -> None:
    school.put("attendance_1.csv", GOOD)
    school.put("Students/export.csv.gz", gzip.compress(b"id\n"))
    school.put("assessments/x", f"[{ASSESSMENT}, 5]")
    school.put("sep;attendance.csv", GOOD)
    kinds = {outcome.name: (outcome.kind, outcome.rows) for outcome in school.land()}
    assert kinds == {
        "attendance_1.csv": ("landed", 2),
        "export.csv.gz": ("failed", 0),
        "x": ("landed", 2),
        "sep;attendance.csv": ("failed", 0),
    }
    assert school.files() == [
        "failed/export.csv.gz",
        "failed/export.csv.gz.reason.json",
        "failed/sep;attendance.csv",
        "failed/sep;attendance.csv.reason.json",
        "processed/*/attendance_1.csv",
        "processed/*/x",
    ]
    noted = {row["source"]: row for row in table_rows(school.store, LANDED_FILES)}
    shown = ("file_name", "row_count", "encoding", "delimiter", "defect_count", "extra_columns")
    assert [noted["attendance"][name] for name in shown] == [
        "attendance_1.csv", 2, "utf-8", ",", 0, [],
    ]  # fmt: skip
    assert [noted["assessments"][name] for name in shown] == ["x", 2, "utf-8", None, 1, []]
    assert noted["attendance"]["bytes"] == len(GOOD)
    (first, _) = table_rows(school.store, "bronze.attendance")
    assert first["_source_file"] == "attendance_1.csv"
    assert first["_content_hash"] == noted["attendance"]["content_hash"]


def test_land__says_why_beside_the_failed_file(school: School) -> None:
    school.put("attendance_1.csv", f'{GOOD}3,"x')
    (outcome,) = school.land()
    assert outcome.fault is not None
    said = json.loads((school.folder / "failed/attendance_1.csv.reason.json").read_text())
    assert said.pop("at")
    assert said == {
        "file": "attendance_1.csv",
        "content_hash": outcome.content_hash,
        "source": "attendance",
        "reason": "unclosed_quote",
        "detail": "the quote that opens here is never closed",
        "line": 4,
        "column": 3,
    }
    assert len(outcome.content_hash) == 64


@pytest.mark.parametrize("is_late", [False, True])
def test_land__a_refused_file_leaves_the_tables_as_they_were(
    school: School, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    school.put("attendance_1.csv", GOOD)
    school.land()
    table = DeltaTable(school.store.delta_uri(TABLES["bronze.attendance"].path))
    before = table.version(), bronze_rows(school.store), table_rows(school.store, LANDED_FILES)
    # The fault shows while rows of batches before it are being written.
    monkeypatch.setattr(delimited, "BATCH_ROWS", 1)
    rows = "".join(f"{n},s,d,P,c\n" for n in range(50 if is_late else 0))
    school.put("attendance_2.csv", f'{HEADER}\n{rows}9,"x\n')
    assert [outcome.kind for outcome in school.land()] == ["failed"]
    table.update_incremental()
    assert before == (
        table.version(), bronze_rows(school.store), table_rows(school.store, LANDED_FILES),
    )  # fmt: skip
    school.put("attendance_2.csv", f"{HEADER}\n{rows}9,x\n")
    assert [outcome.rows for outcome in school.land()] == [51 if is_late else 1]


def test_land__a_file_that_is_refused_first_makes_no_table(school: School) -> None:
    school.put("attendance_1.csv", "x")
    school.land()
    assert not (school.store.root / "tables").exists()


def test_land__the_same_content_again_changes_nothing(school: School) -> None:
    school.put("attendance_1.csv", GOOD)
    school.land()
    table = DeltaTable(school.store.delta_uri(TABLES["bronze.attendance"].path))
    school.put("attendance_1.csv", GOOD)
    school.put("attendance/other.csv", GOOD)
    outcomes = school.land()
    assert [outcome.kind for outcome in outcomes] == ["known", "known"]
    assert {outcome.first.file_name for outcome in outcomes if outcome.first} == {
        "attendance_1.csv"
    }
    assert table.version() == DeltaTable(table.table_uri).version()
    assert len(table_rows(school.store, LANDED_FILES)) == 1
    again, *others = school.files()
    assert (again.count("-"), others) == (
        1, ["processed/*/attendance_1.csv", "processed/*/other.csv"],
    )  # fmt: skip


def test_land__files_of_one_name_hide_each_other_nowhere(school: School) -> None:
    bodies = [f"{GOOD}{n},s,d,P,c\n" for n in range(3)]
    for body in bodies:
        school.put("attendance.csv.gz", gzip.compress(body.encode(), mtime=0))
        school.land()
    kept = [gzip.decompress(path.read_bytes()).decode() for path in school.folder.rglob("*.csv.gz")]
    assert sorted(kept) == sorted(bodies)
    for body in ("a", "b"):
        school.put("attendance.csv", body)
        school.land()
    assert len(school.files("failed/*.csv")) == len(school.files("failed/*.reason.json")) == 2


@pytest.mark.parametrize(
    ("folder", "name", "source"),
    [
        ("", "attendance_2025.csv", "attendance"),
        ("", "Students Enrollment-9.csv", "students_enrollment"),
        ("", "students2.csv", "students"),
        ("", "Course-Catalogue.CSV", "course_catalog"),
        ("support-tickets", "students.csv", "support_tickets"),
    ],
)
def test_source_of__folder_first_then_the_longest_beginning(
    folder: str, name: str, source: str
) -> None:
    assert source_of(folder, name).name == source


def test_land__names_that_are_not_taken_and_folders_of_no_source(school: School) -> None:
    names = [".hidden", "attendance.csv.TMP", "attendance.part", "a.crdownload", "x.reason.json"]
    for name in names:
        school.put(name, GOOD)
    school.put("archive/attendance.csv", GOOD)
    assert school.land() == []
    assert school.place.zone.look().other_folders == ["archive"]


def test_land__a_name_of_any_bytes(school: School) -> None:
    name = os.fsdecode(b"attendance \xff.csv")
    school.put(name, GOOD)
    assert [outcome.kind for outcome in school.land()] == ["landed"]
    assert table_rows(school.store, LANDED_FILES)[0]["file_name"] == "attendance \ufffd.csv"
    assert (next(school.folder.glob("processed/*")) / name).exists()


def test_land__a_file_that_changes_meanwhile_stays(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = school.put("attendance.csv", GOOD)
    checked = LocalZone.check

    def changed(zone: LocalZone, file: object) -> None:
        path.write_text(f"{GOOD}3,s,d,P,c\n")
        checked(zone, file)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalZone, "check", changed)
    (outcome,) = school.land()
    assert (outcome.kind, outcome.is_good) == ("left", True)
    assert table_rows(school.store, "bronze.attendance") == []
    monkeypatch.undo()
    assert [outcome.rows for outcome in school.land()] == [3]


def test_land__refuses_an_older_table_of_that_name(school: School) -> None:
    """Titles of chapters lay in bronze.course_catalog before files of courses did."""
    old = pa.table({"course_id": ["p"], "course_title": ["P"], "chapter_id": ["p1"]})
    uri = school.store.delta_uri(TABLES["bronze.course_catalog"].path)
    write_deltalake(uri, old)
    school.put("courses.csv", "course_id,title\np,Physics\n")
    with pytest.raises(LakeError, match=r"course_title, chapter_id, .*\n.*Move its folder away"):
        school.land()
    assert DeltaTable(uri).to_pyarrow_table() == old
    assert school.files() == ["courses.csv"]


def test_land__adds_a_column_that_was_declared_since(school: School) -> None:
    table = TABLES["bronze.attendance"]
    school.put("attendance.csv", GOOD)
    school.land()
    uri = school.store.delta_uri(table.path)
    rows = DeltaTable(uri).to_pyarrow_table()
    older = rows.drop_columns(["_defect", "status"])
    write_deltalake(uri, older, mode="overwrite", schema_mode="overwrite")
    school.put("attendance_2.csv", f"{HEADER}\n3,s,d,P,c\n")
    school.land()
    found = sorted(table_rows(school.store, table.name), key=lambda row: row["attendance_id"])
    assert [row["status"] for row in found] == [None, None, "P"]


def test_land__two_processes_at_once(school: School) -> None:
    bodies = [f"{GOOD}{n},s,d,P,c\n" for n in range(6)]
    for number, body in enumerate(bodies):
        school.put(f"attendance_{number}.csv", body)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: school.land(), range(2)))
    assert sum(outcome.kind == "landed" for outcomes in both for outcome in outcomes) == 6
    assert len(table_rows(school.store, "bronze.attendance")) == 18
    assert len(table_rows(school.store, LANDED_FILES)) == 6


@pytest.mark.parametrize("point", ["has_rows_of", "note_landed"])
def test_land__one_that_stood_still_adds_nothing_twice(
    school: School, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it has looked whether the rows are there, or between its two commits."""
    path = school.put("attendance.csv", GOOD)
    given = (path, path.name, SOURCES["attendance"])
    zombie = Bronze(school.store)
    goes_on = getattr(zombie, point)
    with school.store.lease("land") as lease:

        def stand_still(*arguments: object) -> object:
            found = goes_on(*arguments) if point == "has_rows_of" else None
            Landing(Bronze(school.store), lease, Limits()).land(*given)
            return found if point == "has_rows_of" else goes_on(*arguments)

        monkeypatch.setattr(zombie, point, stand_still)
        with pytest.raises(BronzeChangedError, match="holds the content already"):
            Landing(zombie, lease, Limits()).land(*given)
    assert bronze_rows(school.store) == read(GOOD)
    assert len(table_rows(school.store, LANDED_FILES)) == 1


# Where a process dies: before rows are committed, before they are noted, before the file is moved.
KILLED = """
import os, signal, sys
from pathlib import Path
from importlib import import_module
from tests.landing.zones import School
module, owner, name = sys.argv[2].split(":")
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(getattr(import_module(module), owner), name, die)
School(Path(sys.argv[1])).land()
"""
POINTS = {
    "before the commit": "lake.lease_local:LocalLease:check",
    "before the note": "lake.landing.landing:Landing:_note",
    "before the move": "lake.landing.zone:LocalZone:move",
}


@pytest.mark.parametrize("point", POINTS)
def test_land__killed_and_run_again(school: School, point: str) -> None:
    school.put("attendance.csv", f"{GOOD}3,s\n")
    command = [sys.executable, "-c", KILLED, str(school.store.root), POINTS[point]]
    for _ in range(2):
        assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -9
        assert school.files() == ["attendance.csv"]
    school.land()
    assert bronze_rows(school.store) == read(f"{GOOD}3,s\n")
    (noted,) = table_rows(school.store, LANDED_FILES)
    assert (noted["row_count"], noted["defect_count"]) == (3, 1)
    assert school.files() == ["processed/*/attendance.csv"]


def test_land__killed_between_the_reason_and_the_move(school: School) -> None:
    school.put("attendance.csv", "x")
    command = [sys.executable, "-c", KILLED, str(school.store.root), POINTS["before the move"]]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -9
    assert school.files() == ["attendance.csv", "failed/attendance.csv.reason.json"]
    school.land()
    assert school.files() == ["failed/attendance.csv", "failed/attendance.csv.reason.json"]


@pytest.mark.services
def test_land__zone_and_lake_on_s3(minio: Minio) -> None:
    made = minio.settings()
    store = open_store(made)
    zone = open_zone(made.landing_zone, made, is_made=True)
    place = place_of(store, zone)
    store.put("landing/attendance/a.csv", GOOD.encode())
    store.put("landing/attendance/a.csv.done", b"")
    store.put("landing/assessments.json", f"[{ASSESSMENT}".encode())
    store.put("landing/other/b.csv", GOOD.encode())
    assert [outcome.kind for outcome in landed(place)] == ["landed", "failed"]
    store.put("landing/attendance_b.csv", GOOD.encode())
    assert [outcome.kind for outcome in landed(place)] == ["known"]
    assert bronze_rows(store) == read(GOOD)
    (day,) = {key.split("/")[2] for key in store.list("landing/processed")}
    assert list(store.list("landing")) == [
        "landing/failed/assessments.json",
        "landing/failed/assessments.json.reason.json",
        "landing/other/b.csv",
        f"landing/processed/{day}/a.csv",
        f"landing/processed/{day}/attendance_b.csv",
    ]
    assert zone.look().other_folders == ["other"]


@pytest.mark.services
def test_land__an_object_that_was_replaced_stays(minio: Minio, lake_root: Path) -> None:
    made = minio.settings()
    store = S3Store.from_settings(made)
    zone = S3Zone(store)
    store.put("attendance.csv", GOOD.encode())
    (seen,) = zone.look().files
    store.put("attendance.csv", f"{GOOD}3,s,d,P,c\n".encode())
    with pytest.raises(FileChanged):
        zone.move(seen, "processed/x")
    assert list(store.list("")) == ["attendance.csv"]
    place = place_of(School(lake_root).store, zone)
    assert [outcome.rows for outcome in landed(place)] == [3]

"""Rows of school records that are set aside: shown, and judged again after a setting changed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from jobs.records import command
from lake.audit_records import audit_records
from lake.pipelines.opened import open_lake
from lake.pipelines.records.build import build_records
from lake.settings import Settings
from lake.storage_local import LocalStore
from lake.transforms.records.conventions import Conventions
from schemas.records import SOURCES
from schemas.tables import TABLES
from tests.landing.zones import School as Zone
from tests.pipelines.conftest import OpenLake
from tests.pipelines.crashing import CrashError, CrashingTables
from tests.pipelines.lakes import KEY
from tests.pipelines.records_world import (
    COMPARED,
    GOLD,
    files_of,
    gold_of,
    rows_of,
    tables_of,
    versions_of,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

QUARANTINE, HELD = "silver.records_quarantine", "silver.records_held"
DAY_FIRST = Conventions(date_order="dmy")
# Of days that only an order of dates tells: a move to another class, an attendance of its own, an
# older version of another one, one without a known word, one of an unknown student; a version that
# is the newest one by its order alone, and ones that contradict each other; what other sources say.
FILES = {
    "students/register.csv": "student_id,student_name,class_id,grade_level,enrollment_status,"
    "updated_at\n"
    "1,Ana Lima,9A,9,active,2025-08-01T00:00:00Z\n"
    "2,Leila Novak,9A,9,active,2025-08-01T00:00:00Z\n"
    "1,Ana Lima,9B,9,active,4/9/2025 00:00Z\n",
    "attendance/september.csv": "attendance_id,student_id,attendance_date,status,created_at\n"
    "A1,1,2025-09-03,P,2025-09-30T00:00:00Z\n"
    "A2,1,2025-09-05,P,2025-09-30T00:00:00Z\n"
    "A3,2,5/9/2025,absent,2025-09-30T00:00:00Z\n"
    "A2,1,5/9/2025,absent,2025-09-29T00:00:00Z\n"
    "A4,2,6/9/2025,LATE,2025-09-30T00:00:00Z\n"
    "A5,3,6/9/2025,P,2025-09-30T00:00:00Z\n"
    "A6,4,2025-09-06,P,2025-09-30T00:00:00Z\n"
    "A7,1,2025-09-08,absent,1/10/2025 00:00Z\n"
    "A7,1,2025-09-08,P,2025-09-30T00:00:00Z\n"
    "A8,1,7/9/2025,P,2025-09-30T00:00:00Z\n"
    "A8,1,8/9/2025,P,2025-09-30T00:00:00Z\n"
    "A9,2,10/9/2025,P,2025-09-30T00:00:00Z\n"
    "A9,2,10/9/2025,absent,2025-09-30T00:00:00Z\n",
    "attendance/once_more.csv": "attendance_id,student_id,attendance_date,status,created_at\n"
    "A3,2,5/9/2025,absent,2025-09-30T00:00:00Z\n",
    "assessments/tests.json": '[{"assessment_id": "T1", "student_id": "1", "subject": "Maths", '
    '"score": 7, "max_score": 10, "assessment_date": "2/9/2025", "created_at": "3/9/2025 15:00Z"}]',
    "course_catalog/courses.csv": "course_id,title,updated_at\nC1,Old,1/8/2025\nC1,New,2/8/2025\n",
    "students_enrollment/office.csv": "student_id,student_name,email,phone,gender,date_of_birth,"
    "location,course_id,enrollment_date\n"
    "1,Ana Lima,ana@school.example,,F,3/4/2010,Leeds,C1,1/9/2025\n"
    "2,Leila Novak,old@school.example,,F,,Leeds,C1,2025-08-30\n"
    "2,Leila Novak,new@school.example,,F,,Leeds,C1,2/9/2025\n",
    "student_progress/progress.csv": "student_id,course_id,lesson_id,completion_pct,last_activity\n"
    "1,C1,L1,50,2025-09-09T10:00:00Z\n"
    "1,C1,L1,80,10/9/2025 10:00Z\n"
    "2,C1,L1,20,3/9/2025 10:00Z\n",
    "support_tickets/tickets.csv": "ticket_id,student_id,subject,body,opened_at,closed_at,channel\n"
    "K1,1,Login,I forgot it,4/9/2025 09:00Z,5/9/2025 09:00Z,email\n",
}
AMBIGUOUS = {
    name: frozenset(f"{field}:ambiguous_date" for field in source.dates)
    for name, source in SOURCES.items()
}

Shell = Callable[..., str]


@pytest.fixture(scope="module")
def built(opened: OpenLake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that was built without an order of dates."""
    return landed_and_built(tmp_path_factory.mktemp("built"), opened, Conventions())


@pytest.fixture(scope="module")
def told_before(opened: OpenLake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake that the order gives which was known from the beginning."""
    return landed_and_built(tmp_path_factory.mktemp("told-before"), opened, DAY_FIRST)


def landed_and_built(root: Path, opened: OpenLake, school: Conventions) -> Path:
    zone = Zone(root)
    for name, text in FILES.items():
        zone.put(name, text)
    assert all(outcome.kind == "landed" for outcome in zone.land())
    assert build_records(opened(root), school) is not None
    return root


@pytest.fixture
def lake_at(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "lake"))


@pytest.fixture
def records(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Shell]:
    """Runs `lmslake records ARGUMENTS…` on a lake with the session of the run; what it prints."""
    monkeypatch.setenv("LMSLAKE_PSEUDONYM_KEY", KEY)
    monkeypatch.setattr(
        "lake.pipelines.opened.open_lake",
        lambda settings, name, *_, **__: open_lake(settings, name, spark=spark),
    )

    def of(root: Path) -> Shell:
        monkeypatch.setenv("LMSLAKE_ROOT", str(root))

        def run(*arguments: str) -> str:
            called = CliRunner().invoke(command, arguments, catch_exceptions=False)
            assert called.exit_code == 0, called.stderr
            return called.stdout

        return run

    return of


def reasons(root: Path, name: str) -> list[tuple[str, int, str]]:
    rows = rows_of(LocalStore(root), name)
    return sorted((row["source"], row["_row"], row["reason"]) for row in rows)


def versions(root: Path) -> dict[str, int]:
    names = (*COMPARED, *GOLD)
    return versions_of(root, [name for name in names if (root / TABLES[name].path).exists()])


def check_as_if_told_before(root: Path, told_before: Path) -> None:
    assert tables_of(root) == tables_of(told_before)
    assert gold_of(root) == gold_of(told_before)
    assert Counter(reason for _, _, reason in reasons(root, QUARANTINE)) == {
        "status:unknown_value": 1,
        "conflicting_version": 2,
    }
    assert [row for _, row, _ in reasons(root, HELD)] == [6, 7]


def test_lmslake_records_quarantine__shows_and_replays(
    lake_at: Path,
    told_before: Path,
    records: Callable[[Path], Shell],
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = records(lake_at)
    counted = [line.split() for line in run("quarantine", "list").splitlines()]
    assert ["attendance", "attendance_date:ambiguous_date", "undated", "3"] in counted
    assert ["support_tickets", "opened_at:ambiguous_date", "undated", "1"] in counted
    assert ["attendance", "unknown_student", "held", "2"] in counted
    shown = run("quarantine", "show", "--source", "students", "--reason", "ambiguous_date")
    assert shown.startswith("register.csv:4: students updated_at:ambiguous_date, quarantined\n")
    assert '"updated_at": "4/9/2025 00:00Z"' in shown
    *_, line = run("quarantine", "show", "--reason", "unknown_student", "--json").splitlines()
    assert json.loads(line)["values"]["attendance_id"] == "A6"
    before = versions(lake_at)
    assert "2 rows judged again: 0 left quarantine, 2 stay" in run("quarantine", "replay")
    assert versions(lake_at) == before

    monkeypatch.setenv("LMSLAKE_DATE_ORDER", "dmy")
    said = run("quarantine", "replay", "--reason", "ambiguous_date")
    assert "1 row judged again: 1 left quarantine, 0 stay. 16 read again" in said
    check_as_if_told_before(lake_at, told_before)
    outcome = audit_records(Settings.from_env(), spark)
    assert outcome.is_proven, [line.faults for line in outcome.lines]
    replayed = versions(lake_at)
    assert "0 rows judged again" in run("quarantine", "replay", "--reason", "ambiguous_date")
    assert "1 row judged again: 0 left quarantine, 1 stay" in run("quarantine", "replay")
    assert versions(lake_at) == replayed


def test_build_records__finishes_a_replay_that_was_killed(
    lake_at: Path, told_before: Path, opened: OpenLake
) -> None:
    """Between any two tables; the builds after it are ordinary ones."""
    lake = opened(lake_at)
    again, crashes = AMBIGUOUS, 0
    while True:
        lake.tables = CrashingTables(lake.tables, writes_left=5)
        try:
            assert build_records(lake, DAY_FIRST, again=again) is not None
            break
        except CrashError:
            again, crashes = {}, crashes + 1
    assert crashes >= 2
    check_as_if_told_before(lake_at, told_before)


def test_audit_records__knows_that_rows_were_built_under_other_conventions(
    lake_at: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that another one follows, and that cannot be read by today's order."""
    zone = Zone(lake_at)
    header, *_ = FILES["attendance/september.csv"].splitlines(keepends=True)
    zone.put("attendance/older.csv", f"{header}A1,1,9/13/2025,P,2025-09-29T00:00:00Z\n")
    zone.land()
    monkeypatch.setenv("LMSLAKE_PSEUDONYM_KEY", KEY)
    monkeypatch.setenv("LMSLAKE_ROOT", str(lake_at))
    with open_lake(Settings.from_env(), "test", spark=spark) as lake:
        assert build_records(lake, Conventions()) is not None
    monkeypatch.setenv("LMSLAKE_DATE_ORDER", "dmy")
    outcome = audit_records(Settings.from_env(), spark)
    assert outcome.is_proven, [line.faults for line in outcome.lines]
    fact = DeltaTable(str(lake_at / TABLES["silver.fact_attendance"].path))
    fact.delete("attendance_id = 'A2'")
    outcome = audit_records(Settings.from_env(), spark)
    (line,) = (line for line in outcome.lines if line.source == "attendance")
    assert line.missing == 1
    assert "row 2 of september.csv is neither in silver.fact_attendance" in line.faults[0]


def test_build_records__keeps_rows_whose_day_cannot_be_told(built: Path) -> None:
    (row,) = (
        row
        for row in rows_of(LocalStore(built), "silver.fact_attendance")
        if row["attendance_id"] == "A3"
    )
    assert (row["attendance_date"], row["class_id"], row["is_present"]) == (None, None, False)
    assert row["quality_flags"] == ["attendance_date:ambiguous_date"]
    days = {row["date"] for row in rows_of(LocalStore(built), GOLD[0])}
    assert days == {date(2025, 9, 3), date(2025, 9, 5), date(2025, 9, 8)}
    names = ("silver.fact_support_tickets", "silver.fact_student_progress")
    assert all("None" in files_of(built, name) for name in names)


def test_lmslake_records_build__tells_a_new_user_what_to_do(
    tmp_path: Path, records: Callable[[Path], Shell]
) -> None:
    run = records(tmp_path)
    assert "no file was landed yet" in run("build")
    zone = Zone(tmp_path)
    for name, text in FILES.items():
        zone.put(name, text)
    zone.land()
    said = run("build").splitlines()
    (line,) = (line for line in said if "updated_at:ambiguous_date" in line)
    assert line.split()[0] == "1"
    assert line.endswith("e.g. register.csv:4")
    (line,) = (line for line in said if line.startswith("attendance:"))
    assert "9 without a date that can be told" in line
    assert "Look at them:  lmslake records quarantine show --limit 5" in said
    assert "every landed file is in the tables already" in run("build")

"""Rows of school records that are set aside: shown, and judged again after a setting changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from jobs.records import command
from lake.audit_records import audit_records
from lake.pipelines.opened import open_lake
from lake.pipelines.records.build import build_records
from lake.settings import Settings
from lake.storage_local import LocalStore
from lake.transforms.records.conventions import Conventions
from schemas.tables import TABLES
from tests.landing.zones import School as Zone
from tests.pipelines.conftest import OpenLake
from tests.pipelines.crashing import CrashError, CrashingTables
from tests.pipelines.lakes import KEY
from tests.pipelines.records_world import COMPARED, GOLD, gold_of, rows_of, tables_of, versions_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

QUARANTINE, HELD = "silver.records_quarantine", "silver.records_held"
DAY_FIRST = Conventions(date_order="dmy")
# Of days that only an order of dates tells: a move to another class, an attendance of its own, an
# older version of another one, one without a known word, one of an unknown student.
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
    "A6,4,2025-09-06,P,2025-09-30T00:00:00Z\n",
}
AMBIGUOUS = {
    "students": frozenset({"updated_at:ambiguous_date"}),
    "attendance": frozenset({"attendance_date:ambiguous_date"}),
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
    assert reasons(root, QUARANTINE) == [("attendance", 5, "status:unknown_value")]
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
    assert ["attendance", "attendance_date:ambiguous_date", "quarantined", "4"] in counted
    assert ["attendance", "unknown_student", "held", "1"] in counted
    shown = run("quarantine", "show", "--source", "students", "--reason", "ambiguous_date")
    assert shown.startswith("register.csv:4: students updated_at:ambiguous_date, quarantined\n")
    assert '"updated_at": "4/9/2025 00:00Z"' in shown
    (line,) = run("quarantine", "show", "--reason", "unknown_student", "--json").splitlines()
    assert json.loads(line)["values"]["attendance_id"] == "A6"
    before = versions(lake_at)
    assert "5 rows judged again: 0 left quarantine, 5 stay" in run("quarantine", "replay")
    assert versions(lake_at) == before

    monkeypatch.setenv("LMSLAKE_DATE_ORDER", "dmy")
    said = run("quarantine", "replay", "--reason", "ambiguous_date")
    assert "5 rows judged again: 4 left quarantine, 1 stay" in said
    check_as_if_told_before(lake_at, told_before)
    outcome = audit_records(Settings.from_env(), spark)
    assert outcome.is_proven, [line.faults for line in outcome.lines]
    replayed = versions(lake_at)
    assert "Nothing that fits" in run("quarantine", "replay", "--reason", "ambiguous_date")
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
    (line,) = (line for line in said if "attendance_date:ambiguous_date" in line)
    assert line.split()[0] == "4"
    assert line.endswith("e.g. september.csv:4")
    assert "Look at them:  lmslake records quarantine show --limit 5" in said
    assert "every landed file is in the tables already" in run("build")

"""One student's whole picture: right, point in time, and derived anew where it is out of date."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from jobs.picture import command
from lake.errors import LakeError
from lake.pipelines import picture as building
from lake.pipelines.build import build
from lake.pipelines.journal import Journal, Touched
from lake.pipelines.opened import open_lake
from lake.pipelines.picture import build_pictures
from lake.pipelines.picture_days import pending_pictures
from lake.pipelines.records.build import build_records
from lake.settings import Settings
from lake.storage_local import LocalStore
from lake.transforms.features import HORIZON_DAYS
from lake.transforms.picture import Sources, student_pictures
from schemas.tables.features import STUDENT_FEATURES
from schemas.tables.records_silver import RECORD_BUILDS
from schemas.tables.student_360 import BEHAVIOUR_DAYS, STUDENT_360
from tests.generators import canonical
from tests.landing.zones import School as Zone
from tests.laws.comparing import differences
from tests.laws.world import ingest
from tests.oracle.picture import ACTIVITY, STUDENTS, student_360
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import KEY, event, shown
from tests.pipelines.picture_world import (
    DAYS,
    Row,
    World,
    as_arrow,
    as_it_was,
    day,
    made_up,
    pictures_of,
    read_world,
    write_world,
)
from tests.pipelines.records_world import expected_gold, gold_of, hash_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MakeSettings = Callable[..., Settings]
DATES = [day(number) for number in (2, 31, 32, 75, 120, DAYS + 20)]
RECORDS = (STUDENTS, "silver.fact_attendance", "silver.fact_assessments")


def difference(expected: Sequence[Row], found: Sequence[Row]) -> str:
    return shown(differences(STUDENT_360.name, STUDENT_360.keys, expected, found))


def expected_of(world: Mapping[str, Sequence[Row]], dates: Sequence[date]) -> list[Row]:
    return [row for as_of in dates for row in student_360(world, as_of)]


def derived(spark: SparkSession, world: World, dates: Sequence[date]) -> list[Row]:
    """What the pure transform gives."""
    from schemas.derivations import struct_type
    from schemas.tables import TABLES

    frames = [
        spark.createDataFrame(as_arrow(name, world[name]))
        if world[name]
        else spark.createDataFrame([], struct_type(TABLES[name]))
        for name in (
            STUDENTS, ACTIVITY, "silver.fact_attendance", "silver.fact_assessments",
            "silver.enrollment_versions", "silver.progress_versions",
            "silver.fact_support_tickets", "gold.student_risk_monitor",
        )
    ]  # fmt: skip
    since = min((row["date"] for row in world[ACTIVITY]), default=None)
    names = [c.name for c in STUDENT_360.columns if not c.is_lineage]
    rows: list[Row] = (
        student_pictures(Sources(*frames), dates, since).select(*names).toArrow().to_pylist()
    )
    return rows


@pytest.mark.parametrize("seed", [1, 2])
def test_student_pictures__are_what_plain_python_says(spark: SparkSession, seed: int) -> None:
    world = made_up(seed)
    expected = expected_of(world, DATES)
    found = difference(expected, derived(spark, world, DATES))
    assert not found, found
    for name in STUDENT_360.column_names:
        if not name.startswith("_"):
            assert len({str(row[name]) for row in expected}) > 1, f"{name} is always the same"


def test_student_pictures__know_nothing_of_later_days(spark: SparkSession) -> None:
    world = made_up(3)
    whole = derived(spark, world, DATES)
    for as_of in DATES[1:4]:
        found = derived(spark, as_it_was(world, as_of), [as_of])
        assert found
        different = difference([row for row in whole if row["as_of_date"] == as_of], found)
        assert not different, different


def test_behaviour_days__are_those_of_the_features() -> None:
    assert BEHAVIOUR_DAYS == HORIZON_DAYS + 1


@pytest.mark.parametrize(
    "kept",
    [(ACTIVITY,), RECORDS],
    ids=["a school without records", "a school without behaviour"],
)
def test_build_pictures__lacks_what_the_lake_lacks(
    opened: OpenLake, lake_root: Path, kept: tuple[str, ...]
) -> None:
    world = {name: rows for name, rows in made_up(4, students=12).items() if name in kept}
    write_world(lake_root, world)
    report = build_pictures(opened(lake_root), [day(100), day(101)])
    assert report is not None
    found = pictures_of(lake_root)
    different = difference(expected_of(world, [day(100), day(101)]), found)
    assert not different, different
    unknown = "attendance_days_30d" if kept == (ACTIVITY,) else "sessions_30d"
    assert {row[unknown] for row in found} == {None}
    assert sum(report.rows.values()) == len(found)


def test_pending_pictures__wants_behaviour_or_records(opened: OpenLake, lake_root: Path) -> None:
    with pytest.raises(LakeError, match="neither behaviour nor school records"):
        pending_pictures(opened(lake_root).settings)


def test_pending_pictures__refuses_days_that_lie_ahead(opened: OpenLake, lake_root: Path) -> None:
    write_world(lake_root, {ACTIVITY: made_up(4)[ACTIVITY]})
    settings = opened(lake_root).settings
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    with pytest.raises(LakeError, match="lies ahead"):
        pending_pictures(settings, [tomorrow])
    assert pending_pictures(settings, [tomorrow - timedelta(days=1)]).fingerprints


class Changes:
    """A lake of records, and which of four days each change to it makes out of date."""

    DATES = (day(40), day(60), day(80), day(100))

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.root = Path(settings.root)
        world = as_it_was(made_up(5, students=8), self.DATES[-1])
        write_world(self.root, {name: rows for name, rows in world.items() if name != ACTIVITY})
        self.journal = Journal(LocalStore(self.root))
        self.records_journal = Journal(LocalStore(self.root), RECORD_BUILDS)
        self.known = pending_pictures(settings, self.DATES).fingerprints

    def stale(self) -> list[date]:
        """Days of which something changed since the last time that this was asked."""
        before, self.known = self.known, pending_pictures(self.settings, self.DATES).fingerprints
        return [at for at in self.DATES if before[at] != self.known[at]]

    def add(self, name: str, **values: Any) -> list[date]:
        write_world(self.root, {name: [{"student_hash": "0f" * 32, "quality_flags": [], **values}]})
        return self.stale()

    def built(self, build_id: str, state: str, *touched: date, of: str = "") -> list[date]:
        """A build of events, or of the source `of`."""
        journal = self.records_journal if of else self.journal
        paths = () if state == "repaired" else (f"{of}/a",)
        journal.record(build_id, state, Touched(frozenset(touched)), paths)
        return self.stale()


def test_pending_pictures__finds_builds_that_reach_a_day(settings: MakeSettings) -> None:
    lake = Changes(settings())
    assert lake.stale() == []
    # Behaviour reaches a month on, records for ever; neither reaches back.
    assert lake.built("b1", "finished", day(50)) == [day(60), day(80)]
    assert lake.built("b2", "publishing", day(50)) == []
    assert lake.built("b2", "repaired", day(50)) == [day(60), day(80)]
    assert lake.built("r1", "publishing", of="attendance") == []
    assert lake.built("r1", "finished", day(50), day(90), of="attendance") == [
        day(60), day(80), day(100),
    ]  # fmt: skip
    assert lake.built("r2", "finished", of="students") == []
    # What a killed build of records had touched nobody knows.
    assert lake.built("r3", "repaired", of="students") == list(lake.DATES)


def test_pending_pictures__finds_rows_that_count_at_a_day(settings: MakeSettings) -> None:
    lake = Changes(settings())
    moment = datetime.combine(day(59), time(12), UTC)
    course = {"course_id": "Z"}

    def enrolled(at: date) -> list[date]:
        of_day = {"enrollment_date": at, "month": at.replace(day=1)}
        return lake.add("silver.enrollment_versions", **course, **of_day)

    assert enrolled(day(60)) == [day(60), day(80), day(100)]
    # Another time in the same course: no picture counts it, unless it came before.
    assert enrolled(day(70)) == []
    assert enrolled(day(50)) == []
    assert enrolled(day(30)) == [day(40)]
    lesson = {"lesson_id": "Z", "completion_pct": 0.5, "last_activity_at": moment}
    lesson["month"] = day(59).replace(day=1)
    assert lake.add("silver.progress_versions", **course, **lesson) == [
        day(60), day(80), day(100),
    ]  # fmt: skip
    known = {"class_id": "9Z", "grade_level": 9, "enrollment_status": "active", "is_current": False}
    until = moment + timedelta(days=2)
    assert lake.add(STUDENTS, **known, valid_from=moment, valid_to=until) == [day(60)]
    # The first event of all: until its day nobody's behaviour was known.
    assert lake.add(ACTIVITY, date=day(80)) == [day(80), day(100)]


def test_build_pictures__goes_on_where_it_ended(
    opened: OpenLake, lake_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = made_up(6, students=8)
    write_world(lake_root, world)
    monkeypatch.setattr(building, "DAYS_AT_ONCE", 1)
    lake, told = opened(lake_root), list[str]()

    def end_after_first(text: str) -> None:
        told.append(text)
        raise KeyboardInterrupt

    dates = [day(60), day(61)]
    with pytest.raises(KeyboardInterrupt):
        build_pictures(lake, dates, end_after_first)
    assert [text.partition(":")[0] for text in told] == [str(day(60))]
    report = build_pictures(lake, dates)
    assert report is not None
    assert list(report.rows) == [day(61)]
    different = difference(expected_of(world, dates), pictures_of(lake_root))
    assert not different, different


SCHOOL = {
    "students.csv": "student_id,student_name,class_id,grade_level,enrollment_status,updated_at\n"
    "STU001,Ana Recognisable,9A,9,active,2024-02-01T08:00:00Z\n"
    "STU002,Ben Recognisable,9A,9,active,2024-02-29T00:00:00Z\n"
    "STU003,Cleo Recognisable,9B,9,active,2024-02-01T08:00:00Z\n",
    "attendance.csv": "attendance_id,student_id,attendance_date,status,created_at\n"
    "A1,STU001,2024-02-27,present,2024-02-27T08:00:00Z\n"
    "A2,STU001,2024-02-28,absent,2024-02-28T08:00:00Z\n"
    "A3,STU002,2024-03-01,present,2024-03-01T08:00:00Z\n"
    "A4,STU003,2024-02-25,absent,2024-02-25T08:00:00Z\n"
    "A5,STU003,2024-02-26,absent,2024-02-26T08:00:00Z\n"
    "A6,STU003,2024-02-27,absent,2024-02-27T08:00:00Z\n"
    "A7,STU003,2024-02-28,absent,2024-02-28T08:00:00Z\n",
    "assessments.csv": "assessment_id,student_id,assessment_date,subject,score,max_score,created_at"
    "\nT1,STU001,2024-02-29,History,7,10,2024-02-29T08:00:00Z\n",
}  # fmt: skip
LATE = (
    "attendance_id,student_id,attendance_date,status,created_at\n"
    "A9,STU001,2024-02-29,present,2024-03-03T08:00:00Z\n"
    "A7,STU003,2024-02-28,present,2024-03-03T08:00:00Z\n"
)
FEBRUARY_28 = datetime(2024, 2, 28, 12, tzinfo=UTC)


def some_events(*numbers: int) -> list[bytes]:
    """Of two students of the school and of one whom it does not know; a day apart."""
    students = ("STU001", "STU003", "STU007")
    return [
        canonical(event(n, FEBRUARY_28 + timedelta(days=n % 3, minutes=n), students[n % 3],
                        "page_view", page_url="https://lms.example/c1"))
        for n in numbers
    ]  # fmt: skip


@pytest.fixture
def picture_build(
    spark: SparkSession, lake_root: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Runs `lmslake picture build ARGUMENTS…` with the session of the run; what it prints."""
    monkeypatch.setenv("LMSLAKE_ROOT", str(lake_root))
    monkeypatch.setenv("LMSLAKE_PSEUDONYM_KEY", KEY)
    monkeypatch.setattr(
        "lake.pipelines.opened.open_lake",
        lambda settings, name, **_: open_lake(settings, name, spark=spark),
    )

    def run(*arguments: str) -> str:
        called = CliRunner().invoke(command, ["build", *arguments], catch_exceptions=False)
        assert called.exit_code == 0, called.stderr
        return called.stdout

    return run


@pytest.mark.slow
def test_lmslake_picture__follows_late_events_and_late_records(
    opened: OpenLake,
    lake_root: Path,
    tmp_path: Path,
    picture_build: Callable[..., str],
) -> None:
    lake = opened(lake_root)
    with pytest.raises(LakeError, match="neither behaviour nor school records"):
        picture_build()
    zone = Zone(lake_root)
    for name, text in SCHOOL.items():
        zone.put(name, text)
    zone.land()
    assert build_records(lake) is not None
    ingest(lake, tmp_path / "first", some_events(0, 1, 2, 4, 5))
    build(lake)
    days = [date(2024, 2, 28) + timedelta(days=n) for n in range(3)]
    first_days = picture_build("--from", "2024-02-28", "--to", "2024-02-29")
    assert "5 pictures of 2 days, 2024-02-28 … 2024-02-29" in first_days
    # STU007 is in no register.
    assert "in the 31 days to 2024-03-01: 3; the register knows 2 of them." in first_days
    assert "of 2024-03-01" in picture_build()
    _check_stored(lake_root, days)
    ana = _picture_of("STU001", lake_root, days[1])
    assert (ana["class_id"], ana["sessions_30d"], ana["attendance_days_30d"]) == ("9A", 1, 2)
    assert (ana["avg_score_90d"], ana["risk_rules"]) == (70.0, [])
    cleo = _picture_of("STU003", lake_root, days[1])
    assert (cleo["rolling_7d_sessions"], cleo["risk_rules"]) == (1, ["absent_in_a_row"])
    assert cleo["risk_since"] == date(2024, 2, 27)

    version = _version(lake_root)
    assert "up to date" in picture_build()
    assert _version(lake_root) == version

    ingest(lake, tmp_path / "late", some_events(3))
    build(lake)
    assert pending_pictures(lake.settings).dates == days
    zone.put("attendance late.csv", LATE)
    zone.land()
    assert build_records(lake) is not None
    assert "of 3 days, 2024-02-28 … 2024-03-01" in picture_build()
    _check_stored(lake_root, days)
    # She was there after all.
    assert _picture_of("STU003", lake_root, days[1])["risk_rules"] == []
    _check_features(lake_root)
    _check_private(lake_root)


def _picture_of(student: str, root: Path, as_of: date) -> Row:
    mine = [row for row in pictures_of(root, as_of) if row["student_hash"] == hash_of(student)]
    return mine[0]


def _check_stored(root: Path, dates: Sequence[date]) -> None:
    """Stored pictures, and the risks in them, are those that follow from the tables now."""
    assert gold_of(root) == expected_gold(root)
    different = difference(expected_of(read_world(root), dates), pictures_of(root))
    assert not different, different


def _check_features(root: Path) -> None:
    """The behaviour is that of features.student_features, on each of its rows."""
    features = rows_of(LocalStore(root), STUDENT_FEATURES.name)
    keys = {tuple(row[key] for key in STUDENT_360.keys) for row in features}
    found = [row for row in pictures_of(root) if (row["student_hash"], row["as_of_date"]) in keys]
    different = difference(features, found)
    assert features
    assert not different, different


def _check_private(root: Path) -> None:
    for path in (root / STUDENT_360.path).rglob("*"):
        if path.is_file():
            body = path.read_bytes()
            assert b"STU00" not in body, path
            assert b"Recognisable" not in body, path
    assert "STU00" not in str(pictures_of(root))


def _version(root: Path) -> int:
    return DeltaTable(LocalStore(root).delta_uri(STUDENT_360.path)).version()

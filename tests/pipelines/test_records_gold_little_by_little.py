"""Later files change of gold what follows from them, and copy nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from lake import limits
from lake.pipelines.records.build import RecordsReport, build_records
from tests.landing.zones import School as Zone
from tests.pipelines.conftest import OpenLake
from tests.pipelines.records_world import GOLD, expected_gold, files_of, gold_of

STUDENTS = "student_id,student_name,class_id,grade_level,enrollment_status,updated_at\n"
PRESENCES = "attendance_id,student_id,attendance_date,status,created_at\n"
CLASSES, ROLLING, MONTHS, SUMMARY, TRENDS, RISKS = GOLD
FIRST = date(2025, 1, 6)
# Three weeks, then one day a week for half a year with a pause of a hundred days in it.
DAYS = [
    *(FIRST + timedelta(days=n) for n in range(18)),
    *(FIRST + timedelta(days=7 * n) for n in (4, 6, 8, 10, 25, 26, 27)),
]
NEWEST = DAYS[-1]
ROOMS = {1: "9A", 2: "9A", 3: "9B", 4: "10A"}

Build = Callable[..., RecordsReport]


def pupil(number: int, room: str, since: str, status: str = "active") -> str:
    return f"{number},Ana Lima,{room},{int(room[:-1])},{status},{since}\n"


def presences(day: date, absent: tuple[int, ...] = (), version: str = "T12:00:00Z") -> str:
    return "".join(
        f"A{day:%y%m%d}{n},{n},{day},{'A' if n in absent else 'P'},{day}{version}\n" for n in ROOMS
    )


def assessments(days: list[date]) -> str:
    """Student 1 gets better, student 2 worse, student 3 stays low; student 4 has none."""
    items = []
    for index, day in enumerate(days):
        scores = {1: 40 + 5 * index, 2: 95 - 7 * index, 3: 45}
        items += [
            f'{{"assessment_id": "M{day:%y%m%d}{n}", "student_id": "{n}", "subject": "Physics", '
            f'"score": {max(0, min(100, score))}, "max_score": 100, "assessment_date": "{day}", '
            f'"created_at": "{day}T15:00:00Z"}}'
            for n, score in scores.items()
        ]
    return f"[{','.join(items)}]"


@pytest.fixture
def built(opened: OpenLake, tmp_path: Path) -> Build:
    """Lands files (source=text) and builds; gold must then be what silver says."""
    lake, zone = opened(tmp_path), Zone(tmp_path)

    def build(**files: str) -> RecordsReport:
        for source, text in files.items():
            zone.put(f"{source}/file.{'json' if source == 'assessments' else 'csv'}", text)
        assert all(outcome.kind == "landed" for outcome in zone.land())
        report = build_records(lake)
        assert report is not None
        assert gold_of(tmp_path) == expected_gold(tmp_path)
        return report

    return build


def register() -> str:
    return STUDENTS + "".join(pupil(n, room, "2024-08-01T00:00:00Z") for n, room in ROOMS.items())


def rewritten(root: Path, before: dict[str, dict[str, set[str]]]) -> dict[str, set[str]]:
    """Table → partitions that have other files than before."""
    changed = {}
    for name, old in before.items():
        new = files_of(root, name)
        if values := {v for v in {*old, *new} if old.get(v) != new.get(v)}:
            changed[name] = values
    return changed


def stored(root: Path) -> dict[str, dict[str, set[str]]]:
    return {name: files_of(root, name) for name in GOLD}


def test_build_records__rewrites_what_a_file_changes_alone(built: Build, tmp_path: Path) -> None:
    absences = {day: (2,) if index % 3 else (2, 3) for index, day in enumerate(DAYS)}
    built(
        students=register(),
        attendance=PRESENCES + "".join(presences(day, absences[day]) for day in DAYS),
        assessments=assessments(DAYS[::2]),
    )
    assert len(gold_of(tmp_path)[RISKS]) > len(DAYS)

    # The next day of school: its own partitions, and those of its month.
    before = stored(tmp_path)
    today = NEWEST + timedelta(days=1)
    report = built(attendance=PRESENCES + presences(today, absent=(2, 4)))
    day, month = {str(today)}, {str(today.replace(day=1))}
    assert rewritten(tmp_path, before) == {
        CLASSES: day, ROLLING: day, MONTHS: month, SUMMARY: {"None"}, TRENDS: month, RISKS: day,
    }  # fmt: skip
    assert {told.name: told.days for told in report.gold if told.name in (CLASSES, RISKS)} == {
        CLASSES: (today,), RISKS: (today,)
    }  # fmt: skip

    # The register again, saved later, with nothing new: no table changes.
    before = stored(tmp_path)
    again = "".join(pupil(n, room, f"{today}T07:00:00Z") for n, room in ROOMS.items())
    report = built(students=STUDENTS + again)
    assert report.gold == []
    assert rewritten(tmp_path, before) == {}

    # One who leaves today is counted no more today.
    report = built(students=STUDENTS + pupil(1, "9A", f"{today}T08:00:00Z", "withdrawn"))
    assert rewritten(tmp_path, before) == {CLASSES: day}

    # A correction of an old day: its windows, its months, and the student's later days alone.
    before = stored(tmp_path)
    old = DAYS[1]
    corrected = f"A{old:%y%m%d}2,2,{old},P,{old}T18:00:00Z\n"
    built(attendance=PRESENCES + corrected)
    changed = rewritten(tmp_path, before)
    assert changed[CLASSES] == {str(old)}
    assert changed[ROLLING] <= {str(at) for at in DAYS if 0 <= (at - old).days < 30}
    assert changed[MONTHS] == {"2025-01-01"}
    assert changed[TRENDS] <= {"2025-01-01", "2025-02-01"}
    assert str(today) not in changed[RISKS]


def test_build_records__follows_records_and_students_that_move(
    built: Build, tmp_path: Path
) -> None:
    built(
        students=register(),
        attendance=PRESENCES + "".join(presences(day, (2,)) for day in DAYS[10:20]),
        assessments=assessments(DAYS[10:20]),
    )
    # A record that was another student's, on another day: the only ones of their days.
    lone = DAYS[20]
    built(attendance=f"{PRESENCES}B1,1,{lone},A,{lone}T12:00:00Z\n")
    built(attendance=f"{PRESENCES}B1,3,{DAYS[21]},A,{lone}T13:00:00Z\n")
    assert lone not in {row["date"] for row in gold_of(tmp_path)[CLASSES]}
    assert lone not in {row["as_of_date"] for row in gold_of(tmp_path)[RISKS]}

    # Another class and another grade, told late: true for some days in the middle.
    since, until = DAYS[12], DAYS[15]
    built(
        students=STUDENTS
        + pupil(2, "10A", f"{since}T09:00:00Z")
        + pupil(2, "9A", f"{until}T00:00:00Z")
    )
    # Another grade in the same class: nothing of the facts changes.
    built(students=f"{STUDENTS}3,Ana Lima,9B,8,active,{since}T09:00:00Z\n")
    grades = {
        row["grade_level"]
        for row in gold_of(tmp_path)[MONTHS]
        if row["class_id"] == "9B" and row["assessments"]
    }
    assert grades == {8, 9}
    # Somebody new, with facts that waited for her; and whom the register knew earlier than it said.
    built(attendance=f"{PRESENCES}C1,5,{NEWEST},A,{NEWEST}T12:00:00Z\n")
    built(
        students=STUDENTS
        + pupil(5, "9B", f"{NEWEST}T09:00:00Z")
        + pupil(1, "10A", "2024-07-01T00:00:00Z")
    )


def test_build_records__of_many_rows_gives_the_same_gold(
    built: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is read and written by Spark, and not by delta-rs."""
    for limit in ("COLLECTED_ROWS", "FEW_ROWS", "SEARCHED_ROWS", "COPIED_ROWS", "FEW_PARTITIONS"):
        monkeypatch.setattr(limits, limit, 0)
    first, second = DAYS[-6:-1], DAYS[-1:]
    built(
        students=register(),
        attendance=PRESENCES + "".join(presences(day, (2,)) for day in first),
        assessments=assessments(first),
    )
    moved = pupil(3, "9A", f"{first[-1]}T09:00:00Z")
    built(
        students=STUDENTS + moved,
        attendance=PRESENCES + "".join(presences(day, (2, 4)) for day in second),
    )

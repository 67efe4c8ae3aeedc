"""What is true of the made-up school: sums that add up, histories, newest records."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from lake.school import School, write_school
from lake.school.life import Record, Value
from lake.school.rows import Placed, Row
from lake.school.truth import truth_of
from lake.school.versions import canonical_content, class_on, precedence, student_history
from schemas.records.sources import SOURCES

STUDENTS = SOURCES["students"]


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    return write_school(tmp_path_factory.mktemp("school"), students=48, days=26)


def version(day: int, class_id: str, student: str = "STU001", status: str = "active") -> Record:
    return {
        "student_id": student,
        "student_name": "Ana Lima",
        "class_id": class_id,
        "grade_level": 9,
        "enrollment_status": status,
        "updated_at": datetime(2025, 9, day, 12, tzinfo=UTC),
    }


def placed(source: str, *records: Record) -> list[Placed]:
    return [Placed("file", n, Row(source, record)) for n, record in enumerate(records, start=1)]


def history_of(school: School) -> dict[Value, list[Record]]:
    history: dict[Value, list[Record]] = {}
    for row in school.truth.tables["dim_students"]:
        history.setdefault(row["student_id"], []).append(row)
    return history


# --- by hand


def test_student_history__begins_a_range_where_a_version_differs() -> None:
    versions = [version(3, "9B"), version(1, "9A"), version(2, "9A"), version(4, "9A")]
    rows = student_history(versions)
    assert [(r["class_id"], r["valid_from"], r["valid_to"], r["is_current"]) for r in rows] == [
        ("9A", versions[1]["updated_at"], versions[0]["updated_at"], False),
        ("9B", versions[0]["updated_at"], versions[3]["updated_at"], False),
        ("9A", versions[3]["updated_at"], None, True),
    ]


def test_student_history__does_not_collapse_two_students() -> None:
    rows = student_history([version(1, "9A", "STU002"), version(1, "9A", "STU001")])
    assert [(row["student_id"], row["is_current"]) for row in rows] == [
        ("STU001", True),
        ("STU002", True),
    ]


def test_class_on__is_that_of_the_end_of_the_day() -> None:
    midnight = datetime(2025, 9, 10, tzinfo=UTC)
    history = student_history([version(5, "9A"), version(6, "9B") | {"updated_at": midnight}])
    assert class_on(history, date(2025, 9, 9)) == "9A"
    assert class_on(history, date(2025, 9, 10)) == "9B"
    assert class_on(history, date(2025, 8, 1)) == "9A"


def test_class_on__sees_the_last_microsecond_of_the_day() -> None:
    last = datetime(2025, 9, 9, 23, 59, 59, 999_999, tzinfo=UTC)
    history = student_history([version(5, "9A"), version(6, "9B") | {"updated_at": last}])
    assert class_on(history, date(2025, 9, 8)) == "9A"
    assert class_on(history, date(2025, 9, 9)) == "9B"


def test_canonical_content__leaves_out_key_version_and_identifiers() -> None:
    assert canonical_content(STUDENTS, version(1, "9A")) == "9A\x1f9\x1factive"
    attendance: Record = {
        "attendance_id": "ATT1",
        "student_id": "STU001",
        "attendance_date": date(2025, 9, 1),
        "status": False,
        "created_at": datetime(2025, 9, 1, 9, tzinfo=UTC),
    }
    assert canonical_content(SOURCES["attendance"], attendance) == "2025-09-01\x1ffalse"


def test_precedence__prefers_the_newer_then_the_greater_hash() -> None:
    older, newer = version(1, "9A"), version(2, "9B")
    assert precedence(STUDENTS, older) < precedence(STUDENTS, newer)
    winner = max(
        ("9A", "9B"), key=lambda c: hashlib.sha256(f"{c}\x1f9\x1factive".encode()).hexdigest()
    )
    truth = truth_of(placed("students", version(1, "9A"), version(1, "9B")))
    assert [row["class_id"] for row in truth.tables["dim_students"]] == [winner]
    assert [item.reason for item in truth.quarantined] == ["conflicting_version"]


def test_precedence__puts_no_time_below_every_time() -> None:
    source = SOURCES["course_catalog"]
    course: Record = dict.fromkeys(source.field_names)
    dated = course | {"updated_at": datetime(1970, 1, 1, tzinfo=UTC)}
    assert precedence(source, course) < precedence(source, dated)


def test_precedence__prefers_a_ticket_that_is_closed() -> None:
    source = SOURCES["support_tickets"]
    opened: Record = dict.fromkeys(source.field_names)
    opened |= {"ticket_id": "TCK1", "opened_at": datetime(2025, 9, 1, tzinfo=UTC)}
    closed = opened | {"closed_at": datetime(2025, 9, 2, tzinfo=UTC)}
    assert precedence(source, opened) < precedence(source, closed)


def test_truth_of__counts_copies_and_older_versions_apart() -> None:
    first: Record = {
        "attendance_id": "ATT1",
        "student_id": "STU001",
        "attendance_date": date(2025, 9, 2),
        "status": False,
        "created_at": datetime(2025, 9, 2, 9, tzinfo=UTC),
    }
    second = first | {"status": True, "created_at": datetime(2025, 9, 3, 9, tzinfo=UTC)}
    stranger = first | {"attendance_id": "ATT2", "student_id": "STU999"}
    rows = placed("students", version(1, "9A"))
    rows += placed("attendance", second, first, first, second, second, stranger)
    truth = truth_of(rows)
    counts = truth.counts["attendance"]
    assert (counts.rows, counts.distinct, counts.duplicates, counts.superseded) == (6, 1, 3, 1)
    assert [item.reason for item in truth.held] == ["unknown_student"]
    (fact,) = truth.tables["fact_attendance"]
    assert (fact["is_present"], fact["class_id"]) == (True, "9A")


def test_truth_of__keeps_each_version_of_an_enrolment_once() -> None:
    course: Record = dict.fromkeys(SOURCES["course_catalog"].field_names)
    first: Record = dict.fromkeys(SOURCES["students_enrollment"].field_names)
    first |= {"student_id": "STU001", "course_id": "C1", "enrollment_date": date(2025, 8, 20)}
    again = first | {"enrollment_date": date(2025, 11, 4)}
    rows = placed("students", version(1, "9A"))
    rows += placed("course_catalog", course | {"course_id": "C1"})
    rows += placed("students_enrollment", again, first, first, first | {"location": "Leeds"})
    truth = truth_of(rows)
    days = [row["enrollment_date"] for row in truth.tables["enrollment_versions"]]
    assert days == [date(2025, 8, 20), date(2025, 11, 4)]
    (fact,) = truth.tables["fact_enrollments"]
    assert fact["enrollment_date"] == date(2025, 11, 4)
    # What contradicts an older version is superseded like that.
    counts = truth.counts["students_enrollment"]
    assert (counts.distinct, counts.superseded, counts.duplicates) == (1, 2, 1)


# --- of the whole school


@pytest.mark.parametrize("seed", range(3))
def test_write_school__accounts_for_every_row(seed: int, tmp_path: Path) -> None:
    school = write_school(tmp_path, students=24 + 5 * seed, days=19 + 3 * seed, seed=seed)
    for counts in school.truth.counts.values():
        others = counts.duplicates + counts.superseded + counts.quarantined + counts.held
        assert counts.rows == counts.distinct + others
        assert min(counts.distinct, counts.duplicates, counts.quarantined) > 0


def test_truth_of__does_not_depend_on_the_order_of_files(school: School) -> None:
    rows = list(school.rows)
    random.Random(3).shuffle(rows)
    assert truth_of(rows) == school.truth


def test_write_school__has_histories_without_gap_and_overlap(school: School) -> None:
    histories = history_of(school)
    assert len(histories) == 48
    for rows in histories.values():
        for before, after in pairwise(rows):
            assert before["valid_to"] == after["valid_from"]
            assert str(before["valid_from"]) < str(after["valid_from"])
            assert any(before[name] != after[name] for name in ("class_id", "enrollment_status"))
        assert [row["is_current"] for row in rows] == [False] * (len(rows) - 1) + [True]
        assert [row["valid_to"] is None for row in rows] == [row["is_current"] for row in rows]


def test_write_school__has_every_kind_of_history(school: School) -> None:
    histories = history_of(school)
    classes = {name: [row["class_id"] for row in rows] for name, rows in histories.items()}
    assert school.truth.counts["students"].collapsed > 0
    assert any(len(of) == 3 and of[0] == of[2] != of[1] for of in classes.values())
    statuses = {row["enrollment_status"] for row in school.truth.tables["dim_students"]}
    assert statuses == {"active", "inactive", "withdrawn"}
    starts = [row["valid_from"] for row in school.truth.tables["dim_students"]]
    moments = {s.time().isoformat() for s in starts if isinstance(s, datetime)}
    assert {"00:00:00", "23:59:59.999999"} <= moments
    reasons = {item.reason for item in school.truth.quarantined}
    assert "conflicting_version" in reasons


def test_write_school__delivers_versions_out_of_order(school: School) -> None:
    order = {delivery.name: n for n, delivery in enumerate(school.deliveries)}
    for source, version_field in (("students", "updated_at"), ("attendance", "created_at")):
        key = SOURCES[source].keys[0]
        seen: dict[Value, Value] = {}
        late = 0
        for item in sorted(school.rows, key=lambda p: order[p.file]):
            record = item.row.record
            if item.row.source != source or item.row.reason:
                continue
            last, moment = seen.get(record[key]), record[version_field]
            if isinstance(last, datetime) and isinstance(moment, datetime) and moment < last:
                late += 1
            else:
                seen[record[key]] = moment
        assert late > 0


@pytest.mark.parametrize(
    ("field", "parent", "children"),
    [
        ("student_id", "students", ("attendance",)),
        ("course_id", "course_catalog", ("students_enrollment", "student_progress")),
    ],
)
def test_write_school__delivers_children_before_parents(
    school: School, field: str, parent: str, children: tuple[str, ...]
) -> None:
    arrives = {delivery.name: delivery.arrives for delivery in school.deliveries}
    first: dict[Value, date] = {}
    for item in school.rows:
        if item.row.source == parent and item.row.reason is None:
            record, day = item.row.record, arrives[item.file]
            first[record[field]] = min(first.get(record[field], day), day)
    orphans = {
        item.row.record[field]
        for item in school.rows
        if item.row.source in children and item.row.reason is None
        and arrives[item.file] < first.get(item.row.record[field], date.min)
    }  # fmt: skip
    assert orphans
    table = {"attendance": "fact_attendance"}.get(children[0], "fact_enrollments")
    assert orphans <= {row[field] for row in school.truth.tables[table]}


@pytest.mark.parametrize(
    ("versions", "facts", "version_field"),
    [
        ("enrollment_versions", "fact_enrollments", "enrollment_date"),
        ("progress_versions", "fact_student_progress", "last_activity_at"),
    ],
)
def test_write_school__has_facts_that_are_the_newest_of_several_versions(
    school: School, versions: str, facts: str, version_field: str
) -> None:
    def told(table: str) -> dict[tuple[Value, ...], list[str]]:
        found: dict[tuple[Value, ...], list[str]] = {}
        for row in school.truth.tables[table]:
            key = (row["student_id"], row["course_id"], row.get("lesson_id"))
            found.setdefault(key, []).append(str(row[version_field]))
        return found

    every = told(versions)
    in_force = told(facts)
    undated = {key for key, moments in in_force.items() if moments == ["None"]}
    newest = {key: [max(moments)] for key, moments in every.items()}
    assert in_force == newest | {key: ["None"] for key in undated}
    assert undated.isdisjoint(every)
    assert any(len(moments) > 1 for moments in every.values())


def test_write_school__has_students_who_enrol_again_in_another_month(school: School) -> None:
    months: dict[tuple[Value, ...], set[str]] = {}
    for row in school.truth.tables["enrollment_versions"]:
        month = str(row["enrollment_date"])[:7]
        months.setdefault((row["student_id"], row["course_id"]), set()).add(month)
    assert any(len(of_key) > 1 for of_key in months.values())


def test_write_school__knows_each_student_and_day_once(school: School) -> None:
    facts = school.truth.tables["fact_attendance"]
    assert len({(row["student_id"], row["attendance_date"]) for row in facts}) == len(facts)
    assert {row["is_present"] for row in facts} == {True, False}


def test_write_school__gives_facts_the_class_of_their_day(school: School) -> None:
    histories = history_of(school)
    changed = set()
    for row in school.truth.tables["fact_attendance"]:
        day = row["attendance_date"]
        if day is None:
            assert row["class_id"] is None
            continue
        assert isinstance(day, date)
        end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        of_student = histories[row["student_id"]]
        begun = [
            v for v in of_student if isinstance(v["valid_from"], datetime) and v["valid_from"] < end
        ]
        expected = begun[-1] if begun else of_student[0]
        assert row["class_id"] == expected["class_id"]
        changed.add((row["student_id"], row["class_id"], bool(begun)))
    assert len({student for student, _, _ in changed}) < len({(s, c) for s, c, _ in changed})
    assert any(not has_begun for _, _, has_begun in changed)


def test_write_school__keeps_particulars_out_of_silver(school: School) -> None:
    hidden = {"student_name", "email", "phone", "date_of_birth", "body"}
    for name, rows in school.truth.tables.items():
        assert rows
        assert not hidden & set(rows[0])
        assert name == "fact_assessments" or "subject" not in rows[0]
    assert all(
        isinstance(row["score_pct"], float) and 0 <= row["score_pct"] <= 1
        for row in school.truth.tables["fact_assessments"]
    )
    assert len(school.truth.contacts) == len(school.truth.tables["fact_enrollments"])

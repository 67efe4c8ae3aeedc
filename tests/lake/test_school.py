"""The made-up school: the same bytes each time, every defect, and rows where its truth says."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from lake.errors import LakeError
from lake.school import MIN_DAYS, MIN_STUDENTS, Delivery, School, write_school
from lake.school.faults import SOFT, SPOILT
from lake.school.files import FORMS
from schemas.records.sources import SOURCES
from tests.lake.school_reading import Cells, Read, plain_bytes, read


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    return write_school(tmp_path_factory.mktemp("school"), MIN_STUDENTS, MIN_DAYS)


@pytest.fixture(scope="module")
def landed(school: School) -> dict[str, Read]:
    return {d.name: read(school, d) for d in school.deliveries if d.lands}


def bytes_of(school: School) -> dict[str, bytes]:
    return {d.name: (school.folder / d.name).read_bytes() for d in school.deliveries}


def cells_of(school: School, landed: dict[str, Read], source: str, field: str) -> set[str]:
    return {
        cell
        for delivery in school.deliveries
        if delivery.lands and delivery.source == source
        for row in landed[delivery.name].rows
        if (cell := row.get(field)) is not None
    }


def refused(school: School, reason: str) -> Delivery:
    (found,) = (d for d in school.deliveries if d.fails == reason)
    return found


def test_write_school__writes_the_same_bytes_again(school: School, tmp_path: Path) -> None:
    again = write_school(tmp_path / "again", MIN_STUDENTS, MIN_DAYS)
    other = write_school(tmp_path / "other", MIN_STUDENTS, MIN_DAYS, seed=8)
    assert bytes_of(again) == bytes_of(school)
    assert (again.deliveries, again.truth) == (school.deliveries, school.truth)
    assert bytes_of(other) != bytes_of(school)


def test_write_school__tells_of_every_file_in_its_folder(school: School) -> None:
    found = {
        str(path.relative_to(school.folder)) for path in school.folder.rglob("*") if path.is_file()
    }
    assert found == {delivery.name for delivery in school.deliveries}
    assert [d.arrives for d in school.deliveries] == sorted(d.arrives for d in school.deliveries)


@pytest.mark.parametrize("seed", range(4))
def test_write_school__has_as_many_rows_in_its_files_as_it_says(seed: int, tmp_path: Path) -> None:
    school = write_school(tmp_path, MIN_STUDENTS + seed, MIN_DAYS + seed, seed=seed)
    landed = {d.name: d for d in school.deliveries if d.lands}
    assert {d.name: len(read(school, d).rows) for d in landed.values()} == {
        name: d.rows for name, d in landed.items()
    }
    by_source: Counter[str | None] = Counter()
    for delivery in landed.values():
        by_source[delivery.source] += delivery.rows or 0
    assert by_source == {name: counts.rows for name, counts in school.truth.counts.items()}


def test_write_school__writes_a_file_twice_under_other_names(school: School) -> None:
    bodies = bytes_of(school)
    twins = [d for d in school.deliveries if d.same_as]
    assert {d.source for d in twins} == set(SOURCES)
    assert all(bodies[d.name] == bodies[d.same_as or ""] for d in twins)
    originals = Counter(d.content_hash for d in school.deliveries if not d.same_as)
    assert set(originals.values()) == {1}


def test_write_school__refuses_a_school_too_small_for_every_fault(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="24 students and 19 days"):
        write_school(tmp_path, students=10)
    with pytest.raises(LakeError, match="24 students and 19 days"):
        write_school(tmp_path, days=10)


def test_write_school__keeps_to_its_start(tmp_path: Path) -> None:
    school = write_school(tmp_path, MIN_STUDENTS, MIN_DAYS, start=date(2024, 2, 28))
    days = {row["attendance_date"] for row in school.truth.tables["fact_attendance"]} - {None}
    assert min(days, key=str) == date(2024, 2, 28)
    assert len(days) == 13


# --- files that cannot be read


def test_write_school__has_one_file_for_every_reason_to_refuse_it(school: School) -> None:
    reasons = Counter(d.fails for d in school.deliveries if d.fails)
    assert reasons == dict.fromkeys(
        (
            "damaged_gzip", "truncated_json", "unclosed_quote", "missing_column", "empty_file",
            "not_text", "unknown_source",
        ),
        1,
    )  # fmt: skip
    assert not {d.name for d in school.deliveries if d.fails} & {p.file for p in school.rows}


def test_write_school__breaks_its_broken_files_as_it_says(school: School) -> None:
    bodies = bytes_of(school)
    with pytest.raises(EOFError):
        gzip.decompress(bodies[refused(school, "damaged_gzip").name])
    text = bodies[refused(school, "truncated_json").name].decode()
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    assert text.count("{") == text.count("}") + 1
    assert bodies[refused(school, "empty_file").name] == b""
    assert b"\0" in bodies[refused(school, "not_text").name]
    header = bodies[refused(school, "missing_column").name].split(b"\n")[0]
    assert header == b"student_id,student_name,class_id,grade_level,updated_at"


def test_write_school__says_in_which_line_the_quote_opens(school: School) -> None:
    crash = refused(school, "unclosed_quote")
    body = (school.folder / crash.name).read_bytes()
    assert body.count(b'"') % 2 == 1
    assert crash.line is not None
    assert b"never closed" in re.split(rb"\r\n|\r|\n", body)[crash.line - 1]


# --- how files are written


def test_write_school__writes_every_encoding(school: School) -> None:
    files = bytes_of(school)
    plain = [plain_bytes(files[d.name]) for d in school.deliveries if d.lands]
    marks = (b"\xef\xbb\xbf", b"\xff\xfe")
    assert all(any(body.startswith(mark) for body in plain) for mark in marks)
    assert any(body[1:8:2] == b"\0\0\0\0" and body[:1].isascii() for body in plain)
    for delivery in school.deliveries:
        if delivery.encoding != "cp1252":
            continue
        body = (school.folder / delivery.name).read_bytes()
        assert body.decode("latin-1") == body.decode("cp1252")
    in_latin_1 = [d for d in school.deliveries if d.encoding == "cp1252" and d.lands]
    assert any(not _is_utf8(school, d) for d in in_latin_1 if d.source == "students")
    assert any(not _is_utf8(school, d) for d in in_latin_1 if d.source == "students_enrollment")


def _is_utf8(school: School, delivery: Delivery) -> bool:
    try:
        (school.folder / delivery.name).read_bytes().decode()
    except UnicodeDecodeError:
        return False
    return True


def test_write_school__writes_every_form_of_csv(school: School, landed: dict[str, Read]) -> None:
    csv_files = [d for d in school.deliveries if d.lands and d.delimiter]
    texts = [landed[d.name].text for d in csv_files]
    assert {d.delimiter for d in csv_files} == {",", ";", "\t", "|"}
    assert any(text.startswith("sep=;") for text in texts)
    assert any("\r\n" in text for text in texts)
    assert any("\r" in text and "\n" not in text for text in texts)
    assert any(text.endswith("\n\n") for text in texts)
    assert any('""unknown user""' in text for text in texts)
    assert any(not landed[d.name].rows for d in csv_files)
    bodies = cells_of(school, landed, "support_tickets", "body")
    assert {"\n", "\r\n\r\n", ";", ",", "\t", "|"} <= {
        mark for mark in ("\n", "\r\n\r\n", ";", ",", "\t", "|") if any(mark in b for b in bodies)
    }


def test_write_school__spells_and_orders_headers_in_many_ways(
    school: School, landed: dict[str, Read]
) -> None:
    of = {d.name: SOURCES[d.source] for d in school.deliveries if d.lands and d.source}
    headers = [(of[name], found.header) for name, found in landed.items() if found.header]
    names = {name for _, header in headers for name in header}
    assert {"STUDENT_ID", "Student Id", "student-id", "stu_id ", "Module/Lesson"} <= names
    assert any(d.extra_columns == ("Remarks", "Exported By") for d in school.deliveries)
    assert {"Remarks", "Exported By"} <= names
    assert any(tuple(header) == source.field_names for source, header in headers)
    shuffled = [name for d in school.deliveries if d.lands for name in landed[d.name].header[:1]]
    assert len(set(shuffled)) > len(SOURCES)


def test_write_school__writes_every_form_of_json_and_gzip(school: School) -> None:
    files = bytes_of(school)
    texts = [
        plain_bytes(files[d.name]).decode(d.encoding or "")
        for d in school.deliveries
        if d.source == "assessments" and d.lands
    ]
    starts = {text[:15] for text in texts}
    assert any(start.startswith("[") for start in starts)
    assert any(start == '{"assessments":' for start in starts)
    assert any(re.match(r'\{"(id|stu_id|subject)":', start) for start in starts)
    assert any(re.search(r'core": [0-9.]+[,}]', text) for text in texts)
    assert any(re.search(r'core": "', text) for text in texts)
    packed = [name for name, body in files.items() if body.startswith(b"\x1f\x8b")]
    assert {name.endswith(".gz") for name in packed} == {True, False}
    assert {form.arrangement for form in FORMS["assessments"]} == {"array", "lines", "wrapped"}


# --- how values are written

WRITTEN = {
    "id with a small hyphenated prefix": ("attendance", "student_id", r"stu-\d+"),
    "id with a blank behind": ("attendance", "student_id", r"STU\d{3} "),
    "id without its prefix": ("attendance", "student_id", r"[1-9]\d?"),
    "full-width digits": ("attendance", "student_id", r"[０-９]{3}"),
    "id with an underscore": ("attendance", "student_id", r"Stu_\d{3}"),
    "id between wide blanks": ("attendance", "student_id", "\u00a0STU\\d{3}\u2003"),
    "id in full-width letters": ("attendance", "attendance_id", r"ＡＴＴ[０-９]{6}"),
    "ISO day": ("attendance", "attendance_date", r"\d{4}-\d\d-\d\d"),
    "day with slashes": ("attendance", "attendance_date", r"\d{4}/\d\d/\d\d"),
    "day with points": ("attendance", "attendance_date", r"\d\d\.\d\d\.\d{4}"),
    "day first": ("attendance", "attendance_date", r"(1[3-9]|2\d|3[01])/\d\d/\d{4}"),
    "month first": ("attendance", "attendance_date", r"\d{1,2}/(1[3-9]|2\d|3[01])/\d{4}"),
    "day first with hyphens": ("attendance", "attendance_date", r"(1[3-9]|2\d|3[01])-\d\d-\d{4}"),
    "ambiguous day": ("attendance", "attendance_date", r"03/04/2025"),
    "day that is none": ("attendance", "attendance_date", r"31\.02\.2025"),
    "month by name": ("attendance", "attendance_date", r"\d\d [A-Z][a-z]{2} \d{4}"),
    "month by name first": ("attendance", "attendance_date", r"[A-Z][a-z]{2} \d\d, \d{4}"),
    "Excel's number of a day": ("attendance", "attendance_date", r"459\d\d"),
    "year of two digits": ("students_enrollment", "enrollment_date", r"14\.08\.25"),
    "instant with Z": ("attendance", "created_at", r"\S+T\S+Z"),
    "instant without an offset": ("attendance", "created_at", r"\S+T[0-9:]+"),
    "instant with a blank": ("attendance", "created_at", r"[0-9-]+ [0-9:]+"),
    "instant of India": ("attendance", "created_at", r"\S+\+05:30"),
    "heavy tick": ("attendance", "status", "✔"),
    "white tick": ("attendance", "status", "✅"),
    "cross": ("attendance", "status", "❌"),
    "letter for present": ("attendance", "status", "P"),
    "word that is not known": ("attendance", "status", "maybe"),
    "percent": ("student_progress", "completion_pct", r"\d+%"),
    "more than a hundred percent": ("student_progress", "completion_pct", r"140%"),
    "negative": ("student_progress", "completion_pct", r"-5"),
    "decimal comma": ("assessments", "score", r"\d+,\d"),
    "thousands": ("student_progress", "time_spent_minutes", r"1,\d{3}\.\d"),
    "no number": ("assessments", "score", r"NaN"),
    "gender by letter": ("students_enrollment", "gender", r"[FM]"),
    "gender undisclosed": ("students_enrollment", "gender", r"prefer not to say"),
    "gender in capitals": ("students_enrollment", "gender", r"[A-Z]{4,} "),
    "phone with brackets": ("students_enrollment", "phone", r"\+\d\d \(\d{3}\) \d\d-\d+"),
    "phone without its country": ("students_enrollment", "phone", r"\(415\) 555-0123"),
    "e-mail with a loud domain": ("students_enrollment", "email", r"\S+@SCHOOL\.Example"),
    "e-mail that is none": ("students_enrollment", "email", r"two@@school\.example"),
    "name in capitals": ("students", "student_name", r"[^a-z]+"),
    "last name first": ("students", "student_name", r"\w+, \w+"),
    "letters with marks of their own": ("students", "student_name", ".*[\u0300-\u036f].*"),
    "grade by word": ("students", "grade_level", r"Grade \d+"),
    "grade by rank": ("students", "grade_level", r"\d+th"),
    "town in capitals": ("students_enrollment", "location", r"[^a-z]+"),
    "required value that is empty": ("students", "class_id", r""),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITTEN)
def test_write_school__writes_values_in_every_way(
    kind: str, big_school: School, big_landed: dict[str, Read]
) -> None:
    source, field, pattern = WRITTEN[kind]
    cells = cells_of(big_school, big_landed, source, field)
    assert any(re.fullmatch(pattern, cell) for cell in cells), sorted(cells)[:50]


@pytest.fixture(scope="module")
def big_school(tmp_path_factory: pytest.TempPathFactory) -> School:
    return write_school(tmp_path_factory.mktemp("big_school"))


@pytest.fixture(scope="module")
def big_landed(big_school: School) -> dict[str, Read]:
    return {d.name: read(big_school, d) for d in big_school.deliveries if d.lands}


# --- rows that must be set aside


def row_at(landed: dict[str, Read], file: str, number: int) -> Cells:
    return landed[file].rows[number - 1]


def test_write_school__spoils_the_rows_that_it_says(
    school: School, landed: dict[str, Read]
) -> None:
    texts = {(source, f"{field}:{flag}"): set[str]() for source, field, _, flag in SPOILT}
    for source, field, text, flag in SPOILT:
        texts[source, f"{field}:{flag}"].add(text)
    spoilt = Counter[tuple[str, str]]()
    for item in school.truth.quarantined:
        cells = row_at(landed, item.file, item.number)
        field = item.reason.partition(":")[0]
        if item.reason == "conflicting_version":
            continue
        if item.reason.endswith(":missing"):
            assert not (cells.get(field) or "").strip()
        else:
            assert cells[field] in texts[item.source, item.reason]
        spoilt[item.source, item.reason] += 1
    assert set(texts) <= set(spoilt)


def test_write_school__has_rows_of_too_few_and_too_many_fields(
    school: School, landed: dict[str, Read]
) -> None:
    assert {row.row.shape for row in school.rows} == {"whole", "short", "long", "no_object"}
    for placed in school.rows:
        cells = row_at(landed, placed.file, placed.number)
        header = landed[placed.file].header
        if placed.row.shape == "short":
            assert 0 < len(cells) < len(header)
            assert placed.row.reason is not None
        elif placed.row.shape == "no_object":
            assert cells == {}
            assert placed.row.reason == "assessment_id:missing"
        elif header:
            assert len(cells) == len(header)
    shapes = Counter((p.file, p.row.shape != "whole") for p in school.rows)
    assert all(d.defects == shapes[d.name, True] for d in school.deliveries if d.lands)


def test_write_school__holds_rows_of_strangers(school: School) -> None:
    reasons = Counter((item.source, item.reason) for item in school.truth.held)
    assert set(reasons.values()) == {3}
    assert {source for source, _ in reasons} == set(SOURCES) - {"students", "course_catalog"}
    assert {source for source, reason in reasons if reason == "unknown_course"} == {
        "students_enrollment",
        "student_progress",
    }


def test_write_school__softens_what_is_not_required(
    school: School, landed: dict[str, Read]
) -> None:
    for source, field, text, flag in SOFT:
        soft = [
            placed
            for placed in school.rows
            if placed.row.source == source and placed.row.texts == {field: text}
        ]
        assert soft
        for placed in soft:
            assert placed.row.record[field] is None
            assert placed.row.flags == (f"{field}:{flag}",)
            assert placed.row.reason is None
            assert row_at(landed, placed.file, placed.number)[field] == text

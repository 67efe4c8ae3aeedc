"""Titles of courses and chapters: a school's CSV file into silver.dim_chapters."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lake.delta_reading import delta_rows, opened_table
from lake.delta_writing import declared_table
from lake.errors import LakeError
from lake.fencing import keep_out_others
from schemas.derivations import arrow_schema
from schemas.tables.silver import DIM_CHAPTERS

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lake.fencing import Fence
    from lake.storage import ObjectStore

LEASE = "catalog"
COLUMNS = ("course_id", "course_title", "chapter_id", "chapter_title")
REQUIRED = ("course_id", "chapter_id")
MAX_LENGTH = 256
ERRORS_SHOWN = 20

Key = tuple[str, str]
Titles = tuple[str | None, str | None]


@dataclass(frozen=True)
class CatalogReport:
    """How many chapters a load added, gave other titles, and left as they were."""

    added: int
    changed: int
    unchanged: int


def load_catalog(store: ObjectStore, path: Path) -> CatalogReport:
    """Add the file's chapters and overwrite the titles of those that are known (type 1).

    Chapters that the file does not name stay. A file that changes nothing writes nothing. Raises
    LakeError where the file is not valid (nothing is loaded then) or another load runs.
    """
    chapters = read_catalog(path)
    with store.lease(LEASE) as lease:
        keep_out_others(store, lease, LEASE, lambda _: _dim_chapters(store, lease.fence))
        rows = {
            (str(row["course_id"]), str(row["chapter_id"])): row for row in _current_rows(store)
        }
        known = {key: _titles(row) for key, row in rows.items()}
        wanted = _with_course_titles(known, chapters)
        new = {key: titles for key, titles in wanted.items() if known.get(key) != titles}
        loaded_at = datetime.now(UTC)
        for key, (course_title, chapter_title) in new.items():
            rows[key] = {
                "course_id": key[0],
                "course_title": course_title,
                "chapter_id": key[1],
                "chapter_title": chapter_title,
                "_ingested_at": loaded_at,
                "_source_file": path.name,
            }
        if new:
            _replace_rows(store, [rows[key] for key in sorted(rows)], lease.fence)
    added = len(new.keys() - known.keys())
    return CatalogReport(added, len(new) - added, len(known.keys() | chapters.keys()) - len(new))


def _with_course_titles(known: dict[Key, Titles], chapters: dict[Key, Titles]) -> dict[Key, Titles]:
    """The file's chapters, and known ones of its courses under the courses' new titles.

    A course has one title: a file that names some of its chapters renames it for all of them.
    """
    course_titles = {key[0]: titles[0] for key, titles in chapters.items() if titles[0]}
    merged = {key: titles for key, titles in known.items() if key[0] in course_titles} | chapters
    return {
        key: (course_titles.get(key[0], titles[0]), titles[1]) for key, titles in merged.items()
    }


def _titles(row: dict[str, object]) -> Titles:
    course_title, chapter_title = row["course_title"], row["chapter_title"]
    return (
        None if course_title is None else str(course_title),
        None if chapter_title is None else str(chapter_title),
    )


def read_catalog(path: Path) -> dict[Key, Titles]:
    """(course_id, chapter_id) → (course_title, chapter_title); an empty title is None.

    The file is UTF-8 CSV with a header that names the four columns in any order; further columns
    are passed over. Raises LakeError that lists each wrong line and column.
    """
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    _check_header(path, reader)
    chapters: dict[Key, Titles] = {}
    first_lines: dict[Key, int] = {}
    course_titles: dict[str, tuple[str, int]] = {}
    errors: list[str] = []
    for line, row in _lines(path, reader):
        if found := list(_row_errors(row)):
            errors += [f"line {line}: {error}" for error in found]
            continue
        course, title, chapter, chapter_title = (row[name].strip() for name in COLUMNS)
        key, titles = (course, chapter), (title or None, chapter_title or None)
        if chapters.setdefault(key, titles) != titles:
            errors.append(
                f"line {line}: chapter {chapter} of course {course} is there with other titles "
                f"in line {first_lines[key]}"
            )
        first_lines.setdefault(key, line)
        known_title, known_line = (
            course_titles.setdefault(course, (title, line)) if title else ("", 0)
        )
        if known_title != title:
            errors.append(
                f"line {line}: course_title: course {course} has another title in line {known_line}"
            )
    if not chapters and not errors:
        errors.append("the file has no rows below its header")
    if errors:
        raise _refused(path, errors)
    return chapters


def _text(path: Path) -> str:
    try:
        body = path.read_bytes()
    except OSError as error:
        raise LakeError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise _refused(path, [f"line {line}: not UTF-8 (save the file as CSV UTF-8)"]) from None


def _check_header(path: Path, reader: csv.DictReader[str]) -> None:
    header = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    errors = [f"line 1: column {name} is missing" for name in COLUMNS if name not in header]
    errors += [
        f"line 1: column {name} is there twice" for name in COLUMNS if header.count(name) > 1
    ]
    if errors:
        raise _refused(path, [*errors, f"line 1: found {', '.join(header) or 'nothing'}"])


def _lines(path: Path, reader: csv.DictReader[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise _refused(path, [f"line {reader.line_num + 1}: {error}"]) from None


def _row_errors(row: dict[str, str]) -> Iterator[str]:
    if None in row:
        yield "more cells than the header has columns (a comma in a title needs quotes)"
        return
    for name in COLUMNS:
        value = row[name]
        if value is None:
            yield f"{name}: the line ends before it"
        elif name in REQUIRED and not value.strip():
            yield f"{name} is empty"
        elif name in REQUIRED and len(value.strip()) > MAX_LENGTH:
            yield f"{name} has {len(value.strip())} characters; at most {MAX_LENGTH} are taken"
        elif any(not character.isprintable() for character in value):
            yield f"{name} holds a control character or a line break"


def _refused(path: Path, errors: list[str]) -> LakeError:
    shown = errors[:ERRORS_SHOWN]
    if len(errors) > len(shown):
        shown.append(f"… and {len(errors) - len(shown)} more")
    lines = "".join(f"\n  {error}" for error in shown)
    return LakeError(f"{path} is not a course catalogue; nothing was loaded:{lines}")


def _current_rows(store: ObjectStore) -> list[dict[str, object]]:
    table = opened_table(store, DIM_CHAPTERS)
    return [] if table is None else delta_rows(table, arrow_schema(DIM_CHAPTERS)).to_pylist()


def _replace_rows(store: ObjectStore, rows: list[dict[str, object]], fence: Fence) -> None:
    import pyarrow as pa
    from deltalake import CommitProperties, write_deltalake

    table = _dim_chapters(store, fence)
    with fence.commit(table) as transactions:
        write_deltalake(
            table,
            pa.Table.from_pylist(rows, arrow_schema(DIM_CHAPTERS)),
            mode="overwrite",
            commit_properties=CommitProperties(app_transactions=transactions),
        )


def _dim_chapters(store: ObjectStore, fence: Fence) -> DeltaTable:
    return declared_table(store, DIM_CHAPTERS, {}, fence)

"""Rows of records that were set aside or kept undated: counted, and shown as they were received."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake.delta_reading import is_written
from lake.query import connect
from lake.query_engine import fetched
from lake.storage import existing_store
from schemas.records import AMBIGUOUS_DATE, SOURCES
from schemas.tables import TABLES

if TYPE_CHECKING:
    import duckdb

    from lake.pipelines.records.again import Again
    from lake.settings import Settings
    from lake.storage import ObjectStore

QUARANTINED, HELD, UNDATED = "quarantined", "held", "undated"
ASIDE = {
    QUARANTINED: TABLES["silver.records_quarantine"],
    HELD: TABLES["silver.records_held"],
}
# Sources whose rows are kept where day and month of a date cannot be told apart, and the tables
# that have them.
KEPT = {
    "attendance": TABLES["silver.fact_attendance"],
    "assessments": TABLES["silver.fact_assessments"],
    "students_enrollment": TABLES["silver.fact_enrollments"],
    "student_progress": TABLES["silver.fact_student_progress"],
    "course_catalog": TABLES["silver.dim_courses"],
    "support_tickets": TABLES["silver.fact_support_tickets"],
}
# Which of two versions of one moment is true no setting says.
SETTLED_BY_CONTENT = "conflicting_version"


@dataclass(frozen=True, slots=True)
class RecordsSelection:
    """Which rows are meant; an empty part means all.

    reasons: `field:flag`, or `flag` alone for that of any field. contents: of these files.
    """

    sources: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    contents: Collection[str] = ()

    def takes(self, source: str, reason: str) -> bool:
        flag = reason.rsplit(":", 1)[-1]
        return (not self.sources or source in self.sources) and (
            not self.reasons or not self.reasons.isdisjoint({reason, flag})
        )


@dataclass(frozen=True, slots=True)
class AsideCount:
    """So many rows of a source with one reason; content_hash and row are those of one of them."""

    place: str
    source: str
    reason: str
    rows: int
    content_hash: str
    row: int


@dataclass(frozen=True, slots=True)
class AsideRow:
    """One row as bronze has it. line: None for JSON. values: what the row had, by field."""

    place: str
    source: str
    reason: str
    detail: str | None
    file: str
    row: int
    line: int | None
    values: dict[str, Any]

    @property
    def at(self) -> str:
        """The file, and the line in it: `attendance.csv:12`; else `tests.json row 3`."""
        return f"{self.file} row {self.row}" if self.line is None else f"{self.file}:{self.line}"


def aside_counts(settings: Settings, selection: RecordsSelection) -> list[AsideCount]:
    """Rows of quarantine, held ones, and undated ones in force, by source and reason: most of a
    source first."""
    with closing(connect(settings)) as connection:
        return list(_counts(connection, settings, selection))


def _counts(
    connection: duckdb.DuckDBPyConnection, settings: Settings, selection: RecordsSelection
) -> Iterator[AsideCount]:
    where = "WHERE _content_hash IN (SELECT unnest($contents::VARCHAR[]))"
    wanted = {"contents": sorted(selection.contents)} if selection.contents else {}
    for place, rows in _places(existing_store(settings), selection).items():
        query = (
            "SELECT source, reason, count(*) AS rows, min((_content_hash, _row)) AS first "
            f"FROM ({rows}) {where if wanted else ''} "
            "GROUP BY source, reason ORDER BY source, rows DESC, reason"
        )
        for row in fetched(connection, query, **wanted):
            if selection.takes(row["source"], row["reason"]):
                yield AsideCount(place, row["source"], row["reason"], row["rows"], *row["first"])


def _places(store: ObjectStore, selection: RecordsSelection) -> dict[str, str]:
    """Place to SQL: source, reason, _content_hash, _row (and detail) of the rows that lie there.

    Rows of given files are looked for in what is set aside alone: nothing tells where in the facts
    those of a file are.
    """
    tables = {place: table for place, table in ASIDE.items() if is_written(table, store)}
    places = {place: f"SELECT * FROM {table.name}" for place, table in tables.items()}
    sources = [
        source
        for source, table in KEPT.items()
        if any(selection.takes(source, reason) for reason in _undated_reasons(source))
        and is_written(table, store)
    ]
    if sources and not selection.contents:
        places[UNDATED] = " UNION ALL ".join(map(_undated_rows, sources))
    return places


def _undated_rows(source: str) -> str:
    is_undated = f"lambda flag: flag LIKE '%:{AMBIGUOUS_DATE}'"
    return (
        f"SELECT '{source}' AS source, unnest(list_filter(quality_flags, {is_undated})) AS reason, "
        f"_content_hash, _row FROM {KEPT[source].name}"
    )


def _undated_reasons(source: str) -> list[str]:
    return [f"{name}:{AMBIGUOUS_DATE}" for name in SOURCES[source].dates]


def examples(settings: Settings, counts: Collection[AsideCount]) -> list[AsideRow | None]:
    """Of each count its example, from bronze; None where bronze has lost it."""
    found: list[AsideRow | None] = []
    with closing(connect(settings)) as connection:
        for count in counts:
            chosen = "aside._content_hash = $content AND aside._row = $row"
            wanted = {"content": count.content_hash, "row": count.row}
            found.append(
                next(_rows(connection, count.place, count.source, chosen, wanted, 1), None)
            )
    return found


def aside_rows(settings: Settings, selection: RecordsSelection, limit: int) -> list[AsideRow]:
    """Rows that are meant, at most `limit`, in the order of sources, files and rows.

    They are as they were received: identifiers included.
    """
    found: list[AsideRow] = []
    with closing(connect(settings)) as connection:
        reasons: dict[tuple[str, str], list[str]] = {}
        for count in _counts(connection, settings, selection):
            reasons.setdefault((count.place, count.source), []).append(count.reason)
        for (place, source), of_source in reasons.items():
            if len(found) < limit:
                chosen = "aside.reason IN (SELECT unnest($reasons::VARCHAR[]))"
                wanted = {"reasons": of_source}
                found += _rows(connection, place, source, chosen, wanted, limit - len(found))
    return found


def _rows(
    connection: duckdb.DuckDBPyConnection,
    place: str,
    source: str,
    chosen: str,
    wanted: dict[str, Any],
    limit: int,
) -> Iterator[AsideRow]:
    declared = SOURCES[source]
    detail = "aside.detail" if place == QUARANTINED else "NULL"
    rows = _undated_rows(source) if place == UNDATED else f"SELECT * FROM {ASIDE[place].name}"
    query = (
        f"SELECT aside.reason AS _reason, {detail} AS _detail, bronze.* "
        f"FROM ({rows}) aside "
        f"JOIN {declared.table} bronze USING (_content_hash, _row) "
        f"WHERE aside.source = $source AND {chosen} ORDER BY _source_file, _row LIMIT {limit}"
    )
    for row in fetched(connection, query, source=source, **wanted):
        values = {name: row[name] for name in declared.field_names if row[name] is not None}
        if row["_extra"]:
            values |= json.loads(row["_extra"])
        yield AsideRow(
            place, source, row["_reason"], row["_detail"], row["_source_file"], row["_row"],
            row["_line"], values,
        )  # fmt: skip


def kept_sources(settings: Settings) -> list[str]:
    """Sources of which the lake has rows that may be undated."""
    store = existing_store(settings)
    return [source for source, table in KEPT.items() if is_written(table, store)]


def again_of(
    counts: Collection[AsideCount], selection: RecordsSelection, kept: Iterable[str]
) -> Again:
    """What of the counted rows a build can judge again: not what waits for its parent, nor what
    contradicts a row that is in force.

    kept: sources of which undated rows are meant, too: whether there are any is not counted, as one
    may have been taken out of force by one that it follows.
    """
    again: dict[str, frozenset[str]] = {}
    for source in kept:
        reasons = (one for one in _undated_reasons(source) if selection.takes(source, one))
        if named := frozenset(reasons):
            again[source] = named
    for count in counts:
        if count.place == QUARANTINED and count.reason != SETTLED_BY_CONTENT:
            again[count.source] = again.get(count.source, frozenset()) | {count.reason}
    return again

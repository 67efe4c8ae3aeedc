"""The declared tables as views of a DuckDB, also those that nobody has written yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake.delta_reading import is_written
from schemas.derivations import ArrayType, ColumnType, RecordType, ScalarType, parse_type
from schemas.table import LAYERS, Table
from schemas.tables import TABLES
from schemas.tables.records import LANDED_FILES, RECORDS
from schemas.tables.records_gold import RECORDS_GOLD
from schemas.tables.records_silver import RECORD_BUILDS, RECORDS_SILVER
from schemas.tables.restricted import RESTRICTED
from schemas.tables.silver import DIM_CHAPTERS

if TYPE_CHECKING:
    import duckdb

    from lake.storage import ObjectStore

DUCKDB_TYPES = {
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "binary": "BLOB",
}
WRITTEN_BY = {
    "bronze.raw_objects": "lmslake ingest FILE…",
    "silver.dim_chapters": "lmslake catalog load FILE.csv",
    "silver.ticket_labels": "lmslake tickets label",
    "gold.student_360": "lmslake picture build",
    **{table.name: "lmslake land" for table in (*RECORDS.values(), LANDED_FILES)},
    **{
        table.name: "lmslake records build"
        for table in (*RECORDS_SILVER, RECORD_BUILDS, *RESTRICTED, *RECORDS_GOLD)
    },
}
# The titles that an older table of events may have are those of its builds.
TITLED_EVENTS = """
CREATE VIEW silver.titled_events AS
SELECT events.*, courses.course_title, chapters.chapter_title
FROM (
    SELECT COLUMNS(name -> name NOT IN ('course_title', 'chapter_title')) FROM silver.events
) AS events
LEFT JOIN (
    SELECT course_id, min(course_title) AS course_title FROM silver.dim_chapters GROUP BY ALL
) AS courses USING (course_id)
LEFT JOIN (
    SELECT course_id, chapter_id, chapter_title FROM silver.dim_chapters
) AS chapters USING (course_id, chapter_id)
"""


def create_views(connection: duckdb.DuckDBPyConnection, store: ObjectStore) -> None:
    """A view `layer.name` of each declared table, and `silver.titled_events` of a catalogue.

    A table that is not written yet can be described; reading it raises an error that names the
    command that writes it.
    """
    for layer in LAYERS:
        connection.execute(f"CREATE SCHEMA {layer}")
    for table in TABLES.values():
        connection.execute(f"CREATE VIEW {table.name} AS {_rows_of(table, store)}")
    if is_written(DIM_CHAPTERS, store):
        connection.execute(TITLED_EVENTS)


def _rows_of(table: Table, store: ObjectStore) -> str:
    if is_written(table, store):
        return f"SELECT * FROM delta_scan({_literal(store.delta_uri(table.path))})"
    message = _literal(f"{table.name} is not written yet. {_writer_of(table)} writes it.")
    # Every column and the rows themselves raise: whatever part of a query the optimiser keeps,
    # it never answers with "no rows" for a table that does not exist.
    columns = ", ".join(
        f'CAST(error({message}) AS {_duckdb_type(parse_type(column.type))}) AS "{column.name}"'
        for column in table.columns
    )
    return f"SELECT {columns} FROM (SELECT error({message}) AS e) WHERE e IS NOT NULL"


def _writer_of(table: Table) -> str:
    return f"`{WRITTEN_BY.get(table.name, 'lmslake build')}`"


def _duckdb_type(kind: ColumnType) -> str:
    match kind:
        case ScalarType(name):
            return DUCKDB_TYPES[name]
        case ArrayType(element):
            return f"{_duckdb_type(element)}[]"
        case RecordType(fields):
            inner = ", ".join(f'"{name}" {_duckdb_type(field)}' for name, field in fields)
            return f"STRUCT({inner})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

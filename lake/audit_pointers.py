"""What silver, quarantine and held rows say where they come from, held against bronze."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lake.delta_reading import is_written
from lake.query_engine import fetched
from schemas.records import SOURCES
from schemas.tables import TABLES

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lake.storage import ObjectStore
    from schemas.table import Table

QUARANTINE, HELD = TABLES["silver.records_quarantine"], TABLES["silver.records_held"]
# So many rows are handed on at a time.
REST_ROWS = 250_000


class Pointers:
    """Of one source and one table that takes its rows: which row of bronze is where.

    Makes temporary tables: `received` (rows of bronze that builds took) and `placed` (what is in
    force, quarantined and held, with its place); `contents` of all landed files must be there.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, store: ObjectStore, source: str, table: Table
    ) -> None:
        self._connection = connection
        self._source = SOURCES[source]
        self._table = table
        self._is_taken_by = is_written(table, store)
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE received AS "
            f"SELECT content, _row FROM {self._source.table} "
            "JOIN contents ON content_hash = _content_hash WHERE is_taken AND source = $source",
            {"source": source},
        )
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE placed AS SELECT content, _row, place "
            f"FROM ({self._places(store)}) places "
            "LEFT JOIN contents ON content_hash = _content_hash AND source = $source",
            {"source": source},
        )

    def _places(self, store: ObjectStore) -> str:
        of_source = f"WHERE source = '{self._source.name}'"
        places = (
            (self._table, "in force", ""),
            (QUARANTINE, "quarantined", of_source),
            (HELD, "held", of_source),
        )
        nowhere = "SELECT '' AS _content_hash, 0 AS _row, '' AS place WHERE FALSE"
        written = (
            f"SELECT _content_hash, _row, '{place}' AS place FROM {table.name} {where}"
            for table, place, where in places
            if is_written(table, store)
        )
        return " UNION ALL ".join((nowhere, *written))

    def counts(self) -> dict[str, int]:
        """Place to how many rows of bronze are there."""
        return dict(self._connection.execute(PLACES).fetchall())

    def faults(self) -> Iterator[str]:
        """Pointers to nothing, several to one row, and keys that are there twice."""
        names = {"in force": self._table.name, "quarantined": QUARANTINE.name, "held": HELD.name}
        for stray in fetched(self._connection, STRAYS):
            yield (
                f"{stray['rows']:,} rows of {names[stray['place']]} come from no row of "
                f"{self._source.table} that a build took"
            )
        for doubled in fetched(self._connection, DOUBLED):
            yield (
                f"{doubled['rows']:,} rows of {self._source.table} are in more than one place: "
                f"{doubled['places']}"
            )
        if not self._is_taken_by:
            return
        keys = ", ".join(self._table.keys)
        twice = (
            f"SELECT count(*) AS keys FROM (SELECT {keys} FROM {self._table.name} "
            f"GROUP BY {keys} HAVING count(*) > 1)"
        )
        for count in fetched(self._connection, twice):
            if count["keys"]:
                yield f"{count['keys']:,} keys ({keys}) are in {self._table.name} more than once"

    def load_rest(self) -> int:
        """Makes `rest`: the rows that nothing points to, as they are in bronze; how many."""
        columns = ", ".join((*self._source.field_names, "_defect", "_content_hash", "_row"))
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE rest AS SELECT {columns} FROM {self._source.table} "
            "JOIN contents ON content_hash = _content_hash "
            "ANTI JOIN placed USING (content, _row) WHERE is_taken AND source = $source",
            {"source": self._source.name},
        )
        (count,) = self._connection.execute("SELECT count(*) FROM rest").fetchall()[0]
        return int(count)

    def rest(self) -> Iterator[pa.Table]:
        """The rows of `rest`; nothing else may be asked of the connection meanwhile."""
        import pyarrow as pa

        reader = self._connection.execute("SELECT * FROM rest").to_arrow_reader(REST_ROWS)
        for batch in reader:
            yield pa.Table.from_batches([batch])

    def file_names(self) -> dict[str, str]:
        """Content hash to the name of the file."""
        query = "SELECT content_hash, file_name FROM contents"
        return dict(self._connection.execute(query).fetchall())


PLACES = """
SELECT place, count(*) FROM placed SEMI JOIN received USING (content, _row) GROUP BY place
"""

STRAYS = """
SELECT place, count(*) AS rows FROM placed ANTI JOIN received USING (content, _row)
GROUP BY place ORDER BY place
"""

DOUBLED = """
SELECT places, count(*) AS rows FROM (
    SELECT string_agg(place, ', ' ORDER BY place) AS places FROM placed
    WHERE content IS NOT NULL GROUP BY content, _row HAVING count(*) > 1
) GROUP BY places ORDER BY places
"""


def aside_faults(connection: duckdb.DuckDBPyConnection, store: ObjectStore) -> Iterator[str]:
    """Rows that are held though their parents are known; students without a current row."""
    students, courses = TABLES["silver.dim_students"], TABLES["silver.dim_courses"]
    if is_written(HELD, store) and is_written(students, store):
        known = f"(SELECT course_id FROM {courses.name})"
        has_course = f"course_id IN {known}" if is_written(courses, store) else "FALSE"
        for held in fetched(
            connection,
            f"SELECT source, count(*) AS rows FROM {HELD.name} WHERE student_hash IN "
            f"(SELECT student_hash FROM {students.name} WHERE is_current) "
            f"AND (course_id IS NULL OR {has_course}) GROUP BY source ORDER BY source",
        ):
            yield f"{held['source']}: {held['rows']:,} rows are held, and need not be"
    versions = TABLES["silver.student_versions"]
    if is_written(versions, store) and is_written(students, store):
        (count,) = connection.execute(
            f"SELECT count(*) FROM (SELECT DISTINCT student_hash FROM {versions.name}) "
            f"FULL JOIN (SELECT student_hash, count(*) AS rows FROM {students.name} "
            "WHERE is_current GROUP BY student_hash) AS latest USING (student_hash) "
            "WHERE rows IS DISTINCT FROM 1"
        ).fetchall()[0]
        if count:
            yield (
                f"{count:,} students of {versions.name} have no single current row in "
                f"{students.name}"
            )

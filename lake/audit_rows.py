"""Rows of a file that was landed, read again and held against those of bronze."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Set
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from lake.landing.bronze import Origin, record_batch
from lake.landing.columns import columns_of
from lake.landing.faults import FileFault
from lake.landing.reading import Limits, open_reading
from lake.query_engine import fetched
from schemas.derivations import arrow_schema
from schemas.records import SOURCES, Source
from schemas.tables.records import LANDED_FILES, RECORDS

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    import pyarrow as pa

LANDED = LANDED_FILES.name
# What all rows of a file share; it is not in the file.
SHARED = ("_content_hash", "_source_file", "_ingested_at")
NO_ROWS = (0, 0)


class Noted(NamedTuple):
    """A content of `bronze.landed_files`."""

    content_hash: str
    source: str
    file_name: str
    bytes: int
    row_count: int


class RowsAgain:
    """Reads files as the landing does, batch by batch.

    A number and a sum of hashes of all cells, which DuckDB makes of both sides, say whether a file
    and bronze hold the same; only where they differ are rows compared one by one.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, limits: Limits, written: Set[str]
    ) -> None:
        """written: names of the tables that exist."""
        self._connection = connection
        self._limits = limits
        self._written = written
        self._of_bronze: dict[str, dict[str, tuple[int, int]]] = {}

    def differences(self, noted: Noted, path: Path) -> Iterator[str]:
        """What a file whose content is noted holds otherwise than its note and bronze say."""
        count = total = 0
        try:
            for batch in self._batches(noted, path):
                count += batch.num_rows
                total += self._sum_of(batch, noted.source)
        except FileFault as fault:
            yield f"cannot be read as when it was landed: {fault}"
            return
        if count != noted.row_count:
            yield f"has {count:,} rows, {LANDED} says {noted.row_count:,}"
        if RECORDS[noted.source].name not in self._written:
            return
        if (count, total) != self._sums(noted.source).get(noted.content_hash, NO_ROWS):
            difference = self.first_difference(noted, path)
            if difference is not None:
                yield difference

    def first_difference(self, noted: Noted, path: Path) -> str | None:
        """The first row of the file that is another one in bronze, where it is of that content."""
        table = RECORDS[noted.source].name
        if table not in self._written:
            return f"{table} is gone"
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE theirs AS SELECT {self._cells(noted.source)} "
            f"FROM {table} WHERE _content_hash = $content_hash",
            {"content_hash": noted.content_hash},
        )
        last = 0
        try:
            for batch in self._batches(noted, path):
                theirs = self._theirs(last, last + batch.num_rows)
                for row in batch.drop_columns(list(SHARED)).to_pylist():
                    difference = _difference(SOURCES[noted.source], row, theirs[row["_row"]])
                    if difference is not None:
                        place = f" (line {row['_line']:,})" if row["_line"] else ""
                        return f"row {row['_row']:,}{place} {difference} {table}"
                last += batch.num_rows
        except FileFault as fault:
            return f"it cannot be read: {fault}"
        beyond = "SELECT count(*) FROM theirs WHERE _row > $last"
        (more,) = self._connection.execute(beyond, {"last": last}).fetchall()[0]
        return f"{table} has {more:,} rows of it beyond row {last:,}" if more else None

    def _theirs(self, after: int, last: int) -> defaultdict[int, list[dict[str, Any]]]:
        """Number to the rows of bronze that have it."""
        found: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        between = "SELECT * FROM theirs WHERE _row > $after AND _row <= $last"
        for row in fetched(self._connection, between, after=after, last=last):
            found[row["_row"]].append(row)
        return found

    def _batches(self, noted: Noted, path: Path) -> Iterator[pa.RecordBatch]:
        """The file's rows as the landing writes them. Raises FileFault, and OSError."""
        schema = arrow_schema(RECORDS[noted.source])
        origin = Origin(noted.content_hash, noted.file_name, datetime.now(UTC))
        source = SOURCES[noted.source]
        reading = open_reading(lambda: path.open("rb"), noted.file_name, source, self._limits)
        for batch in reading.batches():
            yield record_batch(schema, batch, origin)

    def _sum_of(self, batch: pa.RecordBatch, source: str) -> int:
        import pyarrow as pa

        cells = ", ".join(_names(source))
        self._connection.register("batch", pa.Table.from_batches([batch]))
        try:
            query = f"SELECT coalesce(sum(hash({cells})), 0) FROM batch"
            return int(self._connection.execute(query).fetchall()[0][0])
        finally:
            self._connection.unregister("batch")

    def _sums(self, source: str) -> dict[str, tuple[int, int]]:
        """Content hash to the number of its rows in bronze and the sum of their hashes."""
        if source not in self._of_bronze:
            answer = self._connection.execute(
                f"SELECT _content_hash, count(*), sum(hash({', '.join(_names(source))})) "
                f"FROM (SELECT _content_hash, {self._cells(source)} FROM {RECORDS[source].name}) "
                "GROUP BY _content_hash"
            )
            self._of_bronze[source] = {
                content_hash: (count, int(total))
                for content_hash, count, total in answer.fetchall()
            }
        return self._of_bronze[source]

    def _cells(self, source: str) -> str:
        """What is selected of bronze: a column that was declared since is null."""
        described = f"SELECT column_name FROM (DESCRIBE {RECORDS[source].name})"
        known = {name for (name,) in self._connection.execute(described).fetchall()}
        cells = (n if n in known else f"NULL::VARCHAR AS {n}" for n in _names(source))
        return ", ".join(cells)


def _names(source: str) -> list[str]:
    return [name for name in RECORDS[source].column_names if name not in SHARED]


def _difference(source: Source, row: dict[str, Any], theirs: list[dict[str, Any]]) -> str | None:
    """In words that lead to the table's name; values are not told, as they may be names."""
    if not theirs:
        return "is not in"
    if len(theirs) > 1:
        return f"is {len(theirs)} times in"
    if row == theirs[0]:
        return None
    ours, other = _as_declared(source, row), _as_declared(source, theirs[0])
    if not (names := [name for name in ours if ours[name] != other[name]]):
        return None
    return f"has another {', '.join(names)} than in"


def _as_declared(source: Source, row: dict[str, Any]) -> dict[str, Any]:
    """The row with its fields where they are declared now.

    A column that got a name, or a field, after the file was landed lies in bronze as an extra one.
    """
    extra: dict[str, Any] = orjson.loads(row["_extra"] or b"{}")
    headers = tuple(extra)
    found = dict(row)
    for name, index in zip(source.field_names, columns_of(source, headers).fields, strict=True):
        if index is not None and found[name] is None:
            found[name] = extra.pop(headers[index])
    return {**found, "_extra": extra}

"""Rows of small Delta tables as Arrow, without Spark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

    from lake.storage import ObjectStore
    from schemas.table import Table

# A value of the column that a table is divided by; None: the partition of rows without one.
PartitionValue = date | str | None

# Another process may commit (compact, say) between a commit and the look at it.
RECENT_COMMITS = 20


def is_written(table: Table, store: ObjectStore) -> bool:
    """Whether the table exists on disk."""
    return next(store.list(f"{table.path}/_delta_log"), None) is not None


def opened_table(store: ObjectStore, table: Table) -> DeltaTable | None:
    """The table at its newest version; None where it was never written."""
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    # Not is_deltatable: it holds Python's lock while it waits for the store, and one that hangs
    # would stop the threads that serve /healthz, too.
    try:
        return DeltaTable(store.delta_uri(table.path), storage_options=store.storage_options)
    except TableNotFoundError:
        return None


def days_of(table: DeltaTable) -> list[date]:
    """Days that have rows, ascending, of a table of days; from its log alone."""
    values = (value for at in table.partitions() for value in at.values())
    return sorted(date.fromisoformat(value) for value in values if value is not None)


def dates_predicate(column: str, dates: Iterable[date]) -> str:
    """SQL that selects the given days of a partition column."""
    days = ", ".join(f"DATE'{day.isoformat()}'" for day in sorted(set(dates)))
    return f"{column} IN ({days})" if days else "FALSE"


def values_predicate(
    column: str, values: Iterable[PartitionValue], *, for_spark: bool = False
) -> str:
    """SQL that selects the given days or texts of a column, or rows without one.

    The engines quote texts differently.
    """
    listed = set(values)
    if None in listed:
        others = values_predicate(column, listed - {None}, for_spark=for_spark)
        return f"({others} OR {column} IS NULL)"
    texts = sorted(value for value in listed if isinstance(value, str))
    if not texts:
        return dates_predicate(column, (value for value in listed if isinstance(value, date)))
    return f"{column} IN ({', '.join(_quoted(text, for_spark=for_spark) for text in texts)})"


def _quoted(text: str, *, for_spark: bool = False) -> str:
    if for_spark:
        escaped = text.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def between_predicate(column: str, first: str, last: str) -> str:
    """SQL (of delta-rs) that selects the texts of a column from `first` to `last`."""
    return f"{column} BETWEEN {_quoted(first)} AND {_quoted(last)}"


def missing_columns(table: DeltaTable, names: Iterable[str]) -> list[str]:
    """Those of the names that the table, written before they were declared, does not have yet."""
    known = {field.name for field in table.schema().fields}
    return [name for name in names if name not in known]


def delta_rows(table: DeltaTable, schema: pa.Schema, where: str = "TRUE") -> pa.Table:
    """Rows of the table that the SQL condition keeps, with the columns and types of `schema`.

    A column that the table does not have yet is NULL.
    """
    import pyarrow as pa

    parts = delta_parts(table, schema, where)
    return pa.concat_tables([schema.empty_table(), *parts])


def delta_parts(table: DeltaTable, schema: pa.Schema, where: str) -> Iterator[pa.Table]:
    """As `delta_rows`, a part at a time, for who does not keep all.

    The table's own Arrow dataset is not used: its reading threads call into Python, and end the
    process with SIGABRT where they still do so while the interpreter shuts down.
    """
    import pyarrow as pa
    from deltalake import QueryBuilder

    missing = missing_columns(table, schema.names)
    columns = ", ".join(f'"{name}"' for name in schema.names if name not in missing)
    query = f"SELECT {columns} FROM opened WHERE {where}"
    found = QueryBuilder().register("opened", table).execute(query)
    for batch in pa.RecordBatchReader.from_stream(found):
        yield _declared(pa.Table.from_batches([batch]), schema, missing)


def _declared(rows: pa.Table, schema: pa.Schema, missing: Iterable[str]) -> pa.Table:
    """Rows with exactly the columns and types of the schema; the missing columns are null."""
    import pyarrow as pa

    for name in missing:
        rows = rows.append_column(name, pa.nulls(rows.num_rows))
    return rows.select(schema.names).cast(schema)


def rows_written(table: DeltaTable, build_id: str) -> int:
    """Rows that the build's newest commit to the table wrote with Spark, as the commit says."""
    for commit in table.history(RECENT_COMMITS):
        if commit.get("userMetadata") == build_id:
            metrics = commit["operationMetrics"]
            return 0 if metrics["numFiles"] == "0" else int(metrics["numOutputRows"])
    # Delta records no commit that neither adds nor removes a file.
    return 0


def rows_sharing(rows: pa.Table, having: pa.Table) -> pa.Table:
    """Those of the rows that share a value of any column of `having` with it."""
    return rows.filter(_is_sharing(rows, having))


def rows_but_of(rows: pa.Table, having: pa.Table) -> pa.Table:
    """Those of the rows that share no value of any column of `having` with it."""
    import pyarrow.compute as pc

    return rows.filter(pc.invert(_is_sharing(rows, having)))


def _is_sharing(rows: pa.Table, having: pa.Table) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    found = [
        pc.is_in(rows[name], value_set=having[name].combine_chunks().cast(rows[name].type))
        for name in having.column_names
    ]
    return reduce(pc.or_, found)

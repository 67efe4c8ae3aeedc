"""Rows of small Delta tables as Arrow, without Spark."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

    from lake.storage import ObjectStore
    from schemas.table import Table


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
    return sorted(date.fromisoformat(value) for at in table.partitions() for value in at.values())


def dates_predicate(column: str, dates: Iterable[date]) -> str:
    """SQL that selects the given days of a partition column."""
    days = ", ".join(f"DATE'{day.isoformat()}'" for day in sorted(set(dates)))
    return f"{column} IN ({days})" if days else "FALSE"


def values_predicate(column: str, values: Iterable[date | str], *, for_spark: bool = False) -> str:
    """SQL that selects the given days or texts of a column; the engines quote texts differently."""
    listed = set(values)
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

    A column that the table does not have yet is NULL. The table's own Arrow dataset is not used:
    its reading threads call into Python, and end the process with SIGABRT where they still do so
    while the interpreter shuts down.
    """
    import pyarrow as pa
    from deltalake import QueryBuilder

    missing = missing_columns(table, schema.names)
    columns = ", ".join(f'"{name}"' for name in schema.names if name not in missing)
    query = f"SELECT {columns} FROM opened WHERE {where}"
    rows = pa.table(QueryBuilder().register("opened", table).execute(query).read_all())
    for name in missing:
        rows = rows.append_column(name, pa.nulls(rows.num_rows))
    return rows.select(schema.names).cast(schema)


def rows_of(rows: pa.Table, students: pa.Array) -> pa.Table:
    """Those of the rows whose student_hash is one of the given ones."""
    return rows.filter(_is_of(rows, students))


def rows_but_of(rows: pa.Table, students: pa.Array) -> pa.Table:
    """Those of the rows whose student_hash is none of the given ones."""
    import pyarrow.compute as pc

    return rows.filter(pc.invert(_is_of(rows, students)))


def _is_of(rows: pa.Table, students: pa.Array) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.is_in(rows["student_hash"], value_set=students.cast(rows["student_hash"].type))

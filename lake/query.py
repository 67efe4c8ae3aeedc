"""The declared tables by name in DuckDB, with no Spark: for analysts, the CLI and notebooks.

from lake.query import frame
activity = frame("gold.student_daily_activity")                       # pandas
busiest = frame("SELECT … FROM silver.sessions …", engine="polars")
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, overload

from lake.errors import LakeError
from lake.query_engine import opened_duckdb
from lake.query_views import create_views
from lake.record_id_macro import RECORD_ID_MACRO
from lake.settings import Settings
from lake.storage import existing_store
from schemas.table import Table
from schemas.tables import TABLES

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars


def connect(settings: Settings) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB in which every declared table of the lake is a view `layer.name`.

    So is `silver.titled_events`, where a catalogue was loaded. A view shows the newest version of
    its table at each query; times are UTC. `record_id(text)` gives an id the form that it has in
    school records. A table that has no rows on disk yet can be described; reading it raises an
    error that names the command that writes it. Raises LakeError where there is no lake or the
    extensions are not installed.
    """
    store = existing_store(settings)
    connection = opened_duckdb(settings)
    connection.execute(RECORD_ID_MACRO)
    with readable_errors():
        create_views(connection, store)
    return connection


def sql(settings: Settings, query: str) -> duckdb.DuckDBPyRelation:
    """The answer to one reading statement; it is computed when rows are taken from it.

    Raises LakeError where the query is wrong or would change something. Take the rows within
    `readable_errors()`: errors of the data show only then.
    """
    connection = connect(settings)
    connection.execute("SET lock_configuration = true")
    with readable_errors():
        _check_reads_only(connection, query)
        return connection.sql(query)


@overload
def frame(
    name_or_sql: str, engine: Literal["pandas"] = ..., settings: Settings | None = ...
) -> pandas.DataFrame: ...


@overload
def frame(
    name_or_sql: str, engine: Literal["polars"], settings: Settings | None = ...
) -> polars.DataFrame: ...


def frame(
    name_or_sql: str,
    engine: Literal["pandas", "polars"] = "pandas",
    settings: Settings | None = None,
) -> pandas.DataFrame | polars.DataFrame:
    """Rows of a table (by its name) or of a SELECT, in memory.

    Times are UTC; days are datetime64 in pandas and Date in Polars. Without `settings` the lake of
    the environment (LMSLAKE_…) is read. Raises LakeError as `sql`.
    """
    if engine not in ("pandas", "polars"):
        raise LakeError(f"There is no engine {engine!r}; choose pandas or polars.")
    query = name_or_sql.strip()
    if len(query.split()) == 1:
        query = f"SELECT * FROM {known_table(query).name}"
    relation = sql(settings or Settings.from_env(), query)
    with readable_errors():
        return relation.pl() if engine == "polars" else relation.df()


def known_table(name: str) -> Table:
    """The declared table of that name. Raises LakeError with the nearest names where none is."""
    if name in TABLES:
        return TABLES[name]
    by_short_name = {table.short_name: table.name for table in TABLES.values()}
    near = get_close_matches(name, TABLES, 2, 0.6) or [
        by_short_name[short] for short in get_close_matches(name.split(".")[-1], by_short_name, 2)
    ]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise LakeError(f"There is no table {name}.{hint}\n  `lmslake tables` lists them.")


@contextmanager
def readable_errors() -> Iterator[None]:
    """DuckDB's errors as LakeError with its text: what is wrong and where in the query."""
    import duckdb

    try:
        yield
    except duckdb.InvalidInputException as error:
        raise LakeError(str(error).removeprefix("Invalid Input Error: ")) from None
    except duckdb.CatalogException as error:
        raise LakeError(f"{error}\n  `lmslake tables` lists the tables.") from None
    except duckdb.Error as error:
        raise LakeError(str(error)) from None


def _check_reads_only(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    import duckdb

    statements: list[Any] = connection.extract_statements(query)
    # PIVOT without an IN list is parsed into a hidden CREATE TYPE, without text, and a SELECT.
    written = [
        statement
        for statement in statements
        if not (statement.type == duckdb.StatementType.CREATE and not statement.query)
    ]
    if not written:
        raise LakeError("The query is empty.")
    if len(written) > 1:
        raise LakeError(f"The query has {len(written)} statements; give one at a time.")
    reading = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
    statement = written[0]
    explains_writing = statement.type == duckdb.StatementType.EXPLAIN and not _explains_a_select(
        connection, statement.query
    )
    if statement.type not in reading or explains_writing:
        raise LakeError(
            f"Only queries that read are taken, not {str(statement.type).split('.')[-1]}.\n"
            '  To write an answer to a file: lmslake sql "SELECT …" --output FILE.parquet'
        )


def _explains_a_select(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    """EXPLAIN ANALYZE runs what it explains."""
    import duckdb

    words = query.split(maxsplit=1)[1]
    for prefix in ("analyze", "verbose"):
        if words.lower().startswith(prefix):
            words = words[len(prefix) :]
    try:
        inner = connection.extract_statements(words)
    except duckdb.Error:
        return False
    return [s.type for s in inner] == [duckdb.StatementType.SELECT]

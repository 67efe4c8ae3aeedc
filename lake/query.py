"""The declared tables by name in DuckDB, with no Spark: for analysts, the CLI and notebooks.

from lake.query import frame
activity = frame("gold.student_daily_activity")                       # pandas
busiest = frame("SELECT … FROM silver.sessions …", engine="polars")
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload
from urllib.parse import urlsplit

from lake.errors import LakeError
from lake.record_id_macro import RECORD_ID_MACRO
from lake.settings import Settings
from lake.storage import ObjectStore, open_store
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
    import pandas
    import polars

EXTENSIONS = ("delta", "httpfs")
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


def connect(settings: Settings) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB in which every declared table of the lake is a view `layer.name`.

    So is `silver.titled_events`, where a catalogue was loaded. A view shows the newest version of
    its table at each query; times are UTC. `record_id(text)` gives an id the form that it has in
    school records. A table that has no rows on disk yet can be described; reading it raises an
    error that names the command that writes it. Raises LakeError where there is no lake or the
    extensions are not installed.
    """
    import duckdb

    store = existing_store(settings)
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    for name in EXTENSIONS:
        connection.execute(f"LOAD {_literal(str(_extension_file(name)))}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(RECORD_ID_MACRO)
    if settings.is_s3:
        _create_secret(connection, settings)
    for layer in LAYERS:
        connection.execute(f"CREATE SCHEMA {layer}")
    with readable_errors():
        for table in TABLES.values():
            connection.execute(f"CREATE VIEW {table.name} AS {_rows_of(table, store)}")
        if is_written(DIM_CHAPTERS, store):
            connection.execute(TITLED_EVENTS)
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


def is_written(table: Table, store: ObjectStore) -> bool:
    """Whether the table exists on disk."""
    return next(store.list(f"{table.path}/_delta_log"), None) is not None


def existing_store(settings: Settings) -> ObjectStore:
    """The store of a lake that is there: on S3, of a prefix with anything below it.

    For who reads: of a name that was mistyped no lake is made, and nothing is said about its
    contents. Raises LakeError where there is none, and as `open_store`.
    """
    place = "bucket and prefix" if settings.is_s3 else "folder"
    missing = LakeError(
        f"There is no lake at {settings.root}.\n"
        f"  Set LMSLAKE_ROOT to the lake's {place}, or start one: lmslake ingest FILE…,\n"
        "  or, with school records, lmslake land"
    )
    if settings.is_s3:
        from lake.storage_s3 import S3Store

        store = S3Store.from_settings(settings)
        if store.is_empty():
            raise missing
        return store
    if not Path(settings.root).expanduser().is_dir():
        raise missing
    return open_store(settings)


def _extension_file(name: str) -> Path:
    """The extension as its PyPI package ships it: nothing is downloaded at run time."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise LakeError(
            f"DuckDB's {name} extension is not installed.\n"
            f"  pip install duckdb-extension-{name} (of the same version as duckdb)"
        )
    import duckdb

    file = f"extensions/v{duckdb.__version__}/{name}.duckdb_extension"
    path = Path(spec.origin).parent / file
    if not path.is_file():
        raise LakeError(
            f"DuckDB {duckdb.__version__} and its {name} extension are of different versions.\n"
            f"  pip install duckdb-extension-{name}=={duckdb.__version__}"
        )
    return path


def _create_secret(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """The store's keys, given as parameters so that no statement holds them."""
    key, secret, token = _s3_keys(settings)
    options = {
        "KEY_ID": key,
        "SECRET": secret,
        "SESSION_TOKEN": token,
        "REGION": settings.s3_region,
    }
    fixed = ""
    if settings.s3_endpoint:
        endpoint = urlsplit(settings.s3_endpoint)
        options["ENDPOINT"] = endpoint.netloc
        fixed = f", URL_STYLE 'path', USE_SSL {str(endpoint.scheme == 'https').lower()}"
    given = {name: value for name, value in options.items() if value}
    named = ", ".join(f"{name} ${name.lower()}" for name in given)
    connection.execute(
        f"CREATE SECRET lake (TYPE s3, {named}{fixed})",
        {name.lower(): value for name, value in given.items()},
    )


def _s3_keys(settings: Settings) -> tuple[str | None, str | None, str | None]:
    if settings.s3_access_key and settings.s3_secret_key is not None:
        return settings.s3_access_key, settings.s3_secret_key.get_secret_value(), None
    import boto3

    found = boto3.Session().get_credentials()
    if found is None:
        return None, None, None
    frozen = found.get_frozen_credentials()
    return frozen.access_key, frozen.secret_key, frozen.token


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


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

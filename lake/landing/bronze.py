"""Rows of landed files in the bronze tables: one commit for a file, once for its content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from lake.delta_reading import delta_rows, missing_columns, opened_table
from lake.delta_writing import check_types, created_table
from lake.errors import LakeError
from lake.landing.faults import BronzeChangedError
from lake.landing.rows import Batch
from schemas.derivations import arrow_schema
from schemas.tables.records import LANDED_FILES, RECORDS

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable

    from lake.storage import ObjectStore
    from schemas.table import Table

# A content is landed once: its application transaction has this one version.
LANDED = 0
COMMIT_RETRIES = 15
# Readers look for the rows of one file; statistics of names would only spread names.
STATISTICS = {table.name: "_content_hash,_row,_ingested_at" for table in RECORDS.values()}
STATISTICS[LANDED_FILES.name] = "content_hash,landed_at"
# Bounds what delta-rs holds of a Parquet file that it writes.
ROWS_PER_GROUP = 131_072


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from: the columns that all rows of a file share."""

    content_hash: str
    file_name: str
    ingested_at: datetime


@dataclass(frozen=True, slots=True)
class LandedFile:
    """A row of `bronze.landed_files`, which says what each column means."""

    content_hash: str
    source: str
    file_name: str
    bytes: int
    row_count: int
    encoding: str
    delimiter: str | None
    defect_count: int
    extra_columns: list[str]
    landed_at: datetime


@dataclass(frozen=True, slots=True)
class FirstLanding:
    """Under which name a content came first, and when."""

    file_name: str
    landed_at: datetime


class Bronze:
    """The bronze tables of school records of one lake, written with delta-rs.

    Each commit for a content carries an application transaction of it: of two processes that land
    the same content one is refused, and what a commit holds already is never written again.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._opened: dict[str, DeltaTable] = {}

    def landed(self) -> dict[str, FirstLanding]:
        """Content hash to its first landing, of all files that were landed."""
        table = self._existing(LANDED_FILES)
        if table is None:
            return {}
        names = ("content_hash", "file_name", "landed_at")
        schema = arrow_schema(LANDED_FILES, names)
        return {
            row["content_hash"]: FirstLanding(row["file_name"], row["landed_at"])
            for row in delta_rows(table, schema).to_pylist()
        }

    def has_rows_of(self, source: str, content_hash: str) -> bool:
        """Whether the rows of the content are committed. Raises LakeError as `add_rows`."""
        table = self._existing(RECORDS[source])
        if table is None:
            return False
        check_is_declared(RECORDS[source], table)
        return table.transaction_version(_app_id(content_hash)) is not None

    def add_rows(
        self,
        source: str,
        origin: Origin,
        batches: Iterator[Batch],
        before_commit: Callable[[], None],
    ) -> None:
        """Append the rows of a file in one commit, reading them as they are written.

        Whatever `batches`, or `before_commit` after the last of them, raises goes on to the caller,
        and the table stays as it was. Raises LakeError where the table has other columns than
        declared, or another process landed the same content meanwhile.
        """
        import pyarrow as pa

        declared = RECORDS[source]
        schema = arrow_schema(declared)
        raised: list[BaseException] = []

        def rows() -> Iterator[pa.RecordBatch]:
            try:
                for batch in batches:
                    yield record_batch(schema, batch, origin)
                before_commit()
            except BaseException as error:
                raised.append(error)
                raise

        # A file that is refused at its beginning makes no table.
        made = rows()
        first = next(made, None)
        everything = chain([] if first is None else [first], made)
        reader = pa.RecordBatchReader.from_batches(schema, everything)
        try:
            self._append(declared, reader, origin.content_hash)
        except Exception:
            if raised:
                raise raised[0] from None
            raise

    def note_landed(self, file: LandedFile) -> None:
        """Add the file's row to `bronze.landed_files`."""
        import pyarrow as pa

        row = pa.Table.from_pylist([asdict(file)], arrow_schema(LANDED_FILES))
        self._append(LANDED_FILES, row, file.content_hash)

    def _append(self, declared: Table, rows: Any, content_hash: str) -> None:
        from deltalake.exceptions import CommitFailedError

        table = self._declared(declared)
        # What was seen before the table was opened anew may have changed.
        if table.transaction_version(_app_id(content_hash)) is not None:
            raise _changed(declared, "it holds the content already")
        try:
            self._write(table, declared.column_names, rows, _commit_of(content_hash))
        except CommitFailedError as error:
            raise _changed(declared, str(error)) from None

    def _write(
        self, table: DeltaTable, names: Iterable[str], rows: Any, properties: CommitProperties
    ) -> None:
        """Append rows, which have the named columns, in one commit."""
        from deltalake import WriterProperties, write_deltalake

        # A column that was declared since the table was written is added to it.
        is_older = missing_columns(table, names)
        merge: Any = {"schema_mode": "merge"} if is_older else {}
        write_deltalake(
            table,
            rows,
            mode="append",
            commit_properties=properties,
            writer_properties=WriterProperties(
                compression="ZSTD", max_row_group_size=ROWS_PER_GROUP
            ),
            **merge,
        )

    def _declared(self, declared: Table) -> DeltaTable:
        """The table, made where it was never written; with the declared columns alone."""
        table = self._existing(declared) or self._created(declared)
        check_is_declared(declared, table)
        return table

    def _existing(self, declared: Table) -> DeltaTable | None:
        """The table at its newest version; None where it was never written."""
        if declared.name in self._opened:
            self._opened[declared.name].update_incremental()
        elif (table := opened_table(self._store, declared)) is not None:
            self._opened[declared.name] = table
        return self._opened.get(declared.name)

    def _created(self, declared: Table) -> DeltaTable:
        configuration = {
            "delta.checkpointInterval": "10",
            "delta.dataSkippingStatsColumns": STATISTICS[declared.name],
        }
        table = created_table(self._store, declared, configuration)
        self._opened[declared.name] = table
        return table


def _changed(declared: Table, why: str) -> BronzeChangedError:
    return BronzeChangedError(
        f"{declared.name} was changed by another process meanwhile; nothing was added.\n"
        f"  Run the command again: it goes on where it stopped. ({why})"
    )


def _app_id(content_hash: str) -> str:
    return f"land/{content_hash}"


def _commit_of(content_hash: str) -> CommitProperties:
    from deltalake import CommitProperties, Transaction

    return CommitProperties(
        app_transactions=[Transaction(_app_id(content_hash), LANDED)],
        max_commit_retries=COMMIT_RETRIES,
    )


def check_is_declared(declared: Table, table: DeltaTable) -> None:
    """Raises LakeError where the table has other columns, or other types, than declared."""
    found = [field.name for field in table.schema().fields]
    if unknown := [name for name in found if name not in declared.column_names]:
        raise LakeError(
            f"{declared.name} of this lake is another table of that name: it has "
            f"{', '.join(unknown)}, which its declaration has not. Nothing was added.\n"
            f"  Move its folder away ({table.table_uri.rstrip('/')}), then run the command again. "
            "Titles of chapters, which lay there once, are loaded anew: lmslake catalog load FILE."
        )
    check_types(table, arrow_schema(declared))


def record_batch(schema: pa.Schema, batch: Batch, origin: Origin) -> pa.RecordBatch:
    import pyarrow as pa

    count = len(batch)
    texts = (*batch.fields, batch.extra, batch.defects)
    columns = [
        pa.nulls(count, pa.string()) if values is None else pa.array(values, pa.string())
        for values in texts
    ]
    columns += [
        pa.array(range(batch.first_row, batch.first_row + count), pa.int64()),
        pa.nulls(count, pa.int64()) if batch.lines is None else pa.array(batch.lines, pa.int64()),
        pa.repeat(pa.scalar(origin.content_hash), count),
        pa.repeat(pa.scalar(origin.file_name), count),
        pa.repeat(pa.scalar(origin.ingested_at, schema.field("_ingested_at").type), count),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)

"""Rows as Arrow to Delta tables, without Spark: a hundredth of the time of a small Spark commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lake.delta_reading import opened_table
from lake.errors import LakeError
from schemas.derivations import arrow_schema

# What a MERGE rewrites is cut into files of this size. In one file it would have rows of the last
# minutes and of the whole day, and each MERGE would rewrite the day.
MERGED_FILE_BYTES = 4 << 20
FILE_SIZE = "delta.targetFileSize"

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

    from lake.fencing import Fence
    from lake.storage import ObjectStore
    from schemas.table import Table


def declared_table(
    store: ObjectStore, table: Table, configuration: Mapping[str, str], fence: Fence
) -> DeltaTable:
    """The table at its newest version; made from its declaration, empty, where there is none."""
    if (found := opened_table(store, table)) is not None:
        return found
    fence.announce(table.name)
    return created_table(store, table, configuration)


def created_table(store: ObjectStore, table: Table, configuration: Mapping[str, str]) -> DeltaTable:
    """The table, made from its declaration, empty, unless another process makes it just now."""
    from deltalake import DeltaTable

    return DeltaTable.create(
        store.delta_uri(table.path),
        arrow_schema(table),
        mode="ignore",
        partition_by=table.partition_by,
        name=table.name,
        description=table.doc,
        configuration=configuration,
        storage_options=store.storage_options or None,
    )


def check_types(table: DeltaTable, declared: pa.Schema) -> None:
    """Raises LakeError where a column has another type in the table than in its declaration.

    delta-rs would cast: a double becomes a whole number, and nobody hears of it.
    """
    from deltalake import Schema

    known = {field.name: field.type for field in table.schema().fields}
    for field in Schema.from_arrow(declared).fields:
        found = known.get(field.name, field.type)
        if found != field.type:
            name = table.metadata().name or table.table_uri
            raise LakeError(
                f"Schema mismatch: column {field.name} of {name} is "
                f"{_shown(found)} in the table and {_shown(field.type)} in its declaration.\n"
                "  A column keeps its type: declare one of another name, or move the table's "
                "folder away and backfill with --reset."
            )


def _shown(kind: Any) -> str:
    return str(getattr(kind, "type", kind))


def write_rows(
    table: DeltaTable, rows: pa.Table, build_id: str, replaced: str | None, fence: Fence
) -> None:
    """Append the rows in one commit, or put them in place of those that the SQL `replaced` selects.

    A column that the table does not have yet is added to it; one that is declared no more stays,
    and is null in the rows. Refuses a row that the condition does not select. Raises LeaseHeld
    where the lock of the fence was lost.
    """
    from deltalake import CommitProperties, write_deltalake

    how: dict[str, Any] = {"mode": "append"}
    if replaced is not None:
        how = {"mode": "overwrite", "predicate": replaced}
    if set(rows.column_names) != {field.name for field in table.schema().fields}:
        how["schema_mode"] = "merge"
    with fence.commit(table) as transactions:
        properties = CommitProperties(
            custom_metadata={"userMetadata": build_id}, app_transactions=transactions
        )
        write_deltalake(table, rows, commit_properties=properties, **how)


def merge_rows(
    table: DeltaTable,
    rows: pa.Table,
    condition: str,
    *,
    update: Mapping[str, str],
    insert: Mapping[str, str],
    delete_when: str | None,
    fence: Fence,
) -> None:
    """MERGE rows named `new` into rows named `old`; see `LakeTables.merge`."""
    from deltalake import CommitProperties

    _keep_files_small(table, fence)
    with fence.commit(table) as transactions:
        properties = CommitProperties(app_transactions=transactions)
        merge = table.merge(
            rows,
            condition,
            source_alias="new",
            target_alias="old",
            commit_properties=properties,
        )
        if delete_when is not None:
            merge = merge.when_matched_delete(delete_when)
        if update:
            merge = merge.when_matched_update(dict(update))
        if insert:
            merge = merge.when_not_matched_insert(dict(insert))
        merge.execute()


def _keep_files_small(table: DeltaTable, fence: Fence) -> None:
    """Set the table's FILE_SIZE: Spark, which makes tables that are merged, does not know it."""
    from deltalake import CommitProperties

    wanted = str(MERGED_FILE_BYTES)
    if table.metadata().configuration.get(FILE_SIZE) == wanted:
        return
    with fence.commit(table) as transactions:
        table.alter.set_table_properties(
            {FILE_SIZE: wanted},
            commit_properties=CommitProperties(app_transactions=transactions),
        )

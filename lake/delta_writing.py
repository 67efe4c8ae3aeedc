"""Rows as Arrow to Delta tables, without Spark: a hundredth of the time of a small Spark commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable


def write_rows(table: DeltaTable, rows: pa.Table, build_id: str, replaced: str | None) -> None:
    """Append the rows in one commit, or put them in place of those that the SQL `replaced` selects.

    A column that the table does not have yet is added to it. Refuses a row that the condition
    does not select.
    """
    from deltalake import CommitProperties, write_deltalake

    how: dict[str, Any] = {"mode": "append"}
    if replaced is not None:
        how = {"mode": "overwrite", "predicate": replaced}
    known = {field.name for field in table.schema().fields}
    if not known.issuperset(rows.column_names):
        how["schema_mode"] = "merge"
    properties = CommitProperties(custom_metadata={"userMetadata": build_id})
    write_deltalake(table, rows, commit_properties=properties, **how)


def merge_rows(
    table: DeltaTable,
    rows: pa.Table,
    condition: str,
    *,
    update: Mapping[str, str],
    insert: Mapping[str, str],
    delete_when: str | None,
) -> None:
    """MERGE rows named `new` into rows named `old`; see `LakeTables.merge`."""
    merge = table.merge(rows, condition, source_alias="new", target_alias="old")
    if delete_when is not None:
        merge = merge.when_matched_delete(delete_when)
    if update:
        merge = merge.when_matched_update(dict(update))
    if insert:
        merge = merge.when_not_matched_insert(dict(insert))
    merge.execute()

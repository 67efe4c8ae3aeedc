"""Small files of a table joined into larger ones, in commits that change no row."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake.delta_reading import opened_table
from lake.leases import awaited_lease
from lake.locks import lock_of
from lake.maintenance.table_state import TableFile, TableState, read_state
from lake.maintenance.work import Outcome, Plan, Tell
from lake.storage import LeaseHeld
from schemas.tables.records import RECORDS

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lake.storage import Lease, ObjectStore
    from schemas.table import Table

# Rows lie in the files in this order, so that file statistics tell a lookup which files to skip.
SORTED_BY = {
    "silver.events": "ts",
    **{table.name: "_content_hash" for table in RECORDS.values()},
}

# Sorting rewrites a whole partition: worth it when its small files are so large a share of it.
SORTED_SHARE = 0.25
# A partition in which deletion vectors hide so large a share of the rows is rewritten without them.
HIDDEN_SHARE = 0.05
# One commit takes so much: builds wait for it.
COMMIT_BYTES = 1 << 30
# Sorting spills to disk beyond.
SORT_BYTES = 256 << 20
# Within a file, too, readers skip what lies at another time.
ROWS_PER_GROUP = 131_072

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A partition that is worth rewriting; by which column it is sorted anew, if by any."""

    partition: str
    bytes: int
    files: int
    files_after: int
    sort_by: str | None


def jobs_of(table: Table, files: Sequence[TableFile], plan: Plan) -> list[Job]:
    """Partitions that gain from being rewritten, in order."""
    by_partition: dict[str, list[TableFile]] = defaultdict(list)
    for item in files:
        # delta-rs selects no partition of rows without a value; builds replace it as a whole.
        if item.partition is not None:
            by_partition[item.partition].append(item)
    jobs = (_job(table, name, items, plan) for name, items in sorted(by_partition.items()))
    return [job for job in jobs if job is not None]


def _job(table: Table, partition: str, files: Sequence[TableFile], plan: Plan) -> Job | None:
    # What a compaction leaves is near the target, or the rest of a partition.
    small = [item for item in files if item.bytes < plan.target_bytes / 2]
    total, small_bytes = (sum(item.bytes for item in items) for items in (files, small))
    files_after = max(1, math.ceil(small_bytes / plan.target_bytes))
    is_many = len(small) >= plan.min_files and files_after < len(small)
    sort_by = SORTED_BY.get(table.name)
    hidden = sum(item.deleted_rows for item in files)
    is_hiding = hidden > 0 and hidden >= HIDDEN_SHARE * sum(item.rows for item in files)
    if sort_by and (is_hiding or (is_many and small_bytes >= SORTED_SHARE * total)):
        after = max(1, math.ceil(total / plan.target_bytes))
        return Job(partition, total, len(files), after, sort_by)
    if is_many:
        # New events have their place behind the older ones: joined in the order of their commits.
        return Job(partition, small_bytes, len(small), files_after, None)
    return None


def compact_table(
    store: ObjectStore, table: Table, part: str, plan: Plan, tell: Tell
) -> Outcome | None:
    """Rewrite the partitions of the table that gain; None where the table does not exist.

    The lock of the table's writers is held for one commit at a time. What another process holds or
    has changed meanwhile is left for later.
    """
    if opened_table(store, table) is None:
        return None
    before = read_state(store, table)
    jobs = jobs_of(table, before.live, plan)
    if not jobs:
        at_least = f"no {_place(table)} has {plan.min_files}"
        few = at_least if table.partition_by else f"below {plan.min_files}"
        return _outcome(part, table, before, before, 0, f"{few} small files")
    saved = sum(job.files - job.files_after for job in jobs)
    if plan.is_dry_run:
        return _would_be(part, table, before, jobs, saved)
    changed, why_left = _rewrite_all(store, table, jobs, plan, tell)
    after = read_state(store, table)
    note = f"left for later: {why_left}" if why_left else _places(table, jobs)
    return _outcome(part, table, before, after, changed, note, is_left=bool(why_left))


def _rewrite_all(
    store: ObjectStore, table: Table, jobs: Sequence[Job], plan: Plan, tell: Tell
) -> tuple[int, str]:
    """How many files were replaced, and why something was left for later, if it was."""
    from deltalake.exceptions import CommitFailedError

    changed, why_left = 0, ""
    for batch in _batches(jobs):
        try:
            with _lock(store, table, plan, tell):
                changed += _rewrite(store, table, batch, plan)
        except LeaseHeld as error:
            return changed, str(error).splitlines()[0]
        except CommitFailedError as error:
            why_left = "another process changed it meanwhile"
            log.info("compaction of %s left for later: %s", table.name, error)
    return changed, why_left


def _lock(
    store: ObjectStore, table: Table, plan: Plan, tell: Tell
) -> AbstractContextManager[Lease | None]:
    name = lock_of(table)
    return awaited_lease(store, name, plan.patience, tell) if name else nullcontext()


def _batches(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Jobs of one kind that one commit can take."""
    batch: list[Job] = []
    for job in sorted(jobs, key=lambda job: (job.sort_by or "", job.partition)):
        is_other = bool(batch) and job.sort_by != batch[0].sort_by
        if batch and (is_other or sum(j.bytes for j in batch) + job.bytes > COMMIT_BYTES):
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _rewrite(store: ObjectStore, table: Table, batch: Sequence[Job], plan: Plan) -> int:
    """Rewrite the partitions of one kind in one commit; gives how many files it replaced."""
    found = opened_table(store, table)
    if found is None:
        return 0
    options: dict[str, Any] = {"target_size": plan.target_bytes}
    if table.partition_by:
        values = [job.partition for job in batch]
        options["partition_filters"] = [(table.partition_by, "in", values)]
    metrics = _optimize(found, batch[0].sort_by, options)
    return int(metrics["numFilesRemoved"])


def _optimize(table: DeltaTable, sort_by: str | None, options: dict[str, Any]) -> dict[str, Any]:
    from deltalake import WriterProperties

    if sort_by is None:
        return table.optimize.compact(**options)
    writer = WriterProperties(compression="ZSTD", max_row_group_size=ROWS_PER_GROUP)
    # Along one column, Delta's z-order is plain order, over all files of a partition.
    return table.optimize.z_order(
        [sort_by], max_spill_size=SORT_BYTES, writer_properties=writer, **options
    )


def _places(table: Table, jobs: Sequence[Job]) -> str:
    return f"{len(jobs)} {_place(table)}s" if table.partition_by else ""


def _place(table: Table) -> str:
    """What a partition of the table is called."""
    return "day" if str(table.partition_by).endswith("date") else "partition"


def _would_be(
    part: str, table: Table, before: TableState, jobs: Sequence[Job], saved: int
) -> Outcome:
    return Outcome(
        part,
        table.name,
        len(before.live),
        len(before.live) - saved,
        before.bytes,
        before.bytes,
        changes=sum(job.files for job in jobs),
        note=_places(table, jobs),
    )


def _outcome(
    part: str,
    table: Table,
    before: TableState,
    after: TableState,
    changes: int,
    note: str,
    *,
    is_left: bool = False,
) -> Outcome:
    return Outcome(
        part,
        table.name,
        len(before.live),
        len(after.live),
        before.bytes,
        after.bytes,
        changes,
        note,
        is_left,
    )

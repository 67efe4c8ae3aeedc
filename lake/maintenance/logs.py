"""The tables of many tiny commits (ledger, journals, results of gates), and their logs."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING

from lake.delta_reading import opened_table
from lake.maintenance.compaction import compact_table
from lake.maintenance.table_state import COMMIT, read_state
from lake.maintenance.work import Outcome, Plan, Tell

if TYPE_CHECKING:
    from lake.storage import ObjectStore
    from schemas.table import Table

# Who opens the table reads the newest checkpoint and every commit after it.
COMMITS_PER_CHECKPOINT = 10
# Delta's own (delta.logRetentionDuration); a continuous query may be stopped for so long.
LOG_RETENTION = timedelta(days=30)


def tidy_log(store: ObjectStore, table: Table, plan: Plan, tell: Tell) -> Outcome | None:
    """Compact the table, write a checkpoint, remove commits that are older than 30 days.

    No row goes: the ledger and the journal say what exists and what is applied, without an end.
    None where the table does not exist.
    """
    compacted = compact_table(store, table, "ledger", plan, tell)
    newest = opened_table(store, table)
    if compacted is None or newest is None:
        return None
    notes = [compacted.note] if compacted.note else []
    changes = compacted.changes
    state = read_state(store, table)
    if state.commits >= COMMITS_PER_CHECKPOINT:
        if not plan.is_dry_run:
            newest.create_checkpoint()
        notes.append(f"checkpoint after {state.commits} commits")
        changes += 1
        checkpoint = state.version
    else:
        checkpoint = state.version - state.commits
    if expired := _expired(store, table, checkpoint, plan):
        if not plan.is_dry_run:
            newest.cleanup_metadata()
            expired -= _expired(store, table, checkpoint, plan)
        if expired:
            notes.append(f"{expired} old commits removed")
            changes += 1
    return dataclasses.replace(compacted, changes=changes, note="; ".join(notes))


def _expired(store: ObjectStore, table: Table, checkpoint: int, plan: Plan) -> int:
    """Commits before the checkpoint that are older than the log is kept."""
    before = plan.now - LOG_RETENTION
    names = (
        (item.key.rpartition("/")[2], item.modified)
        for item in store.list_with_times(f"{table.path}/_delta_log")
    )
    return sum(
        1
        for name, modified in names
        if (match := COMMIT.fullmatch(name)) and int(match[1]) < checkpoint and modified < before
    )

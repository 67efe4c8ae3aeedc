"""All parts of the upkeep, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from lake.errors import LakeError
from lake.maintenance.compaction import compact_table
from lake.maintenance.logs import tidy_log
from lake.maintenance.sweep import ZONES, sweep_temporary, sweep_zone
from lake.maintenance.table_state import UnreadableLogError
from lake.maintenance.vacuum import vacuum_table
from lake.maintenance.work import LOGS, PARTS, Outcome, Plan, Tell
from schemas.tables import TABLES

if TYPE_CHECKING:
    from lake.storage import ObjectStore

Step = Callable[[], Outcome | None]


def silent(_: str) -> None:
    return None


def maintain(store: ObjectStore, plan: Plan, tell: Tell = silent) -> Iterator[Outcome]:
    """Do the parts of the plan; gives what each did to each table or zone that is there.

    What fails at one table is an outcome with `is_fault`; the others are done all the same.
    """
    for part in PARTS:
        if part in plan.parts:
            for subject, step in _steps(part, store, plan, tell):
                outcome = _outcome_of(part, subject, step)
                if outcome is not None:
                    yield outcome


def _steps(part: str, store: ObjectStore, plan: Plan, tell: Tell) -> Iterator[tuple[str, Step]]:
    if part == "sweep":
        for zone in ZONES:
            yield zone, partial(sweep_zone, store, zone, plan)
        yield "temporary files", partial(sweep_temporary, store, plan)
        return
    for table in TABLES.values():
        if part == "vacuum":
            yield table.name, partial(vacuum_table, store, table, plan)
        elif part == "ledger" and table.name in LOGS:
            yield table.name, partial(tidy_log, store, table, plan, tell)
        elif part == "optimize" and table.name not in LOGS:
            yield table.name, partial(compact_table, store, table, part, plan, tell)


def _outcome_of(part: str, subject: str, step: Step) -> Outcome | None:
    from deltalake.exceptions import DeltaError

    try:
        return step()
    except (DeltaError, LakeError, OSError, UnreadableLogError) as error:
        return Outcome(part, subject, note=str(error).splitlines()[0], is_fault=True)

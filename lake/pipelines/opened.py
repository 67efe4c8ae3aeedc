"""An open lake, and the lock under which one process at a time builds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lake.fencing import NO_FENCE, keep_out_others
from lake.gates import prepare
from lake.leases import awaited_lease
from lake.ledger import Ledger
from lake.pipelines.identity import check_identity
from lake.pipelines.journal import Journal
from lake.pipelines.pending import is_small
from lake.progress import Progress
from lake.session import spark_session
from lake.settings import Settings
from lake.spark_process import stopped_at_end
from lake.storage import open_store
from lake.tables import LakeTables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake.storage import ObjectStore


def _no_lease() -> None:
    return None


@dataclass
class Lake:
    """An open lake: its settings, store, ledger, journal, and Spark session with its tables."""

    settings: Settings
    store: ObjectStore
    ledger: Ledger
    journal: Journal
    spark: SparkSession
    tables: LakeTables
    key: bytes = field(repr=False)
    # Raises LeaseHeld where another process may build by now. Called before each publication, so
    # that less is done in vain: what keeps a late commit out is the fence of tables and journal.
    check_lease: Callable[[], None] = field(default=_no_lease, repr=False)

    @property
    def parallelism(self) -> int:
        """Tasks that run at once: few rows should not become many small files."""
        return self.spark.sparkContext.defaultParallelism


@contextmanager
def open_lake(
    settings: Settings,
    app_name: str = "lmslake",
    spark: SparkSession | None = None,
    *,
    grows: bool = False,
    store: ObjectStore | None = None,
) -> Iterator[Lake]:
    """Open a lake for builds; stops the Spark session on exit unless it was given.

    `grows`: the session outlives the size that the lake has now. `store`: that of the settings,
    where the caller has opened it. Raises LakeError where Spark's Java process ends meanwhile.
    """
    key = settings.key()
    store = store or open_store(settings)
    prepare()
    ledger = Ledger(store)
    session = spark or spark_session(settings, app_name, small=not grows and is_small(ledger))
    tables = LakeTables(session, store)
    with stopped_at_end(session) if spark is None else nullcontext():
        yield Lake(settings, store, ledger, Journal(store), session, tables, key)


@contextmanager
def only_builder(lake: Lake, lock: str, progress: Progress) -> Iterator[None]:
    """Nobody else holds the lock meanwhile, and nobody who held it before commits any more.

    `lake.check_lease` looks whether that is so, and each commit to the tables proves it. Raises
    LeaseHeld where another process holds it for longer than the settings let this one wait, and
    LakeError where the lake has another identity.
    """
    with awaited_lease(lake.store, lock, lake.settings.lock_wait, progress) as lease:
        lake.check_lease = lease.check
        lake.tables.fence = lake.journal.fence = lease.fence
        try:
            check_identity(lake)
            keep_out_others(lake.store, lease, lock, lambda table: lake.tables.ensure(table.name))
            yield
        finally:
            lake.check_lease = _no_lease
            lake.tables.fence = lake.journal.fence = NO_FENCE

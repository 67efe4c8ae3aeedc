"""Who lost a lock can commit no more: holders have numbers, and tables remember the newest.

The ledger keeps out a writer that was overtaken by Delta application transactions, and so do the
tables of builds: the application is `lease/<lock>`, its version the holder's number and a count of
its commits. A holder whose number is below the one that the table records is refused. The look at
the record and the commit are one: where another holder commits between them, Delta refuses it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from lake.delta_reading import opened_table
from lake.locks import tables_of
from lake.storage import lease_lost

if TYPE_CHECKING:
    from deltalake import DeltaTable, Transaction

    from lake.storage import Lease, ObjectStore
    from schemas.table import Table

# Versions of one holder. Numbers grow by one for each second at least: not even more commits than
# these would reach the next holder's.
VERSIONS = 1 << 20
MARK_ATTEMPTS = 10

log = logging.getLogger(__name__)


class Fence:
    """That of a writer which holds no lock: nothing is recorded, and nobody is refused."""

    def announce(self, table: str) -> None:
        """Say that the table, which does not exist, is going to be made.

        Raises LeaseHeld where the lock was lost.
        """

    @contextmanager
    def commit(self, table: DeltaTable) -> Iterator[list[Transaction]]:
        """What one commit of delta-rs to the table, as it is opened here, has to carry.

        Raises LeaseHeld where a later holder of the lock is recorded in the table.
        """
        yield []

    @contextmanager
    def spark_commit(self, opened: Callable[[], DeltaTable | None]) -> Iterator[dict[str, str]]:
        """Options for one commit of Spark's. opened: gives the table at its newest version.

        Raises LeaseHeld afterwards where a later holder of the lock is recorded in the table:
        Spark leaves out such a commit, or fails, and does not say why.
        """
        yield {}


NO_FENCE = Fence()


class LockFence(Fence):
    """That of a holder of a lock; `number` is above those of all holders before."""

    def __init__(self, lock: str, number: int, announce: Callable[[str], None]) -> None:
        self.lock = lock
        self.app_id = f"lease/{lock}"
        self._version = number * VERSIONS
        self._announce = announce

    def announce(self, table: str) -> None:
        self._announce(table)

    @contextmanager
    def commit(self, table: DeltaTable) -> Iterator[list[Transaction]]:
        from deltalake import Transaction
        from deltalake.exceptions import CommitFailedError

        self._version += 1
        self._check(table)
        try:
            yield [Transaction(self.app_id, self._version)]
        except CommitFailedError:
            table.update_incremental()
            self._check(table)
            raise

    @contextmanager
    def spark_commit(self, opened: Callable[[], DeltaTable | None]) -> Iterator[dict[str, str]]:
        self._version += 1
        try:
            yield {"txnAppId": self.app_id, "txnVersion": str(self._version)}
        except Exception as error:
            # What Delta refused, and not a store that is away: that would be waited for once more.
            if "DELTA_" in str(error) and (table := opened()) is not None:
                self._check(table, error)
            raise
        if (table := opened()) is not None:
            self._check(table)

    def _check(self, table: DeltaTable, cause: Exception | None = None) -> None:
        recorded = table.transaction_version(self.app_id)
        if recorded is not None and recorded > self._version:
            why = f"another process took it over, says {table.table_uri.rstrip('/')}"
            raise lease_lost(self.lock, why) from cause


def keep_out_others(
    store: ObjectStore, lease: Lease, lock: str, create: Callable[[Table], object]
) -> None:
    """Record the lease in every table of the lock, if a holder before did not give the lock back.

    From then on such a holder can commit to none of them, whatever it had looked at; only then may
    they be read. create: makes a table, empty, that does not exist. Raises LeaseHeld.
    """
    if not lease.record.is_owed:
        return
    for table in tables_of(lock):
        # One that it said it would make is made before it can do so, or marked after.
        if table.name in lease.record.creations:
            create(table)
        _mark(store, table, lease.fence)
    lease.record.settle()


def _mark(store: ObjectStore, table: Table, fence: Fence) -> None:
    """A commit of nothing but the lease's version. A table that does not exist stays so."""
    from deltalake import CommitProperties
    from deltalake.exceptions import CommitFailedError

    retrying = Retrying(
        retry=retry_if_exception_type(CommitFailedError),
        stop=stop_after_attempt(MARK_ATTEMPTS),
        wait=wait_random(0, 0.5),
        reraise=True,
    )
    for attempt in retrying:
        with attempt:
            found = opened_table(store, table)
            if found is None:
                return
            with fence.commit(found) as transactions:
                found.create_write_transaction(
                    [],
                    "append",
                    found.schema(),
                    found.metadata().partition_columns,
                    commit_properties=CommitProperties(app_transactions=transactions),
                )

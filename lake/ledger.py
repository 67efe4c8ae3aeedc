"""`bronze.raw_objects`: which raw and quarantine objects exist and which records they hold."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from lake.delta_reading import dates_predicate, delta_rows, missing_columns
from lake.errors import LakeError
from lake.storage import ObjectStore
from schemas.derivations import arrow_schema
from schemas.tables.bronze import RAW_OBJECTS

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

APPEND_ATTEMPTS = 8
FILES_BEFORE_COMPACTION = 200

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One object of one flush; the columns of `bronze.raw_objects`, which say what each means."""

    topic: str
    source: str
    partition: int
    date: date
    path: str
    first_offset: int
    last_offset: int
    flush_first_offset: int
    flush_last_offset: int
    record_count: int
    bytes: int
    min_ts: datetime | None
    max_ts: datetime | None
    ingested_at: datetime
    is_quarantine: bool
    reasons: str | None
    id_digest: str | None
    replaces: str | None = None
    flush_gap_count: int | None = None


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """A step of one application: its new version and the one before it (None: there was none)."""

    app_id: str
    version: int
    expected: int | None = None


class StaleWriterError(LakeError):
    """Another process has committed for the sources `app_ids`: this one must not go on."""

    def __init__(self, app_ids: Sequence[str]) -> None:
        super().__init__(
            f"Another process ingests the same source ({', '.join(app_ids)}).\n"
            "  What it has committed is kept. Wait for it, then run the command again."
        )
        self.app_ids = frozenset(app_ids)


class Ledger:
    """The ledger of one lake. It is appended to only; an object outside of it does not exist.

    Each append carries an application transaction (app_id, version). Of two writers with one
    app_id only the one that has seen the other's last version can commit.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._uri = store.delta_uri(RAW_OBJECTS.path)
        self._options = store.storage_options
        self._arrow = arrow_schema(RAW_OBJECTS)
        self._opened: DeltaTable | None = None

    @property
    def uri(self) -> str:
        """Address for delta-rs and DuckDB."""
        return self._uri

    def append(
        self, rows: Sequence[LedgerRow], app_id: str, version: int, expected: int | None = None
    ) -> None:
        """As `append_all`, for one source."""
        self.append_all(rows, [SourceVersion(app_id, version, expected)])

    def append_all(self, rows: Sequence[LedgerRow], sources: Sequence[SourceVersion]) -> None:
        """Add the rows in one commit and set the version of each of the sources.

        Raises StaleWriterError, and adds nothing, where another process moved one of them since;
        LakeError where appends of other sources keep getting in the way.
        """
        from deltalake import CommitProperties, Transaction, write_deltalake
        from deltalake.exceptions import CommitFailedError

        properties = CommitProperties(
            app_transactions=[Transaction(source.app_id, source.version) for source in sources],
            max_commit_retries=15,
        )
        batch = self._record_batch(rows)
        for attempt in range(APPEND_ATTEMPTS):
            table = self._refreshed()
            versions = {source.app_id: source.expected for source in sources}
            if stale := [a for a, v in versions.items() if table.transaction_version(a) != v]:
                raise StaleWriterError(stale)
            try:
                # Only for a table from before a column was declared: it conflicts with all others.
                merge: Any = (
                    {"schema_mode": "merge"} if missing_columns(table, self._arrow.names) else {}
                )
                write_deltalake(table, batch, mode="append", commit_properties=properties, **merge)
                return
            except CommitFailedError as error:
                # Whether it was our own source is decided by the next look at the table.
                log.info("ledger append %d was refused: %s", attempt + 1, error)
                time.sleep(random.uniform(0, 0.1 * 2**attempt))
        raise LakeError(
            f"The ledger could not be written in {APPEND_ATTEMPTS} attempts: other processes "
            "commit to it all the time.\n  Run the command again: it goes on where it stopped."
        )

    def version_of(self, app_id: str) -> int | None:
        """The last committed version of an application, None where there is none."""
        version: int | None = self._refreshed().transaction_version(app_id)
        return version

    def resume_offset(self, topic: str, source: str, partition: int = 0) -> int:
        """The first offset of a source that no flush has committed."""
        version = self.version_of(source_app_id(topic, source, partition))
        return 0 if version is None else version + 1

    def rows(
        self,
        dates: Iterable[date] | None = None,
        is_quarantine: bool | None = False,
        since: datetime | None = None,
    ) -> pa.Table:
        """Rows of raw objects (of quarantine objects; of both with None), oldest path first.

        `since`: of flushes since then only, which costs what these are. Rows of quarantine objects
        include those that a replay has retired.
        """
        kept = ["TRUE"]
        if is_quarantine is not None:
            kept.append("is_quarantine" if is_quarantine else "NOT is_quarantine")
        if dates is not None:
            kept.append(dates_predicate("date", dates))
        if since is not None:
            kept.append(f"ingested_at >= TIMESTAMP '{since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'")
        return self._scan(" AND ".join(kept))

    def live_quarantine(self, dates: Iterable[date] | None = None) -> list[LedgerRow]:
        """Quarantine objects that no replay has retired."""
        rows = ledger_rows(self._scan("is_quarantine OR replaces IS NOT NULL"))
        retired = {row.replaces for row in rows if row.replaces}
        wanted = None if dates is None else set(dates)
        return [
            row
            for row in rows
            if row.is_quarantine
            and row.path not in retired
            and (wanted is None or row.date in wanted)
        ]

    def _scan(self, where: str) -> pa.Table:
        return delta_rows(self._refreshed(), self._arrow, where).sort_by("path")

    def compact(self) -> None:
        """Join small files once there are many; readers and appends are not disturbed."""
        from deltalake.exceptions import CommitFailedError

        table = self._refreshed()
        if len(table.file_uris()) < FILES_BEFORE_COMPACTION:
            return
        try:
            table.optimize.compact()
        except CommitFailedError as error:
            log.info("compaction of the ledger left for later: %s", error)

    def _record_batch(self, rows: Sequence[LedgerRow]) -> pa.Table:
        import pyarrow as pa

        return pa.table(
            {name: [getattr(row, name) for row in rows] for name in self._arrow.names},
            schema=self._arrow,
        )

    def _refreshed(self) -> DeltaTable:
        if self._opened is None:
            self._opened = self._open()
        else:
            self._opened.update_incremental()
        return self._opened

    def _open(self) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError, TableNotFoundError

        options = self._options or None
        try:
            return DeltaTable(self._uri, storage_options=options)
        except TableNotFoundError:
            pass
        try:
            return DeltaTable.create(
                self._uri,
                self._arrow,
                mode="ignore",
                name=RAW_OBJECTS.name,
                description=RAW_OBJECTS.doc,
                configuration={"delta.appendOnly": "true"},
                storage_options=options,
            )
        except CommitFailedError:  # another process made it in the same moment
            return DeltaTable(self._uri, storage_options=options)


def source_app_id(topic: str, source: str, partition: int = 0) -> str:
    """Application of the Delta transactions of one source; its version is the last offset."""
    return f"ingest/{topic}/{source}/{partition}"


def ledger_rows(table: pa.Table) -> list[LedgerRow]:
    """Typed rows of what `Ledger.rows` gave."""
    return [LedgerRow(**row) for row in table.to_pylist()]


def reason_counts(row: LedgerRow) -> dict[str, int]:
    """Reason code to count; empty for a raw object."""
    counts: dict[str, Any] = json.loads(row.reasons) if row.reasons else {}
    return counts

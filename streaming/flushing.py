"""Flushes of several partitions: one commit, repeated until the store takes it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from tenacity.stop import stop_base

from lake.errors import LakeError
from lake.ledger import Ledger, LedgerRow, StaleWriterError, ledger_rows
from lake.raw import commit_flush
from lake.raw_buffers import OriginBuffer
from lake.storage import ObjectStore
from lake.storage_s3 import is_refusal
from streaming.monitoring import ArchiverMetrics, Health
from streaming.outages import STORE_ERRORS, Outage, is_store_outage, retrying
from streaming.worker import Worker

SECONDS_BETWEEN_IDLES = 0.5
# Longer than a busy store takes for a flush; its clients themselves try for minutes.
SILENT_SECONDS = 10.0
# The ledger itself decides whether it has so many small files that joining them is worth it.
COMMITS_BETWEEN_COMPACTIONS = 50

T = TypeVar("T")
Buffers = Callable[[], list[OriginBuffer]]

log = logging.getLogger(__name__)


class TooLateError(LakeError):
    """The store did not answer in the time that there was."""


class Flusher:
    """Commits buffers to the raw zone, in a thread of its own; one commit at a time.

    `idle` is called again and again while a commit or the return of the store is waited for: the
    archiver stays in its consumer group by it. `idle` takes the seconds that it may use.
    """

    def __init__(
        self,
        store: ObjectStore,
        ledger: Ledger,
        metrics: ArchiverMetrics,
        health: Health,
        idle: Callable[[float], None],
    ) -> None:
        self._store, self._ledger = store, ledger
        self._metrics, self._health, self._idle = metrics, health, idle
        self._outage = Outage("The store of the lake")
        self._worker = Worker("lmslake-store")
        self._running: Future[list[LedgerRow]] | None = None
        self.deadline: float | None = None
        # Seconds that one flush may wait for the store; None: as long as it takes.
        self.patience: float | None = None
        self._patient_until: float | None = None
        self._commits = self.events = self.rejected = 0

    def committed_offsets(self, app_ids: list[str]) -> list[int | None]:
        """The last offset in the ledger of each source; waits for the store."""

        def read() -> list[int | None]:
            return [self._ledger.version_of(app_id) for app_id in app_ids]

        return self._patiently(lambda: self._result(self._worker.submit(read)))

    def flush(self, buffers: Buffers) -> None:
        """Commit what `buffers` gives, asked anew for each attempt; waits for the store.

        Raises StaleWriterError where another archiver has taken over one of them, TooLateError
        where `deadline` or the end of the `patience` comes first, LakeError where the store
        refuses.
        """
        started = time.monotonic()
        self._patiently(lambda: self._attempt(buffers()))
        self._metrics.flush_seconds.observe(time.monotonic() - started)

    def flush_within(self, seconds: float, buffers: Buffers) -> None:
        """One attempt that ends in time; for where nothing may be waited for.

        Raises what the attempt raises, TooLateError where the time is over.
        """
        started = time.monotonic()
        if self.deadline is not None:
            seconds = max(0.0, min(seconds, self.deadline - started))
        if self._running is not None:
            wait([self._running], seconds)
        future = self._submit(buffers())
        wait([future], max(0.0, seconds - (time.monotonic() - started)))
        if not future.done():
            raise TooLateError(f"the store did not answer within {seconds:.0f} s")
        future.result()

    def close(self) -> None:
        self._worker.close()

    def _attempt(self, buffers: list[OriginBuffer]) -> None:
        if buffers:
            self._result(self._submit(buffers))

    def _submit(self, buffers: list[OriginBuffer]) -> Future[list[LedgerRow]]:
        def commit() -> list[LedgerRow]:
            try:
                rows = commit_flush(self._store, self._ledger, buffers)
            except StaleWriterError:
                rows = self._committed_before(buffers)
                if not rows:
                    raise
            # Counted here, once, whoever waits for it.
            events, rejected = self._metrics.count_committed(rows)
            self.events += events
            self.rejected += rejected
            self._commits += 1
            if self._commits % COMMITS_BETWEEN_COMPACTIONS == 0:
                self._worker.submit(self._compact)
            return rows

        self._running = self._worker.submit(commit)
        return self._running

    def _committed_before(self, buffers: list[OriginBuffer]) -> list[LedgerRow]:
        """The rows of the buffers where the ledger has them all, else none.

        An attempt fails when the answer to its commit is lost on the way, although the store has
        done the work; the next one then finds the ledger ahead, as if by another writer.
        """
        rows = [row for buffer in buffers for row in buffer.put(self._store)]
        dates = {row.date for row in rows}
        known = set(ledger_rows(self._ledger.rows(dates, is_quarantine=None)))
        if not known.issuperset(rows):
            return []
        for buffer in buffers:
            buffer.restart()
        return rows

    def _compact(self) -> None:
        try:
            self._ledger.compact()
        except STORE_ERRORS as error:
            log.warning("compaction of the ledger left for later: %s", error)

    def _patiently(self, attempt: Callable[[], T]) -> T:
        self._patient_until = None
        if self.patience is not None:
            self._patient_until = time.monotonic() + self.patience
        try:
            result: T = retrying(self._outage, self._sleep, _StopAt(self))(attempt)
        except Exception as error:
            if is_refusal(error):
                raise LakeError(
                    f"The store of the lake refuses: {error}\n"
                    "  The bucket of LMSLAKE_ROOT must exist, and LMSLAKE_S3_ACCESS_KEY be that of "
                    "a user who may list,\n  read and write there. What was not committed is taken "
                    "again by the next start."
                ) from None
            if not is_store_outage(error):
                raise
            raise TooLateError(
                f"The store took nothing before the end: {error}\n"
                "  What was not committed is taken again by the next start."
            ) from None
        return result

    def _sleep(self, seconds: float) -> None:
        self._note(True)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.is_over:
            self._idle(min(left, SECONDS_BETWEEN_IDLES))

    def _result(self, future: Future[T]) -> T:
        silent_at = time.monotonic() + SILENT_SECONDS
        while not wait([future], SECONDS_BETWEEN_IDLES).done:
            if self.is_over:
                raise TooLateError("the store does not answer")
            if time.monotonic() >= silent_at:
                self._outage.begins(TimeoutError(f"no answer in {SILENT_SECONDS:.0f} s"))
                self._note(True)
            self._idle(0.0)
        result = future.result()
        self._outage.ends()
        self._note(False)
        return result

    @property
    def is_over(self) -> bool:
        limits = (self.deadline, self._patient_until)
        return any(limit is not None and time.monotonic() >= limit for limit in limits)

    def _note(self, is_away: bool) -> None:
        self._health.is_flushing_well = not is_away
        self._metrics.store_up.set(0 if is_away else 1)


class _StopAt(stop_base):
    """Ends the attempts at the flusher's limits; a deadline may be set while they go on."""

    def __init__(self, flusher: Flusher) -> None:
        self._flusher = flusher

    def __call__(self, retry_state: object) -> bool:
        return self._flusher.is_over
